"""The memory of a process: freed memory is kept for reuse, and the peak is measured."""

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
    """Let this process keep the memory that it frees, for its next allocations.

    glibc returns large blocks to the system when they are freed. The system hands new ones out page by page, each with
    a page fault and filled with zeros. A training step needs the same blocks as the step before, so it would spend up
    to a tenth of its time on them. The peak stays the same, but the process does not shrink after it.

    Returns:
        Whether it does so; False where the C library is not glibc.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return bool(mallopt(_MMAP_MAX, 0) and mallopt(_TRIM_THRESHOLD, _LARGEST))


CLEAR_REFS = Path("/proc/self/clear_refs")
_STATUS = Path("/proc/self/status")
_FORGET_PEAK = "5"  # written to clear_refs, it sets the high-water mark back to the present size: proc(5)


def reset_peak(device: "torch.device") -> int | None:
    """Forget the highest use of memory so far.

    Returns:
        The bytes in use now; None where the system keeps no such mark.
    """
    import torch  # takes seconds, for which commands that measure nothing need not wait

    gc.collect()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        return torch.cuda.memory_allocated(device)
    if not CLEAR_REFS.exists():
        return None
    try:
        # return what the C library keeps of freed memory: reusing it would not raise the mark
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
    """A number of this process's status, in kB.

    Raises:
        LookupError: the system does not report it.
    """
    status = dict(entry.split(":", 1) for entry in _STATUS.read_text(encoding="ascii").splitlines())
    return int(status[line].split()[0])
