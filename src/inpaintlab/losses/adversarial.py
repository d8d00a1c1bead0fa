"""Adversarial losses, of a discriminator's logits."""

from abc import ABC, abstractmethod

import torch.nn.functional as F
from torch import Tensor

from inpaintlab.shapes import Scalar


class AdversarialLoss(ABC):
    """The losses of a discriminator and of its generator. Each takes logits of any shape and averages over them."""

    @abstractmethod
    def real(self, logits: Tensor) -> Scalar:
        """The discriminator's loss on real images, from its logits of them."""

    @abstractmethod
    def fake(self, logits: Tensor) -> Scalar:
        """The discriminator's loss on generated images, from its logits of them."""

    @abstractmethod
    def generator(self, logits: Tensor) -> Scalar:
        """The generator's loss, from the discriminator's logits of its images."""


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
    """Squared distance of D's probability to the label, with the sigmoid, as in EdgeConnect's released code.

    Least squares GANs (Mao et al. 2017) take it of the logits.
    """

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
