"""Freed memory on a CPU, kept for the next step."""

import ctypes
import platform

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
