"""Convolutions and linear layers that are faster on a CPU, or more exact in mixed precision, than torch's own."""

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from inpaintlab.layers.rounding import at_least_float32


class FewOutputsConv2d(nn.Conv2d):
    """A convolution with few outputs, such as the one that ends a generator: stride 1, no padding, no dilation.

    A CPU's convolutions compute many output channels at once and are mostly idle with 1 or 3. So the rows of the kernel
    become output channels of a convolution with a kernel of one row, and its outputs are shifted and added: the same
    sums in another order, from the same parameters.

    Seconds of one core, forward and backward, for EdgeConnect's last layers at 256 pixels and batch 1: G1 takes 0.11
    instead of 0.56 in bfloat16 and 0.05 instead of 0.19 in float32; G2 takes 0.22 instead of 0.59 and 0.10 instead of
    0.19. A step in float32 takes 4.2 (phase ``edge``) and 7.4 (``inpaint``) seconds of one core (Intel Xeon at 2.5 GHz,
    other processes running, torch 2.13, 2026-11-28).
    """

    def forward(self, x: Float[Tensor, "batch features height width"]) -> Float[Tensor, "batch outputs rows columns"]:
        """The convolution of the input."""
        outputs, incoming, rows, columns = self.weight.shape
        weight = self.weight.transpose(1, 2).reshape(outputs * rows, incoming, 1, columns)
        by_row = F.conv2d(x, weight).unflatten(1, (outputs, rows))
        height = x.shape[2] - rows + 1
        total = torch.stack([by_row[:, :, row, row : row + height] for row in range(rows)]).sum(dim=0)
        return total if self.bias is None else total + self.bias.view(-1, 1, 1)


class RoundedGradientConv2d(nn.Conv2d):
    """A convolution whose forward pass in training stays in float32 under mixed precision; its gradients have 16 bits.

    Through a stack of batch norms, rounded outputs change the direction of the gradients of all earlier layers: GLCIC's
    had a cosine similarity of 0.65 to 0.96 with those in float64. Rounding errors of the backward pass go through
    linear maps only: 0.9999. In evaluation mode without gradients, the output is rounded like any convolution's.
    """

    def forward(self, x: Float[Tensor, "batch features height width"]) -> Float[Tensor, "batch outputs rows columns"]:
        """The convolution of the input."""
        return _with_rounded_gradients(self, x, (False, (0, 0))) if _rounds(self, x) else super().forward(x)


class RoundedGradientConvTranspose2d(nn.ConvTranspose2d):
    """The same as ``RoundedGradientConv2d`` for a transposed convolution; ``forward`` takes no output size."""

    def forward(  # type: ignore[override]
        self, x: Float[Tensor, "batch features height width"]
    ) -> Float[Tensor, "batch outputs rows columns"]:
        """The transposed convolution of the input."""
        transposed = (True, (*self.output_padding,))
        return _with_rounded_gradients(self, x, transposed) if _rounds(self, x) else super().forward(x)


class Float32Conv2d(nn.Conv2d):
    """A convolution that stays in float32 under mixed precision while it may get gradients, forward and backward.

    It is for the networks with batch norm on a GPU, where a convolution of float32 has rounded operands anyway (TF32):
    16 bits for its gradients (``RoundedGradientConv2d``) would take five more passes over the images. In evaluation
    mode without gradients, it computes in 16 bits like any other.
    """

    def forward(self, x: Float[Tensor, "batch features height width"]) -> Float[Tensor, "batch outputs rows columns"]:
        """The convolution of the input."""
        with torch.autocast(x.device.type, enabled=torch.is_autocast_enabled(x.device.type) and not _rounds(self, x)):
            return super().forward(x)


class Float32ConvTranspose2d(nn.ConvTranspose2d):
    """The same as ``Float32Conv2d`` for a transposed convolution; ``forward`` takes no output size."""

    def forward(  # type: ignore[override]
        self, x: Float[Tensor, "batch features height width"]
    ) -> Float[Tensor, "batch outputs rows columns"]:
        """The transposed convolution of the input."""
        with torch.autocast(x.device.type, enabled=torch.is_autocast_enabled(x.device.type) and not _rounds(self, x)):
            return super().forward(x)


