"""The way back from the 16 bits of mixed precision."""

from torch import Tensor, float32


def at_least_float32(x: Tensor) -> Tensor:
    """``x`` in float32 if it has 16 bits, otherwise as it is."""
    return x.float() if x.dtype.itemsize < float32.itemsize else x
