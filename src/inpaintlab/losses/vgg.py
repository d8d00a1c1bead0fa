"""The frozen VGG networks behind perceptual and style loss."""

from abc import ABC
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from inpaintlab.layers import channels
from inpaintlab.published import VGG16 as VGG16_WEIGHTS
from inpaintlab.published import VGG19 as VGG19_WEIGHTS
from inpaintlab.published import Published, fetch, wrong_hash
from inpaintlab.shapes import Images

_IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # mean and deviation of RGB that torchvision documents


class VGG(nn.Module, ABC):
    """The convolutions of a VGG (Simonyan and Zisserman 2015), frozen, up to the last layer that a loss uses.

    Takes RGB in [0, 1].

    Args:
        weights: 'imagenet' (torchvision's file, from the folder of published weights or torch's hub folder, downloaded
            into the former if absent, its hash checked), the path of a file with torchvision's keys, or 'random'
            (offline trials only: its features mean little).
        width: multiplier of the channel counts of a random one, to keep small trials small; published weights have
            their own width.
        normalised: whether to normalise the input by ImageNet's mean and deviation first, as VGG-19 was trained.

    Raises:
        ValueError: the weights are missing, cannot be fetched, or do not fit.
    """

    NAME: ClassVar[str]
    BLOCKS: ClassVar[tuple[tuple[int, int], ...]]
    """Convolutions of each block, and their output channels; a 2x2 max pool ends each block."""
    LAST: ClassVar[str]
    """The last layer."""
    PUBLISHED: ClassVar[Published]
    """torchvision's weights."""
    SEED: ClassVar[int]
    """Of random weights."""

    def __init__(self, weights: str, width: float = 1.0, normalised: bool = False) -> None:
        super().__init__()
        mean, deviation = _IMAGENET if normalised else ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
        self.mean: Tensor
        self.deviation: Tensor
        self.register_buffer("mean", torch.tensor(mean).view(3, 1, 1))
        self.register_buffer("deviation", torch.tensor(deviation).view(3, 1, 1))
        layers: dict[str, nn.Module] = {}
        incoming = 3
        for block, (convolutions, full_width) in enumerate(self.BLOCKS, start=1):
            outgoing = channels(full_width, width) if weights == "random" else full_width
            for layer in range(1, convolutions + 1):
                layers[f"conv{block}_{layer}"] = nn.Conv2d(incoming, outgoing, 3, padding=1)
                layers[f"relu{block}_{layer}"] = nn.ReLU(inplace=True)
                incoming = outgoing
            layers[f"pool{block}"] = nn.MaxPool2d(2)
        self._numbers = {name: number for number, name in enumerate(layers)}  # torchvision's indices
        last = self._numbers[self.LAST]
        self.layers = nn.ModuleDict({name: layer for name, layer in layers.items() if self._numbers[name] <= last})
        self._fill(weights)
        self.requires_grad_(False).eval()

    def forward(self, image: Images) -> dict[str, Float[Tensor, "batch features rows columns"]]:
        """All feature maps after a ReLU or a pooling by name, from relu1_1 on."""
        features = {}
        x = (image - self.mean) / self.deviation
        for name, layer in self.layers.items():
            x = layer(x)
            if not name.startswith("conv"):
                features[name] = x
        return features

    def _fill(self, weights: str) -> None:
        if weights == "random":
            generator = torch.Generator().manual_seed(self.SEED)
            for layer in self.layers.values():
                if isinstance(layer, nn.Conv2d):
                    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu", generator=generator)
                    nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
            return
        state = self._imagenet_weights() if weights == "imagenet" else self._weights_from_file(Path(weights))
        for name, layer in self.layers.items():
            if isinstance(layer, nn.Conv2d):
                for part in ("weight", "bias"):
                    key = f"features.{self._numbers[name]}.{part}"
                    if key not in state or state[key].shape != getattr(layer, part).shape:
                        raise ValueError(
                            f"The {self.NAME} weights '{weights}' lack a fitting '{key}'; use torchvision's."
                        )
                layer.load_state_dict(
                    {part: state[f"features.{self._numbers[name]}.{part}"] for part in ("weight", "bias")}
                )

    def _imagenet_weights(self) -> Mapping[str, Tensor]:
        (file,) = self.PUBLISHED.files
        kept_by_torch = Path(torch.hub.get_dir()) / "checkpoints" / file.name  # a torch.hub or torchvision of this user
        try:
            if kept_by_torch.is_file() and not wrong_hash(kept_by_torch, file):
                path = kept_by_torch
            else:
                (path,) = fetch(self.PUBLISHED)
        except (OSError, ValueError) as error:
            raise ValueError(
                f"The {self.NAME} weights of the perceptual and style loss are missing: {str(error).rstrip('.')}; or "
                "give a file's path as model.vgg=PATH, or, for an offline trial whose results mean little, say "
                "model.vgg=random."
            ) from error
        return self._weights_from_file(path)

    def _weights_from_file(self, path: Path) -> Mapping[str, Tensor]:
        torchvisions = self.PUBLISHED.files[0].name
        if not path.is_file():
            raise ValueError(
                f"model.vgg is '{path}', which is neither 'imagenet', 'random' nor a file; give the path of "
                f"torchvision's {torchvisions}."
            )
        try:
            return torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # torch raises many kinds for a damaged or unsafe file; to users all mean the same
            raise ValueError(
                f"{path} cannot be read as {self.NAME} weights; is it torchvision's {torchvisions}?"
            ) from error


@final
class VGG19(VGG):
    """VGG-19 up to relu5_2, behind EdgeConnect, whose weights 0.1 and 250 were tuned without normalised input."""

    NAME = "VGG-19"
    BLOCKS = ((2, 64), (2, 128), (4, 256), (4, 512), (4, 512))
    LAST = "relu5_2"
    PUBLISHED = VGG19_WEIGHTS
    SEED = 19


@final
class VGG16(VGG):
    """VGG-16 up to pool3, behind partial convolutions."""

    NAME = "VGG-16"
    BLOCKS = ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512))
    LAST = "pool3"
    PUBLISHED = VGG16_WEIGHTS
    SEED = 16
