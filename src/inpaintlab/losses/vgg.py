"""The frozen VGG-19 behind perceptual and style loss."""

from collections.abc import Mapping
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from inpaintlab.layers import channels
from inpaintlab.published import VGG19 as VGG19_WEIGHTS
from inpaintlab.published import fetch, wrong_hash
from inpaintlab.shapes import Images

# Convolutions per block, and their output channels; a 2x2 max pool ends each block.
_VGG19_BLOCKS = ((2, 64), (2, 128), (4, 256), (4, 512), (4, 512))
_IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # mean and deviation of RGB that torchvision documents


class VGG19(nn.Module):
    """The convolutions of VGG-19 (Simonyan and Zisserman 2015), frozen, up to relu5_2, the last layer a loss uses.

    Takes RGB in [0, 1]. By default it is not normalised, because EdgeConnect's weights 0.1 and 250 were tuned so.

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
        """All feature maps after a ReLU by name, relu1_1 to relu5_2."""
        features = {}
        x = (image - self.mean) / self.deviation
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
    except Exception as error:  # torch raises many kinds for a damaged or unsafe file; to the user all mean the same
        raise ValueError(f"{path} cannot be read as VGG-19 weights; is it torchvision's vgg19-dcbb9e9d.pth?") from error
