"""The most memory in use while something runs: of a GPU, or of this process."""

import ctypes
import gc
from pathlib import Path

import torch

CLEAR_REFS = Path("/proc/self/clear_refs")
_STATUS = Path("/proc/self/status")
_FORGET_PEAK = "5"  # what sets the high-water mark of a process back to its present size: proc(5), clear_refs


def reset_peak(device: torch.device) -> int | None:
    """Forget the highest use of memory so far; the bytes in use now, or None where the system keeps no such mark."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        return torch.cuda.memory_allocated(device)
    if not CLEAR_REFS.exists():
        return None
    try:
        # freed memory that the C library keeps would be used again without the process growing
        ctypes.CDLL(None).malloc_trim(0)
        CLEAR_REFS.write_text(_FORGET_PEAK)
        return _kilobytes("VmRSS") * 1024
    except (AttributeError, LookupError, OSError):
        return None


def peak(device: torch.device) -> int:
    """The most bytes in use since ``reset_peak``."""
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else _kilobytes("VmHWM") * 1024


def _kilobytes(line: str) -> int:
    """A number of this process's status. Raises a LookupError where the system does not tell it."""
    told = dict(entry.split(":", 1) for entry in _STATUS.read_text(encoding="ascii").splitlines())
    return int(told[line].split()[0])
