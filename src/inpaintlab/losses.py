"""Losses as pure functions, the adversarial pairs, and the frozen VGG-19 behind perceptual and style loss."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from inpaintlab.layers import channels
from inpaintlab.shapes import Images, Planes, Scalar


def weigh(losses: Mapping[str, Tensor], weights: Mapping[str, float]) -> Tensor:
    """The weighted sum of a step's losses.

    Raises:
        ValueError: a loss without a weight or a weight without a loss.
    """
    if losses.keys() != weights.keys():
        raise ValueError(
            f"The weights {sorted(weights)} do not match the losses {sorted(losses)}; each loss needs a weight of its "
            "name and each weight a loss."
        )
    return torch.stack([weights[name] * loss for name, loss in losses.items()]).sum()


def hole_mse(output: Images, image: Images, mask: Planes) -> Scalar:
    """Squared error in the hole, averaged over **all** elements of the batch (GLCIC, weighted MSE).

    The paper writes a norm and leaves the reduction open. The mean over all elements is what its weight of the
    adversarial loss is known to work with (otenim/GLCIC-PyTorch); it scales with the hole's share of the image.
    """
    return ((output - image) * mask).square().mean()


def l1_per_hole(output: Images, image: Images, mask: Planes) -> Scalar:
    """Absolute error over the whole image, divided by the batch's share of hole pixels (EdgeConnect, l1 loss)."""
    return F.l1_loss(output, image) / mask.mean()


def feature_matching(fake: Sequence[Tensor], real: Sequence[Tensor]) -> Scalar:
    """Sum over the discriminator's layers of the mean absolute difference (EdgeConnect); real is a constant."""
    return torch.stack([F.l1_loss(f, r.detach()) for f, r in zip(fake, real, strict=True)]).sum()


class AdversarialLoss(ABC):
    """What a discriminator's logits are worth to it and to the generator."""

    @abstractmethod
    def real(self, logits: Tensor) -> Scalar:
        """The discriminator's loss on real images."""

    @abstractmethod
    def fake(self, logits: Tensor) -> Scalar:
        """The discriminator's loss on generated images."""

    @abstractmethod
    def generator(self, logits: Tensor) -> Scalar:
        """The generator's loss on its own images."""


class NonSaturating(AdversarialLoss):
    """Binary cross entropy on logits; the generator maximises log D (Goodfellow 2014, section 3)."""

    def real(self, logits: Tensor) -> Scalar:
        """-log D."""
        return F.softplus(-logits).mean()

    def fake(self, logits: Tensor) -> Scalar:
        """-log(1 - D)."""
        return F.softplus(logits).mean()

    def generator(self, logits: Tensor) -> Scalar:
        """-log D."""
        return F.softplus(-logits).mean()


class LeastSquares(AdversarialLoss):
    """Squared distance of D's probability to the label, as EdgeConnect's released code has it (sigmoid stays on)."""

    def real(self, logits: Tensor) -> Scalar:
        """(D - 1)^2."""
        return (logits.sigmoid() - 1).square().mean()

    def fake(self, logits: Tensor) -> Scalar:
        """D^2."""
        return logits.sigmoid().square().mean()

    def generator(self, logits: Tensor) -> Scalar:
        """(D - 1)^2."""
        return (logits.sigmoid() - 1).square().mean()


class Hinge(AdversarialLoss):
    """Hinge loss on logits (Lim and Ye 2017); EdgeConnect's authors later preferred it for the edge generator."""

    def real(self, logits: Tensor) -> Scalar:
        """max(0, 1 - y)."""
        return F.relu(1 - logits).mean()

    def fake(self, logits: Tensor) -> Scalar:
        """max(0, 1 + y)."""
        return F.relu(1 + logits).mean()

    def generator(self, logits: Tensor) -> Scalar:
        """-y."""
        return -logits.mean()


VGG19_URL = "https://download.pytorch.org/models/vgg19-dcbb9e9d.pth"
"""torchvision's IMAGENET1K_V1; the name ends in the first 8 hex digits of the file's SHA-256."""

# Convolutions per block, and their output channels; a 2x2 max pool ends each block.
_VGG19_BLOCKS = ((2, 64), (2, 128), (4, 256), (4, 512), (4, 512))


