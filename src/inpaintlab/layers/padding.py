"""Padding that mixed precision leaves as it is."""

import torch
from jaxtyping import Float
from torch import Tensor, nn


class ReflectionPad2d(nn.ReflectionPad2d):
    """Torch's, which mixed precision on a CPU would compute in float32, though nothing in it rounds."""

    def forward(self, x: Float[Tensor, "batch features height width"]) -> Float[Tensor, "batch features rows columns"]:
        """The input with its border mirrored, in the numbers in which it came."""
        with torch.autocast(x.device.type, enabled=False):
            return super().forward(x)
