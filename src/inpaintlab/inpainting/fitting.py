"""Fits networks to a device and a precision: faster or more exact modules instead of torch's, and memory formats.

The papers' networks are written with torch's own modules and work as they are. ``fit`` changes only how they compute.
Checkpoints and optimizers notice nothing: a replaced module keeps its names and parameters and only gets another
``forward``.
"""

from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.parametrizations import _SpectralNorm

from inpaintlab.layers import (
    ChannelsLastInstanceNorm,
    ChannelsLastReflectionPad2d,
    FewOutputsConv2d,
    Float32Conv2d,
    Float32ConvTranspose2d,
    Float32Linear,
    InstanceNorm,
    ReflectionPad2d,
    RoundedGradientConv2d,
    RoundedGradientConvTranspose2d,
    SpectralNorm,
    UnbiasedConv2d,
    UnbiasedConvTranspose2d,
    at_least_float32,
    iterate_together,
)

ROUNDED = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}
"""The dtype of convolutions in each mixed precision."""

CONSTANT = ROUNDED | {"64-true": torch.float64}
"""The dtype of the weights of networks that never learn, which Lightning does not know; else float32."""

FEW_OUTPUTS = 3
"""Up to so many output channels, ``FewOutputsConv2d`` is faster on a CPU."""


def fit(networks: Iterable[nn.Module], device: str, precision: str, constants: Iterable[nn.Module] = ()) -> None:
    """Fit networks in place to the device and the precision that they will compute in; a second call changes nothing.

    Args:
        networks: those that learn or complete images.
        device: 'cpu' or 'cuda'.
        precision: of Lightning's trainer, such as '32-true' or 'bf16-mixed'.
        constants: networks that take part in losses and never learn, such as VGG-19.
    """
    mixed, on_gpu = precision in ROUNDED, device != "cpu"
    for network in networks:
        normed = any(isinstance(module, _BatchNorm) for module in network.modules())
        better = _replacements(on_gpu=on_gpu, mixed=mixed, normed=normed)
        for module in network.modules():
            if (kind := _kind(module)) in better:
                module.__class__ = better[kind]
        if on_gpu:
            _leave_biases_out(network)
            iterate_together(network)
        else:
            _use_few_outputs(network)
        if mixed:
            _end_in_float32(network)
        if on_gpu or (mixed and not normed):
            _to_channels_last(network)
    for network in constants:
        for parameter in network.parameters() if precision in CONSTANT else ():
            parameter.data = parameter.data.to(CONSTANT[precision])  # once; autocast would round them in each step
        _to_channels_last(network)


def laid_out(batch: dict[str, Any], device: str) -> dict[str, Any]:
    """A batch in the memory format of the networks' feature maps: channels_last on a GPU, as it comes on a CPU.

    There a compiler makes other kernels for another format, and real and generated images have to share theirs.
    """
    if device == "cpu":
        return batch
    maps = {name: x for name, x in batch.items() if isinstance(x, Tensor) and x.dim() == 4}
    return batch | {name: x.contiguous(memory_format=torch.channels_last) for name, x in maps.items()}


def _replacements(*, on_gpu: bool, mixed: bool, normed: bool) -> dict[type[nn.Module], type[nn.Module]]:
    """What computes better than torch's modules; the classes give the reasons.

    Args:
        on_gpu: whose convolutions are made for channels_last in every precision, so nothing between them may leave it.
        mixed: whether the precision is a mixed one.
        normed: whether the network has batch norm.
    """
    better: dict[type[nn.Module], type[nn.Module]] = {
        _SpectralNorm: SpectralNorm,
        nn.InstanceNorm2d: ChannelsLastInstanceNorm if on_gpu else InstanceNorm,
    }
    if on_gpu or mixed:
        better[nn.ReflectionPad2d] = ChannelsLastReflectionPad2d if on_gpu else ReflectionPad2d
    if mixed and normed:
        better[nn.Conv2d] = Float32Conv2d if on_gpu else RoundedGradientConv2d
        better[nn.ConvTranspose2d] = Float32ConvTranspose2d if on_gpu else RoundedGradientConvTranspose2d
        better[nn.Linear] = Float32Linear
    return better


def _kind(module: nn.Module) -> type[nn.Module] | None:
    """The class of one of torch's modules; None where its settings are others than those that ours have."""
    kind = type(module)
    if kind is _SpectralNorm and module.n_power_iterations != 1:
        return None
    if kind is nn.InstanceNorm2d and (module.affine or module.track_running_stats):
        return None
    return kind


_UNBIASED: dict[type[nn.Module], type[nn.Module]] = {
    nn.Conv2d: UnbiasedConv2d,
    nn.ConvTranspose2d: UnbiasedConvTranspose2d,
}
"""Replacements in front of an instance norm."""


def _leave_biases_out(network: nn.Module) -> None:
    """Leave the biases out that stand in front of an instance norm."""
    for module in network.modules():
        for first, second in pairwise(module.children()) if type(module) is nn.Sequential else ():
            if type(second) is ChannelsLastInstanceNorm and type(first) in _UNBIASED:
                first.__class__ = _UNBIASED[type(first)]


def _use_few_outputs(network: nn.Module) -> None:
    for module in network.modules():
        if type(module) is nn.Conv2d and _has_few_outputs(module):
            module.__class__ = FewOutputsConv2d


def _has_few_outputs(layer: nn.Module) -> bool:
    """Whether ``FewOutputsConv2d`` computes the same as this convolution, and faster."""
    assert isinstance(layer, nn.Conv2d)
    plain = (layer.stride, layer.padding, layer.dilation, layer.groups) == ((1, 1), (0, 0), (1, 1), 1)
    return plain and layer.out_channels <= FEW_OUTPUTS and layer.padding_mode == "zeros"


def _end_in_float32(network: nn.Module) -> None:
    """Convert the last layer's output to float32, so that losses are not computed in 16 bits."""
    layers = [module for module in network.modules() if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear)]
    if layers and _in_float32 not in layers[-1]._forward_hooks.values():
        layers[-1].register_forward_hook(_in_float32)


def _in_float32(layer: nn.Module, inputs: Any, output: Tensor) -> Tensor:
    return at_least_float32(output)


def _to_channels_last(network: nn.Module) -> None:
    """Store the weights in channels_last; convolutions then return it, and the modules after them keep it.

    In this memory format a CPU's convolutions are about a tenth faster in bfloat16 and no faster in float32; its
    pooling is five times as fast. A GPU's tensor cores read it in every precision.
    """
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in torch's annotations
