"""The memory of a process: what a training on a CPU frees is kept, and the most that was taken is told."""

import ctypes
import gc
import platform
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

# Parameters of glibc's mallopt(3).
_TRIM_THRESHOLD = -1
_MMAP_MAX = -4
_LARGEST = 2**31 - 1  # what mallopt takes


def keep_freed_memory() -> bool:
    """Let this process keep the memory that it frees; False where the C library is not glibc, and nothing changes.

    glibc gives large blocks back to the system when they are freed. The system hands the next ones out page by page,
    each with a fault and filled with zeros. A training step needs the same blocks as the step before, and spends up to
    a tenth of its time so. What the process holds at its peak stays the same, but it goes on to hold it.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return bool(mallopt(_MMAP_MAX, 0) and mallopt(_TRIM_THRESHOLD, _LARGEST))


CLEAR_REFS = Path("/proc/self/clear_refs")
_STATUS = Path("/proc/self/status")
_FORGET_PEAK = "5"  # what sets the high-water mark of a process back to its present size: proc(5), clear_refs


def reset_peak(device: "torch.device") -> int | None:
    """Forget the highest use of memory so far; the bytes in use now, or None where the system keeps no such mark."""
    import torch  # seconds, which commands that measure nothing need not wait

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


def peak(device: "torch.device") -> int:
    """The most bytes in use since ``reset_peak``."""
    import torch  # as above

    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else _kilobytes("VmHWM") * 1024


def _kilobytes(line: str) -> int:
    """A number of this process's status. Raises a LookupError where the system does not tell it."""
    told = dict(entry.split(":", 1) for entry in _STATUS.read_text(encoding="ascii").splitlines())
    return int(told[line].split()[0])
