"""What mixed precision rounds, and what it must not."""

from torch import Tensor, float32


def at_least_float32(x: Tensor) -> Tensor:
    """``x`` in float32 if mixed precision has made it shorter, and as it is otherwise."""
    return x.float() if x.dtype.itemsize < float32.itemsize else x
