"""Networks fitted to a device and a precision: faster or more exact modules in place of torch's, and memory layouts.

The papers' networks are written in torch's own words and work as they are. ``fit`` changes what they are computed by
and nothing that a checkpoint or an optimizer knows of: names and parameters stay, because a replaced module keeps all
that it holds and gets another ``forward``.
"""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.parametrizations import _SpectralNorm

from inpaintlab.layers import (
    FewOutputsConv2d,
    Float32Linear,
    InstanceNorm,
    ReflectionPad2d,
    RoundedGradientConv2d,
    RoundedGradientConvTranspose2d,
    SpectralNorm,
    at_least_float32,
)

ROUNDED = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}
"""The numbers in which a mixed precision convolves."""


FEW_OUTPUTS = 3
"""Up to so many output channels a CPU's convolution idles."""


def fit(networks: Iterable[nn.Module], device: str, precision: str, constants: Iterable[nn.Module] = ()) -> None:
    """Fit networks to where and in which numbers they will compute, in place; again changes nothing.

    Args:
        networks: learn or complete images.
        device: 'cpu' or 'cuda'.
        precision: of Lightning's trainer, such as '32-true' or 'bf16-mixed'.
        constants: take part in losses and never learn, such as VGG-19.
    """
    mixed = precision in ROUNDED
    for network in networks:
        normed = any(isinstance(module, _BatchNorm) for module in network.modules())
        for module in network.modules():
            _replace(module, on_cpu=device == "cpu", mixed=mixed, normed=normed)
        if mixed:
            _end_in_float32(network)
        if mixed and not normed:
            _lay_out(network)
    for network in constants:
        for parameter in network.parameters() if mixed else ():
            parameter.data = parameter.data.to(ROUNDED[precision])  # once, where autocast would round in each step
        _lay_out(network)


def _replace(module: nn.Module, *, on_cpu: bool, mixed: bool, normed: bool) -> None:
    """Give a module of torch's the ``forward`` that fits, where there is one."""
    kind = type(module)
    if kind is _SpectralNorm and module.n_power_iterations == 1:
        module.__class__ = SpectralNorm
    elif kind is nn.InstanceNorm2d and not module.affine and not module.track_running_stats:
        module.__class__ = InstanceNorm
    elif kind is nn.ReflectionPad2d and mixed:
        module.__class__ = ReflectionPad2d
    elif kind is nn.Conv2d and on_cpu and _has_few_outputs(module):
        module.__class__ = FewOutputsConv2d
    elif normed and mixed and kind in _WITH_BATCH_NORM:
        module.__class__ = _WITH_BATCH_NORM[kind]


_WITH_BATCH_NORM: dict[type[nn.Module], type[nn.Module]] = {
    nn.Conv2d: RoundedGradientConv2d,
    nn.ConvTranspose2d: RoundedGradientConvTranspose2d,
    nn.Linear: Float32Linear,
}
"""In a network with batch norm a rounded output turns the gradients of all layers before it."""


def _has_few_outputs(layer: nn.Module) -> bool:
    """Whether ``FewOutputsConv2d`` computes what this convolution does, and pays."""
    assert isinstance(layer, nn.Conv2d)
    plain = (layer.stride, layer.padding, layer.dilation, layer.groups) == ((1, 1), (0, 0), (1, 1), 1)
    return plain and layer.out_channels <= FEW_OUTPUTS and layer.padding_mode == "zeros"


def _end_in_float32(network: nn.Module) -> None:
    """Let the last layer give float32, so that probabilities, colours, logits and their losses are not rounded."""
    layers = [module for module in network.modules() if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear)]
    if layers and _in_float32 not in layers[-1]._forward_hooks.values():
        layers[-1].register_forward_hook(_in_float32)


def _in_float32(layer: nn.Module, inputs: Any, output: Tensor) -> Tensor:
    return at_least_float32(output)


def _lay_out(network: nn.Module) -> None:
    """Lay the weights out in channels_last; convolutions then give their output in it, and what follows keeps it.

    A CPU convolves bfloat16 about a tenth faster so, and float32 no faster, but pools five times as fast.
    """
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # which torch has forgotten
