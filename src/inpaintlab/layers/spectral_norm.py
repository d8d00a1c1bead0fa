"""Spectral norm (Miyato et al. 2018) in few passes over the weight."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.utils.parametrizations import _SpectralNorm
from torch.nn.utils.parametrize import is_parametrized, remove_parametrizations


class SpectralNorm(_SpectralNorm):
    """Torch's spectral norm with fewer passes over the weight and fewer launches, in float32 under mixed precision.

    On a GPU autocast multiplies a matrix and a vector in 16 bits: power iterations would stall at its rounding, and
    torch's product of the result with a float32 vector raises an error.

    The weight is viewed as a matrix in its order in memory, so that it is never copied, and the gradient is a formula
    instead of autograd's record of each step: a third of the passes over the weight. For EdgeConnect's G1 it takes
    0.07 s of one core, forward and backward, instead of 0.11, or instead of 0.13 in channels_last. A step of phase
    ``edge`` in float32 takes 4.2 s of one core (256 pixels, batch 1; Intel Xeon at 2.5 GHz, other processes running,
    torch 2.13, 2026-11-28).
    """

    def forward(self, weight: Tensor) -> Tensor:
        """The weight divided by its largest singular value; in training mode after one more power iteration."""
        with torch.autocast(weight.device.type, enabled=False):
            return self._divided(weight)

    def _divided(self, weight: Tensor) -> Tensor:
        others = [dim for dim in range(weight.dim()) if dim != self.dim]
        in_memory = sorted(others, key=weight.stride, reverse=True)
        order = (self.dim, *in_memory)
        matrix = weight.detach().permute(order).flatten(1)
        sides = [weight.shape[dim] for dim in others]
        kept_v = self._v.view(sides).permute([others.index(dim) for dim in in_memory])
        if self.training:
            left = torch.mv(matrix, kept_v.flatten())
            right = torch.mv(matrix.mT, left)
            # an iteration in float32 takes singular values from 1e-19 to 1e19; a weight that is 0 stays so
            left_length, right_length = (torch.linalg.vector_norm(x).clamp_min_(1e-38) for x in (left, right))
            u, v = left / left_length, right / right_length
            torch._foreach_copy_([self._u, kept_v], [u, v.view(kept_v.shape)])
            singular = right_length / left_length  # u^T W v
        else:  # copies, since a power iteration may follow before the gradient
            u, v = self._u.clone(), kept_v.clone(memory_format=torch.contiguous_format).flatten()
            singular = torch.vdot(u, torch.mv(matrix, v))
        return _DividedBySingularValue.apply(weight, u, v, singular, order)


class _DividedBySingularValue(torch.autograd.Function):
    """W / s with s = u^T W v, u and v constant: the gradient is (g - (sum(g W) / s) u v^T) / s."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, u: Tensor, v: Tensor, singular: Tensor, order: tuple[int, ...]) -> Tensor:
        ctx.save_for_backward(weight, u, v, singular)
        ctx.order = order
        return weight / singular

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None, None]:
        weight, u, v, singular = ctx.saved_tensors
        along, matrix = (tensor.permute(ctx.order).flatten(1) for tensor in (gradient, weight))
        share = torch.vdot(along.flatten(), matrix.flatten()) / singular
        turned = torch.addr(along, u, v * share, alpha=-1).div_(singular)
        sides = [weight.shape[dim] for dim in ctx.order]
        return turned.view(sides).permute([ctx.order.index(dim) for dim in range(weight.dim())]), None, None, None, None


def fuse_spectral_norm(network: nn.Module) -> None:
    """Divide the weights by their largest singular values once and for all, in place.

    Args:
        network: completes images and does not learn any more. Its outputs stay the same, bit for bit; it is left in
            evaluation mode.
    """
    network.eval()  # in training mode, reading a weight would run a power iteration
    for layer in list(network.modules()):
        if is_parametrized(layer, "weight"):
            remove_parametrizations(layer, "weight", leave_parametrized=True)
