"""Contextual Attention: Yu, Lin, Yang, Shen, Lu, Huang, "Generative Image Inpainting with Contextual Attention", CVPR 2018.

The defaults are those of the authors' code (JiahuiYu/generative_inpainting, branch v1.0.0, 06cd62c), called *released*;
arguments choose what daa233/generative-inpainting-pytorch (c6cdaea) and mmagic (0a560bb) do differently.
"""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from inpaintlab.layers import ContextualAttention as Attention
from inpaintlab.layers import at_corners, at_least_float32, channels
from inpaintlab.shapes import Images, Planes, Size, height_width

Features = Float[Tensor, "batch _ _ _"]


@final
@dataclass(frozen=True)
class Flavour:
    """How an implementation computes its networks; published weights want theirs.

    Args:
        padding: of the generator's convolutions: 'same' as TensorFlow's, which at stride 2 pads even sides at the bottom
            and right alone; 'zeros', the same on each side; 'reflect', likewise.
        halving: see ``layers.ContextualAttention``; the mask becomes smaller in the same way.
        norm: likewise.
        invalid: likewise.
        overlap: likewise.
        matching: the activation before the attention.
        widest: channels of the local critic's last convolution.
        judging: the critics' activation; with ELU they end in a leaky ReLU.
    """

    padding: str
    halving: str
    norm: str
    invalid: str
    overlap: str
    matching: type[nn.Module]
    widest: int
    judging: str


FLAVOURS: Mapping[str, Flavour] = {
    "released": Flavour("same", "corners", "clamped", "zero", "four", nn.ReLU, 512, "leaky"),
    "daa233": Flavour("zeros", "even", "added", "zero", "four", nn.ReLU, 256, "leaky"),
    "mmagic": Flavour("reflect", "even", "clamped", "excluded", "counted", nn.ELU, 512, "elu"),
}


