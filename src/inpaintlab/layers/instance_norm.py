"""Instance norm that is right and fast in every memory format, on every device, and when it is compiled."""

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from inpaintlab.layers.rounding import at_least_float32

_PIXELS = (2, 3)


class InstanceNorm(nn.InstanceNorm2d):
    """The same function as ``nn.InstanceNorm2d``, without affine parameters and running statistics, on a CPU.

    On the CPU torch 2.13 gives a wrong input gradient for ``nn.InstanceNorm2d`` when the output gradient is
    channels_last and the batch is 1. Group norm with one group for each channel is right in every memory format, but on
    the CPU its gradient takes 20 to 30 times as long in channels_last. There each image becomes a batch of one for
    batch norm, which is the same function with statistics in float32.
    """

    def forward(self, x: Float[Tensor, "batch features height width"]) -> Float[Tensor, "batch features height width"]:
        """Each channel of each image with mean 0 and variance 1, in the memory format and dtype of the input."""
        if torch.compiler.is_compiling():
            return normalised(x, self.eps)
        if x.is_contiguous():
            return F.group_norm(x, self.num_features, eps=self.eps)
        images = [F.batch_norm(image, None, None, training=True, eps=self.eps) for image in x.split(1)]
        return torch.cat(images) if len(images) > 1 else images[0]


class ChannelsLastInstanceNorm(nn.InstanceNorm2d):
    """The same function for a GPU, where every norm of torch copies channels_last images into the other format.

    On an H200 such copies, and those back for the next convolution, were a third of EdgeConnect's kernel time (torch
    2.11, 256 pixels, batch 16, bfloat16, 2026-11-28). This one is made of sums and products, which keep the format, and
    reads and writes each image in its own dtype; autocast would make float32 of torch's.
    """

    def forward(self, x: Float[Tensor, "batch features height width"]) -> Float[Tensor, "batch features height width"]:
        """Each channel of each image with mean 0 and variance 1, in the memory format and dtype of the input."""
        if torch.compiler.is_compiling():
            return normalised(x, self.eps)
        return _InstanceNorm.apply(x, self.eps)


def normalised(x: Tensor, eps: float) -> Tensor:
    """Instance norm as its formula, which a compiler fuses with what stands around it; statistics in float32."""
    wide = at_least_float32(x)
    variance, mean = torch.var_mean(wide, _PIXELS, correction=0, keepdim=True)
    return ((wide - mean) * (variance + eps).rsqrt()).to(x.dtype)


class _InstanceNorm(torch.autograd.Function):
    """Instance norm in few passes over the image: two for the statistics, one for the output, five for the gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, eps: float) -> Tensor:
        if x.dtype.itemsize < torch.float32.itemsize:
            # torch would round variances to 16 bits; the products below are exact in float32
            mean = x.mean(_PIXELS, keepdim=True, dtype=torch.float32)
            squares = torch.linalg.vector_norm(x, 2, _PIXELS, keepdim=True, dtype=torch.float32).square()
            variance = (squares / (x.shape[2] * x.shape[3])).addcmul_(mean, mean, value=-1).clamp_min_(0)
        else:
            variance, mean = torch.var_mean(x, _PIXELS, correction=0, keepdim=True)
        scale = (variance + eps).rsqrt_()
        ctx.save_for_backward(x, mean, scale)
        return torch.addcmul(-mean * scale, x, scale, out=torch.empty_like(x))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        """scale * (g - mean(g) - n mean(g n)), with n the normalised image."""
        x, mean, scale = ctx.saved_tensors
        of_one = gradient.mean(_PIXELS, keepdim=True, dtype=mean.dtype)
        of_x = (gradient * x).mean(_PIXELS, keepdim=True, dtype=mean.dtype)
        slope = scale.pow(3) * of_x.addcmul_(mean, of_one, value=-1)
        constant = (mean * slope).addcmul_(scale, of_one, value=-1)
        linear = torch.addcmul(constant, x, slope, value=-1, out=torch.empty_like(x))
        return torch.addcmul(linear, gradient, scale, out=torch.empty_like(x)), None
