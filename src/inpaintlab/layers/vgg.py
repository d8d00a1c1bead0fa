"""The convolutions of a VGG, frozen, for what compares features or draws edges from them."""

from abc import ABC
from collections.abc import Collection, Mapping, Sequence
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from inpaintlab.layers.convolutions import channels
from inpaintlab.shapes import Images


class VGGLayers(nn.Module, ABC):
    """The convolutions of a VGG (Simonyan and Zisserman 2015), frozen, up to the last layer that is used.

    Takes RGB in [0, 1].

    Args:
        colours: what is subtracted from the colours of the input, and what they are divided by then.
        last: the name of the last layer.
        width: multiplier of the channel counts.
        ceil: whether the pooling of an odd side keeps its last row or column.
    """

    BLOCKS: ClassVar[tuple[tuple[int, int], ...]]
    """Convolutions of each block, and their output channels; a 2x2 max pool ends each block."""

    def __init__(
        self, colours: tuple[Sequence[float], Sequence[float]], last: str, width: float = 1.0, *, ceil: bool = False
    ) -> None:
        super().__init__()
        self.mean: Tensor
        self.deviation: Tensor
        for name, values in zip(("mean", "deviation"), colours, strict=True):
            self.register_buffer(name, torch.tensor(values).view(3, 1, 1))
        layers: dict[str, nn.Module] = {}
        incoming = 3
        for block, (convolutions, full_width) in enumerate(self.BLOCKS, start=1):
            outgoing = channels(full_width, width)
            for layer in range(1, convolutions + 1):
                layers[f"conv{block}_{layer}"] = nn.Conv2d(incoming, outgoing, 3, padding=1)
                layers[f"relu{block}_{layer}"] = nn.ReLU(inplace=True)
                incoming = outgoing
            layers[f"pool{block}"] = nn.MaxPool2d(2, ceil_mode=ceil)
        self._numbers = {name: number for number, name in enumerate(layers)}  # torchvision's indices
        self.layers = nn.ModuleDict(
            {name: layer for name, layer in layers.items() if self._numbers[name] <= self._numbers[last]}
        )
        self.requires_grad_(False).eval()

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Take the weights and biases of the convolutions, such as ``conv1_1.weight``, from among these tensors."""
        for name, layer in self.layers.items():
            if isinstance(layer, nn.Conv2d):
                layer.load_state_dict({part: state[f"{name}.{part}"] for part in ("weight", "bias")})

    def forward(
        self, image: Images, kept: Collection[str] | None = None
    ) -> dict[str, Float[Tensor, "batch features rows columns"]]:
        """Feature maps after a ReLU or a pooling by name, from relu1_1 on: those that are ``kept``, or all.

        The first ones are large: 64 planes of the image's size.
        """
        features = {}
        x = (image - self.mean) / self.deviation
        for name, layer in self.layers.items():
            x = layer(x)
            if name in kept if kept is not None else not name.startswith("conv"):
                features[name] = x
        return features
