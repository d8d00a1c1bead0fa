"""A training from its settings to its end, and what goes on beside its steps."""

from inpaintlab.training.adadelta import Adadelta
from inpaintlab.training.averaging import Averaging
from inpaintlab.training.fit import build_and_fit
from inpaintlab.training.health import Health
from inpaintlab.training.logbook import Logbook, OtherCallbacksDone
from inpaintlab.training.non_finite import NonFiniteBatches
from inpaintlab.training.panels import Panels
from inpaintlab.training.terminal import ProgressBar, print_plan
from inpaintlab.training.validation import MissedValidation, Validation

__all__ = [
    "Adadelta",
    "Averaging",
    "Health",
    "Logbook",
    "MissedValidation",
    "NonFiniteBatches",
    "OtherCallbacksDone",
    "Panels",
    "ProgressBar",
    "Validation",
    "build_and_fit",
    "print_plan",
]
