"""Losses: reconstruction, perceptual, style and adversarial."""

from inpaintlab.losses.adversarial import (
    PENALTIES,
    AdversarialLoss,
    Hinge,
    LeastSquares,
    NonSaturating,
    Wasserstein,
    between,
    pixel_penalty,
    slope_penalty,
)
from inpaintlab.losses.perceptual import feature_matching, perceptual_loss, style_loss
from inpaintlab.losses.pixels import REDUCTIONS, VARIATIONS, hole_l1, hole_mse, l1_per_hole
from inpaintlab.losses.vgg import VGG16, VGG19
from inpaintlab.losses.windows import RECONSTRUCTIONS, crop, discounts, hole_windows, require_window

__all__ = [
    "PENALTIES",
    "RECONSTRUCTIONS",
    "REDUCTIONS",
    "VARIATIONS",
    "VGG16",
    "VGG19",
    "AdversarialLoss",
    "Hinge",
    "LeastSquares",
    "NonSaturating",
    "Wasserstein",
    "between",
    "crop",
    "discounts",
    "feature_matching",
    "hole_l1",
    "hole_mse",
    "hole_windows",
    "l1_per_hole",
    "perceptual_loss",
    "pixel_penalty",
    "require_window",
    "slope_penalty",
    "style_loss",
]
