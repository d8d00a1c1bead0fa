"""Adversarial losses, of a discriminator's logits."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from inpaintlab.shapes import AnyImages, AnyPlanes, Scalar


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


class Wasserstein(AdversarialLoss):
    """The critic's outputs themselves (Arjovsky et al. 2017); its gradients are held near 1 by a penalty."""

    def real(self, logits: Tensor) -> Scalar:
        """-y."""
        return -logits.mean()

    def fake(self, logits: Tensor) -> Scalar:
        """y."""
        return logits.mean()

    def generator(self, logits: Tensor) -> Scalar:
        """-y."""
        return -logits.mean()


def between(real: AnyImages, fake: AnyImages, share: Float[Tensor, "_ 1 1 1"]) -> AnyImages:
    """Points between real and generated images, where a critic's gradient is penalised; nothing learns through them.

    Args:
        real: the images.
        fake: as many generated ones.
        share: of the generated image in each, in [0, 1].

    Returns:
        New leaves, which take a gradient.
    """
    return torch.lerp(real.detach(), fake.detach(), share).requires_grad_()


def slope_penalty(gradient: AnyImages, mask: AnyPlanes | None = None) -> Scalar:
    """The squared distance of each gradient's norm to 1, averaged over the images (Gulrajani et al. 2017, equation 3).

    Args:
        gradient: of a critic's outputs with respect to its inputs; it must have been computed with ``create_graph``.
        mask: only gradients where it is 1 count. None: all.
    """
    counted = gradient if mask is None else gradient * mask
    return (torch.linalg.vector_norm(counted, dim=(1, 2, 3)) - 1).square().mean()


def pixel_penalty(gradient: AnyImages, mask: AnyPlanes | None = None) -> Scalar:
    """The same of the norm at each pixel, averaged over the pixels (mmagic).

    Args:
        gradient: as in ``slope_penalty``.
        mask: where it is 0 the norm counts as 0, and the mean is divided by the share of ones. None: as it is.
    """
    counted = gradient if mask is None else gradient * mask
    penalty = (torch.linalg.vector_norm(counted, dim=1) - 1).square().mean()
    return penalty if mask is None else penalty / mask.mean()


def penalty_of_holes(image: AnyImages, window: AnyImages, mask: AnyPlanes, window_mask: AnyPlanes) -> Scalar:
    """``slope_penalty`` of both critics, of gradients in the hole (Yu et al. 2018).

    Args:
        image: the gradient of a global critic.
        window: the gradient of a local critic.
        mask: of the image; 1 = hole.
        window_mask: of the window.
    """
    return slope_penalty(window, window_mask) + slope_penalty(image, mask)


def penalty_everywhere(image: AnyImages, window: AnyImages, mask: AnyPlanes, window_mask: AnyPlanes) -> Scalar:
    """The same of all gradients, as in Gulrajani et al. 2017 (daa233); arguments as above."""
    return slope_penalty(window) + slope_penalty(image)


def penalty_of_pixels(image: AnyImages, window: AnyImages, mask: AnyPlanes, window_mask: AnyPlanes) -> Scalar:
    """``pixel_penalty`` of both critics, masked for the global one alone (mmagic); arguments as above."""
    return pixel_penalty(window) + pixel_penalty(image, mask)


PENALTIES: Mapping[str, Callable[[AnyImages, AnyImages, AnyPlanes, AnyPlanes], Scalar]] = {
    "hole": penalty_of_holes,
    "everywhere": penalty_everywhere,
    "pixels": penalty_of_pixels,
}
"""Penalties of a global and a local critic's gradients, by which gradients count."""
