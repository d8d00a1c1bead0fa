"""A training from its settings to its end, and what goes on beside its steps."""

from inpaintlab.training.chosen import early_stopping
from inpaintlab.training.fit import build_and_fit, chosen_steps
from inpaintlab.training.trainer import predicting_trainer, quieten, training_trainer

__all__ = [
    "build_and_fit",
    "chosen_steps",
    "early_stopping",
    "predicting_trainer",
    "quieten",
    "training_trainer",
]