class UnbiasedConv2d(nn.Conv2d):
    """A convolution whose bias is left out, because the instance norm after it takes any constant away.

    The bias's gradient is zero, so it gets none. On a GPU a bias is a pass of its own over the output, and its gradient
    another one.
    """

    def forward(self, x: Float[Tensor, "batch features height width"]) -> Float[Tensor, "batch outputs rows columns"]:
        """The convolution of the input, without bias."""
        return self._conv_forward(x, self.weight, None)


class UnbiasedConvTranspose2d(nn.ConvTranspose2d):
    """The same as ``UnbiasedConv2d`` for a transposed convolution; ``forward`` takes no output size."""

    def forward(  # type: ignore[override]
        self, x: Float[Tensor, "batch features height width"]
    ) -> Float[Tensor, "batch outputs rows columns"]:
        """The transposed convolution of the input, without bias."""
        settings = (self.stride, self.padding, self.output_padding, self.groups, self.dilation)
        return F.conv_transpose2d(x, self.weight, None, *settings)  # type: ignore[arg-type]


class Float32Linear(nn.Linear):
    """A linear layer that stays in float32 under mixed precision: it takes little time beside the convolutions."""

    def forward(self, x: Float[Tensor, "batch features"]) -> Float[Tensor, "batch outputs"]:
        """The affine map of the input, in float32 or wider."""
        with torch.autocast(x.device.type, enabled=False):
            return super().forward(at_least_float32(x))


def _rounds(layer: nn.Module, x: Tensor) -> bool:
    """Whether mixed precision is on and the layer may get gradients."""
    return torch.is_autocast_enabled(x.device.type) and (layer.training or torch.is_grad_enabled())


def _with_rounded_gradients(
    layer: nn.Conv2d | nn.ConvTranspose2d, x: Tensor, transposed: tuple[bool, tuple[int, ...]]
) -> Tensor:
    assert not isinstance(layer.padding, str)
    settings = ((*layer.stride,), (*layer.padding,), (*layer.dilation,), *transposed, layer.groups)
    dtype = torch.get_autocast_dtype(x.device.type)
    return _ConvolutionWithRoundedGradients.apply(x, layer.weight, layer.bias, settings, dtype)


class _ConvolutionWithRoundedGradients(torch.autograd.Function):
    """``torch.convolution``, with gradients of its input and weight from operands rounded to ``dtype``."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, settings: tuple[Any, ...], dtype: torch.dtype
    ) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.settings, ctx.dtype = settings, dtype
        with torch.autocast(x.device.type, enabled=False):
            return torch.convolution(x, weight, bias, *settings)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None, None]:
        for_x, for_weight, for_bias, *_ = ctx.needs_input_grad
        x, weight = ctx.saved_tensors
        operands = [gradient, x, weight]
        if _each_tap_sees_a_pixel(x, weight, ctx.settings):
            operands = [operand.to(ctx.dtype) for operand in operands]
        gradients = torch.ops.aten.convolution_backward(*operands, None, *ctx.settings, [for_x, for_weight, False])
        of_x, of_weight = (None if g is None else g.to(gradient.dtype) for g in gradients[:2])
        return of_x, of_weight, gradient.sum(dim=(0, 2, 3)) if for_bias else None, None, None


def _each_tap_sees_a_pixel(x: Tensor, weight: Tensor, settings: tuple[Any, ...]) -> bool:
    """Whether no part of the kernel meets padding alone.

    In bfloat16 on the CPU torch 2.13 may leave the gradient of such a part uninitialised, NaN included.
    """
    _, padding, dilation, *_ = settings
    return all(
        side > max(pad, step * (taps - 1) - pad)
        for side, taps, pad, step in zip(x.shape[2:], weight.shape[2:], padding, dilation, strict=True)
    )


def channels(base: int, width: float) -> int:
    """A layer's number of channels under a width multiplier.

    Args:
        base: the number at width 1.
        width: the multiplier.

    Returns:
        At least 1.

    Raises:
        ValueError: the multiplier is not positive.
    """
    if width <= 0:
        raise ValueError(f"The width multiplier is {width}; give a positive number (1 is the paper's network).")
    return max(1, round(base * width))