class VGG19(nn.Module):
    """The convolutions of VGG-19 (Simonyan and Zisserman 2015), frozen, up to relu5_2, the last layer a loss uses.

    Takes raw RGB in [0, 1] without ImageNet normalisation: EdgeConnect's weights 0.1 and 250 were tuned for that.

    Args:
        weights: 'imagenet' (the usual file, taken from torch's hub folder, downloaded into it if absent, its hash
            checked), the path of a file with torchvision's keys, or 'random' (offline trials only: the features mean
            nothing in particular).
        width: multiplier of the channel counts of a random one, to keep small trials small; published weights are as
            wide as they are.

    Raises:
        ValueError: weights that are not there, cannot be fetched, or do not fit.
    """

    def __init__(self, weights: str, width: float = 1.0) -> None:
        super().__init__()
        layers: dict[str, nn.Module] = {}
        incoming = 3
        for block, (convolutions, full_width) in enumerate(_VGG19_BLOCKS, start=1):
            outgoing = channels(full_width, width) if weights == "random" else full_width
            for layer in range(1, convolutions + 1):
                layers[f"conv{block}_{layer}"] = nn.Conv2d(incoming, outgoing, 3, padding=1)
                layers[f"relu{block}_{layer}"] = nn.ReLU()
                incoming = outgoing
            layers[f"pool{block}"] = nn.MaxPool2d(2)
        self._numbers = {name: number for number, name in enumerate(layers)}  # torchvision's indices
        last = self._numbers["relu5_2"]
        self.layers = nn.ModuleDict({name: layer for name, layer in layers.items() if self._numbers[name] <= last})
        self._fill(weights)
        self.requires_grad_(False).eval()

    def forward(self, image: Images) -> dict[str, Float[Tensor, "batch features rows columns"]]:
        """All rectified feature maps by name, relu1_1 to relu5_2."""
        features = {}
        x = image
        for name, layer in self.layers.items():
            x = layer(x)
            if name.startswith("relu"):
                features[name] = x
        return features

    def _fill(self, weights: str) -> None:
        if weights == "random":
            generator = torch.Generator().manual_seed(19)
            for layer in self.layers.values():
                if isinstance(layer, nn.Conv2d):
                    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu", generator=generator)
                    nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
            return
        state = _imagenet_weights() if weights == "imagenet" else _weights_from_file(Path(weights))
        for name, layer in self.layers.items():
            if isinstance(layer, nn.Conv2d):
                for part in ("weight", "bias"):
                    key = f"features.{self._numbers[name]}.{part}"
                    if key not in state or state[key].shape != getattr(layer, part).shape:
                        raise ValueError(f"The VGG-19 weights '{weights}' lack a fitting '{key}'; use torchvision's.")
                layer.load_state_dict(
                    {part: state[f"features.{self._numbers[name]}.{part}"] for part in ("weight", "bias")}
                )


def _imagenet_weights() -> Mapping[str, Tensor]:
    try:
        return torch.hub.load_state_dict_from_url(VGG19_URL, map_location="cpu", check_hash=True, weights_only=True)
    except (OSError, RuntimeError) as error:
        folder = Path(torch.hub.get_dir()) / "checkpoints"
        raise ValueError(
            f"The VGG-19 weights of the perceptual and style loss could not be fetched from {VGG19_URL} ({error}); put "
            f"the file into {folder}, or give its path as model.vgg=PATH, or, for an offline trial whose results mean "
            "little, say model.vgg=random."
        ) from error


def _weights_from_file(path: Path) -> Mapping[str, Tensor]:
    if not path.is_file():
        raise ValueError(
            f"model.vgg is '{path}', which is neither 'imagenet', 'random' nor a file; give the path of torchvision's "
            "vgg19-dcbb9e9d.pth."
        )
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for a damaged or unsafe file: all mean the same to the user
        raise ValueError(f"{path} cannot be read as VGG-19 weights; is it torchvision's vgg19-dcbb9e9d.pth?") from error


PERCEPTUAL_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
STYLE_LAYERS = ("relu2_2", "relu3_4", "relu4_4", "relu5_2")


def perceptual(output: Mapping[str, Tensor], image: Mapping[str, Tensor]) -> Scalar:
    """Sum over five layers of the mean absolute difference of VGG-19 features (EdgeConnect)."""
    return torch.stack([F.l1_loss(output[name], image[name]) for name in PERCEPTUAL_LAYERS]).sum()


def style(output: Mapping[str, Tensor], image: Mapping[str, Tensor]) -> Scalar:
    """Sum over four layers of the mean absolute difference of Gram matrices (EdgeConnect)."""
    return torch.stack([F.l1_loss(gram(output[name]), gram(image[name])) for name in STYLE_LAYERS]).sum()


def gram(features: Float[Tensor, "batch features rows columns"]) -> Float[Tensor, "batch features features"]:
    """F F^T / (C H W), with F the features as C rows."""
    rows = features.flatten(2)
    return rows @ rows.mT / rows[0].numel()
