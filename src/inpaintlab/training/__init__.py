"""A training from its settings to its end, and what goes on beside its steps."""

from inpaintlab.training.adadelta import Adadelta
from inpaintlab.training.fit import build_and_fit, chosen_steps

__all__ = [
    "Adadelta",
    "build_and_fit",
    "chosen_steps",
]
