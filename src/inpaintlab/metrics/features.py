"""The networks in whose features sets of images are compared.

A network's definition says everything that its features depend on: the hash of its weights, and how an image is
prepared. Nothing is downloaded here: published weights are files that the user has or fetches.
"""

import io
import json
from abc import ABC, abstractmethod
from functools import cached_property
from importlib.metadata import version
from typing import ClassVar, final

import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from inpaintlab.machine import file_sha256
from inpaintlab.published import WeightFile, require_packages
from inpaintlab.shapes import Images

Pixels = UInt8[Tensor, "batch 3 height width"]
"""RGB as a file of 8 bits holds it."""


class FeatureNetwork(nn.Module, ABC):
    """A fixed network that maps each image to a row of features.

    The constructor loads nothing: ``require`` checks before any work, and the first use loads the weights.
    """

    name: ClassVar[str]
    """The second part of the names of metrics that use it."""
    width: ClassVar[int]
    """Number of features of an image."""

    @property
    @abstractmethod
    def definition(self) -> str:
        """The features in words; other networks, weights or preparations of the image have other definitions."""

    @property
    @abstractmethod
    def key(self) -> str:
        """JSON text of everything that a feature depends on, for caches."""

    @abstractmethod
    def require(self) -> None:
        """Check that the network can be loaded.

        Raises:
            ValueError: it cannot; the message says how to mend that.
        """

    @abstractmethod
    def forward(self, images: Images) -> Float[Tensor, "batch features"]:
        """The features of images, which are rounded to 8 bits first; without gradient, in evaluation mode."""


class PublishedNetwork(FeatureNetwork):
    """A network whose weights somebody published as one file.

    Args:
        weights: path of the file; None looks for it under its published name in the folder of torch.hub.
    """

    file: ClassVar[WeightFile]
    packages: ClassVar[tuple[str, ...]]
    """The optional packages that compute the features."""
    described: ClassVar[str]
    """The definition, up to the weights."""

    def __init__(self, weights: str | None = None) -> None:
        super().__init__()
        self.weights = weights
        self.network: nn.Module | None = None

    @abstractmethod
    def build(self, state: dict[str, Tensor]) -> nn.Module:
        """The network with the weights of ``state``, which has the published file's names."""

    @abstractmethod
    def features(self, network: nn.Module, pixels: Pixels) -> Float[Tensor, "batch features"]:
        """The features of pixels, by the network that ``build`` returned."""

    @cached_property
    def sha256(self) -> str:
        """Hash of the weight file."""
        return file_sha256(self.file.path(self.weights))

    @property
    def definition(self) -> str:
        """The features in words, with the hash of the weight file, which has to exist."""
        return f"{self.described}, of images rounded to 8 bits; weights {self.sha256[:16]}"

    @property
    def key(self) -> str:
        """JSON text of the definition, the whole hash, and the versions of the packages that compute the features."""
        packages = {name: version(name) for name in ("inpaintlab", "torch", "torchmetrics", *self.packages)}
        return json.dumps({"definition": self.definition, "weights": self.sha256, "packages": packages}, sort_keys=True)

    def require(self) -> None:
        """Check for the packages and the weight file.

        Raises:
            ValueError: one is missing.
        """
        wanted_by = f"The network {self.name}"
        require_packages(wanted_by, self.packages)
        self.file.require(wanted_by, self.weights)

    @torch.no_grad()
    def forward(self, images: Images) -> Float[Tensor, "batch features"]:
        """The features of images; the first call loads the network.

        Raises:
            ValueError: a package or the weights are missing, or the file is of another network.
        """
        if self.network is None:
            self.require()
            state = self.file.load(self.weights)
            # parameters created in inference mode could not be used outside it
            with torch.inference_mode(False), self.file.mismatch_named(self.weights):
                self.network = self.build(state)
        network = self.network.to(images.device).eval()
        pixels = (images.float() * 255).round().clamp(0, 255).byte()
        # one by one on the CPU, where an image's last digits would otherwise depend on its batch
        at_once = 1 if images.device.type == "cpu" else len(images)
        with torch.autocast(images.device.type, enabled=False):
            return torch.cat([self.features(network, some) for some in pixels.split(at_once)])


@final
class InceptionTF2015(PublishedNetwork):
    """The Inception-v3 of 2015 from TensorFlow, on which FID is defined, in torch-fidelity's port."""

    name = "inception2015"
    width = 2048
    file = WeightFile(
        "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/weights-inception-2015-12-05-6726825d.pth",
        "metrics.fid_inception2015.network.weights",
    )
    packages = ("torch-fidelity", "torchvision")
    described = (
        "the 2048 pooled features of TensorFlow's Inception-v3 of 2015 (torch-fidelity's port as torchmetrics runs it),"
        " resized to 299 x 299 bilinearly with antialiasing"
    )

    def build(self, state: dict[str, Tensor]) -> nn.Module:
        """torchmetrics' network with these weights."""
        from torchmetrics.image.fid import NoTrainInceptionV3

        # torch-fidelity unpickles its file and would run code in it, so it gets a copy that is written here.
        copy = io.BytesIO()
        torch.save(state, copy)
        copy.seek(0)
        return NoTrainInceptionV3("inception-v3-compat", ["2048"], copy, antialias=True)  # type: ignore[arg-type]

    def features(self, network: nn.Module, pixels: Pixels) -> Float[Tensor, "batch features"]:
        """The output of the last pooling."""
        return network(pixels)


@final
class InceptionEdgeConnect(PublishedNetwork):
    """The network of EdgeConnect's FID: torchvision's Inception-v3 on images in a range that it was not trained on.

    It expects images normalised by ImageNet's mean and deviation, which its first step undoes, but gets them in [0, 1].
    Its numbers compare with EdgeConnect's table only.
    """

    name = "edgeconnect"
    width = 2048
    file = WeightFile(
        "https://download.pytorch.org/models/inception_v3_google-0cc3c7bd.pth",
        "metrics.fid_edgeconnect.network.weights",
    )
    packages = ("torchvision",)
    described = (
        "the 2048 pooled features of torchvision's Inception-v3, resized to 299 x 299 bilinearly without antialiasing, "
        "in [0, 1] where images normalised by ImageNet's mean and deviation are expected (EdgeConnect's script)"
    )

    def build(self, state: dict[str, Tensor]) -> nn.Module:
        """torchvision's network without its classifier."""
        from torchvision.models import inception_v3

        network = inception_v3(weights=None, aux_logits=True, transform_input=True, init_weights=False)
        network.load_state_dict(state)
        network.fc = nn.Identity()
        return network

    def features(self, network: nn.Module, pixels: Pixels) -> Float[Tensor, "batch features"]:
        """The output of the last pooling, for pixels scaled to [0, 1] only."""
        return network(F.interpolate(pixels.float() / 255, (299, 299), mode="bilinear", align_corners=False))
