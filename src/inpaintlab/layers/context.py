"""What a pixel of a network's output depends on, computed from its layers."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import final

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.instancenorm import _InstanceNorm

from inpaintlab.layers.attention import ContextualAttention
from inpaintlab.layers.padding import SamePad2d

_BY_PIXEL = (nn.ReLU, nn.LeakyReLU, nn.ELU, nn.Sigmoid, nn.Tanh, nn.Identity, _BatchNorm)
"""What makes each pixel from itself; batch norm in evaluation mode, as images are completed."""

_EVERYWHERE: dict[type[nn.Module], str] = {
    _InstanceNorm: "instance norm takes the statistics of all that it sees",
    ContextualAttention: "contextual attention copies from all that it sees",
}
"""What makes a pixel from the whole image, in words."""


@final
@dataclass(frozen=True)
class Context:
    """What has to be seen around a pixel so that it is filled as in the whole image.

    Args:
        pixels: on each side of it, the radius of the receptive field.
        align: where a window may begin and end, in multiples of so many pixels, so that strided layers have the whole
            image's grid in it.
        everywhere: what a pixel takes from the whole image beside that, in words; '' for nothing.
    """

    pixels: int
    align: int
    everywhere: str = ""

    @property
    def suffices(self) -> bool:
        """Whether a window that holds so much gives the whole image's pixels."""
        return not self.everywhere


def context_of(layers: Iterable[nn.Module], align: int = 1) -> Context:
    """The context of layers that work one after the other, in evaluation mode.

    A pixel of the output at x depends on the input's pixels from x - before to x + after. A layer adds to both what its
    kernel reaches, in pixels of the input.

    Args:
        layers: in their order. Their parts are taken in the order in which they were made; what runs beside them, such
            as the identity of a residual block or a skip connection, reaches no farther than they do.
        align: what the sides of the input are multiples of.

    Raises:
        TypeError: a layer is none of those whose reach is known.
    """
    before = after = 0.0
    jump = 1.0  # pixels of the input from one feature to the next
    everywhere: list[str] = []
    for layer in _leaves(layers):
        if isinstance(layer, nn.Conv2d):
            first, span = _padding(layer), layer.dilation[0] * (layer.kernel_size[0] - 1)
            before, after, jump = before + first * jump, after + (span - first) * jump, jump * layer.stride[0]
        elif isinstance(layer, nn.ConvTranspose2d):
            last, span = _padding(layer), layer.dilation[0] * (layer.kernel_size[0] - 1)
            jump /= layer.stride[0]
            before, after = before + (span - last) * jump, after + last * jump
        elif isinstance(layer, nn.Upsample):
            assert layer.mode == "nearest"
            jump /= float(layer.scale_factor)  # type: ignore[arg-type]
            before += jump * (float(layer.scale_factor) - 1)  # type: ignore[arg-type]
        elif isinstance(layer, nn.ReflectionPad2d):
            before, after = before + layer.padding[0] * jump, after - layer.padding[0] * jump
        elif isinstance(layer, SamePad2d):  # of even sides, which multiples of the largest stride are at every layer
            first = (layer.kernel - layer.stride) // 2
            before, after = before + first * jump, after - first * jump
        elif words := [words for kind, words in _EVERYWHERE.items() if isinstance(layer, kind)]:
            everywhere += words
        elif not isinstance(layer, _BY_PIXEL):
            raise TypeError(f"What a {type(layer).__name__} reaches is not known.")
        align = math.lcm(align, math.ceil(jump))
    return Context(math.ceil(max(before, after)), align, " and ".join(dict.fromkeys(everywhere)))


def _leaves(layers: Iterable[nn.Module]) -> Iterator[nn.Module]:
    """The layers that have no parts, in their order; a parametrized convolution is one."""
    for layer in layers:
        whole = isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | ContextualAttention)
        if whole or not any(True for _ in layer.children()):
            yield layer
        else:
            yield from _leaves(layer.children())


def _padding(layer: nn.Conv2d | nn.ConvTranspose2d) -> int:
    assert not isinstance(layer.padding, str)
    return int(layer.padding[0])
