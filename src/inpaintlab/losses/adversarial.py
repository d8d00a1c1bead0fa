"""Adversarial losses: what a discriminator's logits are worth to it and to the generator."""

from abc import ABC, abstractmethod

import torch.nn.functional as F
from torch import Tensor

from inpaintlab.shapes import Scalar


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
