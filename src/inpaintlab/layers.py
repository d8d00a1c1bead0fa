"""Blocks that at least two models use."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


class InstanceNorm(nn.GroupNorm):
    """Instance norm without affine parameters and running statistics, as one group per channel.

    The same function as ``nn.InstanceNorm2d(channels)``. On the CPU torch 2.13 returns a wrong input gradient for that
    one when the incoming gradient is channels_last and the batch is 1; group norm is right in every layout. But its
    gradient in channels_last takes 20 to 30 times as long there, so each image is then a batch norm's batch of one:
    the same function again, with statistics in float32.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(num_groups=channels, num_channels=channels, affine=False)

    def forward(self, x: Float[Tensor, "batch features height width"]) -> Float[Tensor, "batch features height width"]:
        """Each channel of each image with mean 0 and variance 1, in the layout that it came in."""
        if x.device.type != "cpu" or x.is_contiguous():
            return super().forward(x)
        images = [F.batch_norm(image, None, None, training=True, eps=self.eps) for image in x.split(1)]
        return torch.cat(images) if len(images) > 1 else images[0]


class ThinConv2d(nn.Conv2d):
    """A convolution with few outputs, such as the one that ends a generator: stride 1, no padding, no dilation.

    A CPU's convolutions compute many output channels at once and idle at 1 or 3. So the rows of the kernel become
    output channels of a convolution as high as one pixel, and its outputs are shifted and added: the same sums in
    another order, from the same parameters.
    """

    def forward(self, x: Float[Tensor, "batch features height width"]) -> Float[Tensor, "batch outputs rows columns"]:
        """The convolution of the input."""
        if x.device.type != "cpu":
            return super().forward(x)
        outputs, incoming, rows, columns = self.weight.shape
        weight = self.weight.transpose(1, 2).reshape(outputs * rows, incoming, 1, columns)
        by_row = F.conv2d(x, weight).unflatten(1, (outputs, rows))
        height = x.shape[2] - rows + 1
        total = torch.stack([by_row[:, :, row, row : row + height] for row in range(rows)]).sum(dim=0)
        return total if self.bias is None else total + self.bias.view(-1, 1, 1)


def laid_out(x: Float[Tensor, "batch planes height width"]) -> Float[Tensor, "batch planes height width"]:
    """A network's input in the layout that suits its convolutions: channels_last in mixed precision.

    What follows keeps the layout. A CPU convolves bfloat16 about a tenth faster in it, and float32 no faster.
    """
    if not torch.is_autocast_enabled(x.device.type):
        return x
    return x.contiguous(memory_format=torch.channels_last)


def channels(base: int, width: float) -> int:
    """A layer's channel count under a width multiplier: at least 1, and ``base`` itself at width 1."""
    if width <= 0:
        raise ValueError(f"The width multiplier is {width}; give a positive number (1 is the paper's network).")
    return max(1, round(base * width))
