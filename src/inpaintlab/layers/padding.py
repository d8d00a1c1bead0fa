"""Reflection padding that keeps the dtype of its input under mixed precision, or its memory format on a GPU; and
TensorFlow's padding.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


class ReflectionPad2d(nn.ReflectionPad2d):
    """Torch's reflection padding in the dtype of the input: autocast on a CPU would convert it to float32 for nothing.

    A generator's 17 paddings of many channels take 0.03 s of one core in bfloat16 instead of 0.12, forward and
    backward; a step of EdgeConnect's phase ``edge`` takes 4.2 s of one core in float32 (256 pixels, batch 1; Intel Xeon
    at 2.5 GHz, other processes running, torch 2.13, 2026-11-28).
    """

    def forward(self, x: Float[Tensor, "batch features height width"]) -> Float[Tensor, "batch features rows columns"]:
        """The input with its border mirrored outwards, in its own dtype."""
        with torch.autocast(x.device.type, enabled=False):
            return super().forward(x)


class ChannelsLastReflectionPad2d(nn.ReflectionPad2d):
    """Torch's reflection padding in the memory format of the input, for a GPU.

    There torch 2.11 pads channels_last images by copying them into the other format, and gives that one back; so does
    what its compiler makes of it, for the backward pass. Seen as volumes of rows, columns and channels, they are padded
    by the same kernel where they lie.
    """

    def forward(self, x: Float[Tensor, "batch features height width"]) -> Float[Tensor, "batch features rows columns"]:
        """The input with its border mirrored outwards."""
        left, right, top, bottom = self.padding
        volumes = x.permute(0, 2, 3, 1).unsqueeze(1)
        return F.pad(volumes, (0, 0, left, right, top, bottom), mode="reflect").squeeze(1).permute(0, 3, 1, 2)


class SamePad2d(nn.Module):
    """TensorFlow's padding with zeros: the convolution's output has the input's side over the stride, rounded up."""

    def __init__(self, kernel: int, stride: int) -> None:
        super().__init__()
        self.kernel = kernel
        self.stride = stride

    def forward(self, x: Float[Tensor, "batch features height width"]) -> Float[Tensor, "batch features rows columns"]:
        """The padded input; an odd number of rows or columns has one more at the bottom or right."""
        around = []
        for side in (x.shape[-1], x.shape[-2]):
            total = max((-(-side // self.stride) - 1) * self.stride + self.kernel - side, 0)
            around += [total // 2, total - total // 2]
        return F.pad(x, around)
