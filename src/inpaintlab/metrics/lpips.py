"""LPIPS (Zhang et al. 2018): distance in features of AlexNet or VGG-16, weighted to agree with human judgements."""

from functools import cached_property
from typing import Literal, final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from inpaintlab.machine import file_sha256
from inpaintlab.metrics.metric import PerImageMetric
from inpaintlab.published import WeightFile, require_packages
from inpaintlab.shapes import Images, Planes

_BACKBONES = {
    "alex": (
        "AlexNet",
        WeightFile("https://download.pytorch.org/models/alexnet-owt-7be5be79.pth", "metrics.lpips_alex.weights"),
    ),
    "vgg": (
        "VGG-16",
        WeightFile("https://download.pytorch.org/models/vgg16-397923af.pth", "metrics.lpips_vgg.weights"),
    ),
}


@final
class LPIPS(PerImageMetric):
    """Learned perceptual image patch similarity, version 0.1, of images in [0, 1] as torchmetrics computes it.

    The constructor loads nothing: ``require`` checks before any work, and the first use loads the weights.

    Args:
        net: the network whose features are compared. The linear weights over them come with torchmetrics.
        weights: path of the published weights of that network, trained on ImageNet; None looks for the file under its
            published name in the folder of torch.hub.

    Raises:
        ValueError: another net.
    """

    higher_is_better = False
    smallest = 31  # AlexNet's pooling needs them; VGG-16 needs less
    backend = "torchmetrics"

    def __init__(self, net: Literal["alex", "vgg"], weights: str | None = None) -> None:
        if net not in _BACKBONES:
            raise ValueError(f"The net of LPIPS is '{net}'; it can be {' or '.join(_BACKBONES)}.")
        self.net = net
        self.weights = weights
        self.name = f"lpips_{net}"
        super().__init__()
        self.network: nn.Module | None = None

    @cached_property
    def sha256(self) -> str:
        """Hash of the weight file."""
        return file_sha256(self._file.path(self.weights))

    @property
    def definition(self) -> str:  # type: ignore[override]  # a variable of other metrics, known only with the weights
        """The metric in words, with the hash of the weight file, which has to exist."""
        return (
            f"LPIPS 0.1 with {_BACKBONES[self.net][0]} and its linear weights, RGB from [0, 1] to [-1, 1], mean over "
            f"the completed image at its own size; weights {self.sha256[:16]}"
        )

    def require(self) -> None:
        """Check for the packages and the weight file.

        Raises:
            ValueError: one is missing.
        """
        require_packages(self.name, ("torchvision",))
        self._file.require(self.name, self.weights)

    @torch.no_grad()
    def measure(self, preds: Images, target: Images, mask: Planes) -> Float[Tensor, " batch"]:
        """The distance of each image; the first call loads the network.

        Raises:
            ValueError: a package or the weights are missing, the file is of another network, or an image leaves [0, 1].
        """
        if bool(((preds < 0) | (preds > 1) | (target < 0) | (target > 1)).any()):
            raise ValueError(f"{self.name} needs images in [0, 1] and was given others: clamp the method's output.")
        if self.network is None:
            self.require()
            # parameters created in inference mode could not be used outside it; the random numbers that networks are
            # born with, before they are given their weights, are not taken from those of a training
            with torch.inference_mode(False), torch.random.fork_rng(devices=[]):
                self.network = self._build()
        network = self.network.to(preds.device).eval()
        # one by one on the CPU, where an image's last digits would otherwise depend on its batch
        at_once = 1 if preds.device.type == "cpu" else len(preds)
        pairs = zip(preds.float().split(at_once), target.float().split(at_once), strict=True)
        with torch.autocast(preds.device.type, enabled=False):
            return torch.cat([network(*pair, normalize=True).reshape(-1) for pair in pairs])

    def _build(self) -> nn.Module:
        """torchmetrics' network with its own linear weights and the backbone of the file."""
        # The public class lets torchvision download the backbone and takes no file.
        from torchmetrics.functional.image.lpips import _LPIPS

        state = self._file.load(self.weights)
        network = _LPIPS(pretrained=True, net=self.net, pnet_rand=True)
        with self._file.mismatch_named(self.weights):
            # slice2.3.weight in torchmetrics is features.3.weight in torchvision
            renamed = {key: state[f"features.{key.split('.', 1)[1]}"] for key in network.net.state_dict()}
            network.net.load_state_dict(renamed)
        return network

    @property
    def _file(self) -> WeightFile:
        return _BACKBONES[self.net][1]
