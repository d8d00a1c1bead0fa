"""Losses as pure functions, the adversarial pairs, and the frozen VGG-19 behind perceptual and style loss."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from inpaintlab.layers import at_least_float32, channels
from inpaintlab.published.catalogue import VGG19 as VGG19_WEIGHTS
from inpaintlab.published.download import fetch, wrong_hash
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


REDUCTIONS = ("all", "hole", "sum")


def hole_mse(output: Images, image: Images, mask: Planes, reduction: str = "all") -> Scalar:
    """Squared error in the hole (GLCIC, weighted MSE).

    The paper writes a norm and leaves the reduction open. The mean over 'all' elements of the batch is what its weight
    of the adversarial loss is known to work with (otenim/GLCIC-PyTorch); it scales with the hole's share of the image.
    """
    return _reduce(((output - image) * mask).square(), mask, reduction)


def hole_l1(output: Images, image: Images, mask: Planes, reduction: str = "hole") -> Scalar:
    """Absolute error in the hole (mmagic's GLCIC, as the mean over the batch's hole elements)."""
    return _reduce(((output - image) * mask).abs(), mask, reduction)


def _reduce(errors: Images, mask: Planes, reduction: str) -> Scalar:
    """Errors that are 0 outside the hole: averaged over all elements or the hole's, or added up image by image."""
    if reduction == "all":
        return errors.mean()
    if reduction == "hole":
        return errors.sum() / (errors.shape[1] * mask.sum())
    return errors.sum() / len(errors)


def l1_per_hole(output: Images, image: Images, mask: Planes) -> Scalar:
    """Absolute error over the whole image, divided by the batch's share of hole pixels (EdgeConnect, l1 loss)."""
    return F.l1_loss(output, image) / mask.mean()


def feature_matching(fake: Sequence[Tensor], real: Sequence[Tensor]) -> Scalar:
    """Sum over the discriminator's layers of the mean absolute difference (EdgeConnect); real is a constant."""
    return torch.stack([mean_absolute_difference(f, r) for f, r in zip(fake, real, strict=True)]).sum()


def mean_absolute_difference(features: Tensor, target: Tensor) -> Scalar:
    """The mean over all elements of |features - target|, in float32 at least; ``target`` is a constant.

    Torch's l1_loss in three passes less over feature maps, and in mixed precision without copies of them in float32.
    """
    return _MeanAbsoluteDifference.apply(features, target.detach())


class _MeanAbsoluteDifference(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, features: Tensor, target: Tensor) -> Tensor:
        difference = features - target  # rounded to 16 bits or not, its sign is right
        ctx.save_for_backward(difference)
        wide = torch.promote_types(difference.dtype, torch.float32)
        return difference.abs().mean(dtype=wide)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (difference,) = ctx.saved_tensors
        return difference.sign().mul_(gradient / difference.numel()), None


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


# Convolutions per block, and their output channels; a 2x2 max pool ends each block.
_VGG19_BLOCKS = ((2, 64), (2, 128), (4, 256), (4, 512), (4, 512))

_IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # mean and deviation of RGB that torchvision documents


class VGG19(nn.Module):
    """The convolutions of VGG-19 (Simonyan and Zisserman 2015), frozen, up to relu5_2, the last layer a loss uses.

    It computes in channels_last, in which a CPU pools five times as fast, and rectifies in place.
    Takes RGB in [0, 1], by default without ImageNet normalisation: EdgeConnect's weights 0.1 and 250 were tuned so.

    Args:
        weights: 'imagenet' (torchvision's file, from the folder of published weights or torch's hub folder, downloaded
            into the former if absent, its hash checked), the path of a file with torchvision's keys, or 'random'
            (offline trials only: the features mean nothing in particular).
        width: multiplier of the channel counts of a random one, to keep small trials small; published weights are as
            wide as they are.
        normalised: whether to take ImageNet's mean and deviation out of the input first, as VGG-19 was trained.

    Raises:
        ValueError: weights that are not there, cannot be fetched, or do not fit.
    """

    def __init__(self, weights: str, width: float = 1.0, normalised: bool = False) -> None:
        super().__init__()
        mean, deviation = _IMAGENET if normalised else ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
        self.mean: Tensor
        self.deviation: Tensor
        self.register_buffer("mean", torch.tensor(mean).view(3, 1, 1))
        self.register_buffer("deviation", torch.tensor(deviation).view(3, 1, 1))
        layers: dict[str, nn.Module] = {}
        incoming = 3
        for block, (convolutions, full_width) in enumerate(_VGG19_BLOCKS, start=1):
            outgoing = channels(full_width, width) if weights == "random" else full_width
            for layer in range(1, convolutions + 1):
                layers[f"conv{block}_{layer}"] = nn.Conv2d(incoming, outgoing, 3, padding=1)
                layers[f"relu{block}_{layer}"] = nn.ReLU(inplace=True)
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
        x = ((image - self.mean) / self.deviation).contiguous(memory_format=torch.channels_last)
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
    (file,) = VGG19_WEIGHTS.files
    kept_by_torch = Path(torch.hub.get_dir()) / "checkpoints" / file.name  # a torch.hub or torchvision of this user
    try:
        if kept_by_torch.is_file() and not wrong_hash(kept_by_torch, file):
            path = kept_by_torch
        else:
            (path,) = fetch(VGG19_WEIGHTS)
    except (OSError, ValueError) as error:
        raise ValueError(
            f"The VGG-19 weights of the perceptual and style loss are missing: {str(error).rstrip('.')}; or give a "
            "file's path as model.vgg=PATH, or, for an offline trial whose results mean little, say model.vgg=random."
        ) from error
    return _weights_from_file(path)


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
    return torch.stack([mean_absolute_difference(output[name], image[name]) for name in PERCEPTUAL_LAYERS]).sum()


def style(output: Mapping[str, Tensor], image: Mapping[str, Tensor]) -> Scalar:
    """Sum over four layers of the mean absolute difference of Gram matrices (EdgeConnect)."""
    grams = [(gram(output[name]), gram(image[name])) for name in STYLE_LAYERS]
    return torch.stack([mean_absolute_difference(*pair) for pair in grams]).sum()


def gram(features: Float[Tensor, "batch features rows columns"]) -> Float[Tensor, "batch features features"]:
    """F F^T / (C H W), with F the features as C rows.

    Not in bfloat16, which mixed precision would take: the loss is a small difference of such matrices.
    """
    with torch.autocast(features.device.type, enabled=False):
        pixels = at_least_float32(features).permute(0, 2, 3, 1).flatten(1, 2)  # as channels_last has them in memory
        return _Products.apply(pixels) / pixels[0].numel()


class _Products(torch.autograd.Function):
    """P^T P of a batch of matrices: its gradient P (g + g^T) takes one product, where autograd's takes two."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        ctx.save_for_backward(rows)
        return rows.mT @ rows

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (rows,) = ctx.saved_tensors
        return rows @ (gradient + gradient.mT)
