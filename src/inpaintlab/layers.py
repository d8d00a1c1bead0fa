"""Blocks that at least two models use."""

from torch import nn


class InstanceNorm(nn.GroupNorm):
    """Instance norm without affine parameters and running statistics, as one group per channel.

    The same function as ``nn.InstanceNorm2d(channels)``. On the CPU torch 2.13 returns a wrong input gradient for that
    one when the incoming gradient is channels_last and the batch is 1; group norm is right in every layout.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(num_groups=channels, num_channels=channels, affine=False)


def channels(base: int, width: float) -> int:
    """A layer's channel count under a width multiplier: at least 1, and ``base`` itself at width 1."""
    if width <= 0:
        raise ValueError(f"The width multiplier is {width}; give a positive number (1 is the paper's network).")
    return max(1, round(base * width))
