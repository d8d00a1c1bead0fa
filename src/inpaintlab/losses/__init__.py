"""Losses: reconstruction, perceptual, style and adversarial."""

from inpaintlab.losses.adversarial import AdversarialLoss, Hinge, LeastSquares, NonSaturating
from inpaintlab.losses.perceptual import feature_matching, perceptual_loss, style_loss
from inpaintlab.losses.pixels import REDUCTIONS, VARIATIONS, hole_l1, hole_mse, l1_per_hole
from inpaintlab.losses.vgg import HED, VGG, VGG16, VGG19

__all__ = [
    "HED",
    "REDUCTIONS",
    "VARIATIONS",
    "VGG",
    "VGG16",
    "VGG19",
    "AdversarialLoss",
    "Hinge",
    "LeastSquares",
    "NonSaturating",
    "feature_matching",
    "hole_l1",
    "hole_mse",
    "l1_per_hole",
    "perceptual_loss",
    "style_loss",
]