class SamePad2d(nn.Module):
    """TensorFlow's padding with zeros for a convolution: the output has the input's side over the stride, rounded up."""

    def __init__(self, kernel: int, stride: int) -> None:
        super().__init__()
        self.kernel = kernel
        self.stride = stride

    def forward(self, x: Features) -> Features:
        """The padded input; an odd number of rows or columns has one more at the bottom or right."""
        around = []
        for side in (x.shape[-1], x.shape[-2]):
            total = max((-(-side // self.stride) - 1) * self.stride + self.kernel - side, 0)
            around += [total // 2, total - total // 2]
        return F.pad(x, around)


class Layer(nn.Module):
    """A convolution with its padding and activation; upsampling doubles the sides before."""

    def __init__(
        self,
        incoming: int,
        outgoing: int,
        kernel: int = 3,
        *,
        padding: str,
        stride: int = 1,
        dilation: int = 1,
        upsampling: bool = False,
        activation: nn.Module | None = None,
    ) -> None:
        super().__init__()
        around = dilation * (kernel - 1) // 2
        outside = padding == "reflect" or (padding == "same" and stride > 1) or activation is None
        self.upsampling = upsampling
        self.padding: nn.Module | None = None
        if outside:
            self.padding = nn.ReflectionPad2d(around) if padding == "reflect" else SamePad2d(kernel, stride)
            around = 0
        self.convolution = nn.Conv2d(incoming, outgoing, kernel, stride, around, dilation)
        self.activation = activation
        nn.init.xavier_uniform_(self.convolution.weight)  # TensorFlow's default
        nn.init.zeros_(self.convolution.bias)  # type: ignore[arg-type]

    def forward(self, x: Features) -> Features:
        """The activated convolution."""
        if self.upsampling:
            x = F.interpolate(x, (2 * x.shape[-2], 2 * x.shape[-1]))  # a scale is no number that compiles
        x = self.convolution(x if self.padding is None else self.padding(x))
        return x if self.activation is None else self.activation(x)


Row = tuple[str, int] | tuple[str, int, int] | tuple[str, int, int, int]
"""Of a table of convolutions: name, channels, and what is not 3, 1, 1: kernel, stride, dilation."""

COARSE: list[Row] = [
    ("conv1", 32, 5),
    ("conv2_downsample", 64, 3, 2),
    ("conv3", 64),
    ("conv4_downsample", 128, 3, 2),
    ("conv5", 128),
    ("conv6", 128),
    ("conv7_atrous", 128, 3, 1, 2),
    ("conv8_atrous", 128, 3, 1, 4),
    ("conv9_atrous", 128, 3, 1, 8),
    ("conv10_atrous", 128, 3, 1, 16),
    ("conv11", 128),
    ("conv12", 128),
    ("conv13_upsample", 64),
    ("conv14", 64),
    ("conv15_upsample", 32),
    ("conv16", 16),
    ("conv17", 3),
]
HALLUCINATION: list[Row] = [
    ("xconv1", 32, 5),
    ("xconv2_downsample", 32, 3, 2),
    ("xconv3", 64),
    ("xconv4_downsample", 64, 3, 2),
    ("xconv5", 128),
    ("xconv6", 128),
    ("xconv7_atrous", 128, 3, 1, 2),
    ("xconv8_atrous", 128, 3, 1, 4),
    ("xconv9_atrous", 128, 3, 1, 8),
    ("xconv10_atrous", 128, 3, 1, 16),
]
MATCHING: list[Row] = [
    ("pmconv1", 32, 5),
    ("pmconv2_downsample", 32, 3, 2),
    ("pmconv3", 64),
    ("pmconv4_downsample", 128, 3, 2),
    ("pmconv5", 128),
    ("pmconv6", 128),
]
MATCHED: list[Row] = [("pmconv9", 128), ("pmconv10", 128)]
JOINT: list[Row] = [
    ("allconv11", 128),
    ("allconv12", 128),
    ("allconv13_upsample", 64),
    ("allconv14", 64),
    ("allconv15_upsample", 32),
    ("allconv16", 16),
    ("allconv17", 3),
]
"""By the authors' names; one that ends in _upsample doubles the sides before."""


def chain(
    incoming: int, table: list[Row], width: float, padding: str, last: type[nn.Module] = nn.ELU
) -> tuple[nn.Sequential, int]:
    """The convolutions of a table in a row, each with an ELU, and the channels that they end in.

    Args:
        incoming: channels.
        table: one of the tables above.
        width: multiplier of the table's channel counts.
        padding: see ``Flavour``.
        last: the last activation; that of an image has none.
    """
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for number, (name, count, *rest) in enumerate(table, start=1):
        kernel, stride, dilation = (*rest, *(3, 1, 1)[len(rest) :])
        paints = name.endswith("conv17")
        outgoing = count if paints else channels(count, width)
        kind = last if number == len(table) else nn.ELU
        layers[name] = Layer(
            incoming,
            outgoing,
            kernel,
            padding=padding,
            stride=stride,
            dilation=dilation,
            upsampling=name.endswith("_upsample"),
            activation=None if paints else kind(inplace=True),
        )
        incoming = outgoing
    return nn.Sequential(layers), incoming


class Refinement(nn.Module):
    """The second stage: a branch that invents, a branch that copies from the known region, and what joins both."""

    def __init__(self, width: float, flavour: Flavour) -> None:
        super().__init__()
        padding = flavour.padding
        self.halving = flavour.halving
        self.hallucination, invented = chain(5, HALLUCINATION, width, padding)
        self.matching, copied = chain(5, MATCHING, width, padding, flavour.matching)
        self.attention = Attention(flavour.halving, flavour.norm, flavour.invalid, flavour.overlap)
        self.matched, copied = chain(copied, MATCHED, width, padding)
        self.joint, _ = chain(invented + copied, JOINT, width, padding)

    def forward(self, planes: Float[Tensor, "batch 5 height width"], mask: Planes) -> Images:
        """The second stage's output, before it is clipped.

        Args:
            planes: the first stage's image in the hole and the original elsewhere, ones, and the mask.
            mask: 1 = hole.
        """
        matching = self.matching(planes)
        copied = self.matched(self.attention(matching, matching, self.small(mask)))
        return self.joint(torch.cat([self.hallucination(planes), copied], dim=1))

    def small(self, mask: Planes) -> Planes:
        """The mask at a quarter of the resolution, that of the attention."""
        if self.halving == "even":
            return mask[..., ::4, ::4]
        return at_corners(mask, mask.shape[-2] // 4, mask.shape[-1] // 4)


class Generator(nn.Module):
    """Both stages. At width 1 they have 3,601,542 parameters. Sides are multiples of 8.

    Args:
        width: multiplier of all channel counts.
        flavour: of the computation.
        planes: the order of the colours inside: 'bgr', as OpenCV reads them and published weights want them, or 'rgb'.
    """

    def __init__(self, width: float, flavour: Flavour, planes: str) -> None:
        super().__init__()
        self.planes = planes
        self.coarse, _ = chain(5, COARSE, width, flavour.padding)
        self.refinement = Refinement(width, flavour)

    def forward(self, visible: Images, mask: Planes) -> tuple[Images, Images]:
        """The first stage's image, and the second's.

        Args:
            visible: RGB in [0, 1]; what is in the hole does not matter, unless it is not finite.
            mask: 1 = hole.

        Returns:
            RGB in [0, 1], of the whole image.
        """
        coarse, planes = self.first(visible, mask)
        refined = self.refinement(planes, mask).clamp(-1, 1)
        return from_signed(coarse, self.planes), from_signed(refined, self.planes)

    def first(self, visible: Images, mask: Planes) -> tuple[Images, Float[Tensor, "batch 5 height width"]]:
        """The first stage's image in the network's range, and the input of the second stage; arguments as above."""
        known = to_signed(visible, self.planes) * (1 - mask)
        ones = torch.ones_like(mask)
        coarse = at_least_float32(self.coarse(torch.cat([known, ones, mask], dim=1))).clamp(-1, 1)
        return coarse, torch.cat([coarse * mask + known, ones, mask], dim=1)


class Critic(nn.Module):
    """Four convolutions with stride 2, and a number of what remains: how real an image of one size is.

    Args:
        size: of the image, in pixels.
        widest: channels of the last convolution, at width 1.
        width: multiplier of all channel counts.
        flavour: of the computation.
        planes: as in the generator.
    """

    def __init__(self, size: Size, widest: int, width: float, flavour: Flavour, planes: str) -> None:
        super().__init__()
        self.planes = planes
        padding = "same" if flavour.padding == "same" else "zeros"
        rows, columns = height_width(size)
        incoming = 3
        for number, count in enumerate((64, 128, 256, widest), start=1):
            outgoing = channels(count, width)
            activation = nn.ELU(inplace=True) if flavour.judging == "elu" else nn.LeakyReLU(0.2, inplace=True)
            layer = Layer(incoming, outgoing, 5, padding=padding, stride=2, activation=activation)
            self.add_module(f"conv{number}", layer)
            incoming = outgoing
            rows, columns = (rows + 1) // 2, (columns + 1) // 2
        self.dense = nn.Linear(incoming * rows * columns, 1)
        nn.init.xavier_uniform_(self.dense.weight)
        nn.init.zeros_(self.dense.bias)
        self.end = nn.LeakyReLU(0.2) if flavour.judging == "elu" else nn.Identity()

    def forward(self, image: Images) -> Float[Tensor, "batch 1"]:
        """The verdict on an image, RGB in [0, 1]: a number without bounds."""
        x = to_signed(image, self.planes)
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            x = layer(x)
        return self.end(self.dense(x.flatten(1)))


class Critics(nn.Module):
    """The local critic, which sees a window around the hole, and the global one.

    Args:
        image_size: side of the image in pixels, or height and width.
        patch_size: side of the window, in pixels.
        width: multiplier of all channel counts.
        flavour: of the computation.
        planes: as in the generator.
    """

    def __init__(self, image_size: Size, patch_size: int, width: float, flavour: Flavour, planes: str) -> None:
        super().__init__()
        self.local_critic = Critic(patch_size, flavour.widest, width, flavour, planes)
        self.global_critic = Critic(image_size, 256, width, flavour, planes)

    def forward(self, image: Images, window: Images) -> Float[Tensor, "batch 2"]:
        """Both verdicts, the local one first, on the image and its window, both RGB in [0, 1]."""
        return torch.cat([self.local_critic(window), self.global_critic(image)], dim=1)


def to_signed(image: Images, planes: str) -> Images:
    """An image, RGB in [0, 1], as the networks see it: in [-1, 1]."""
    signed = 2 * image - 1
    return signed.flip(1) if planes == "bgr" else signed


def from_signed(image: Images, planes: str) -> Images:
    """The way back."""
    return ((image.flip(1) if planes == "bgr" else image) + 1) / 2
