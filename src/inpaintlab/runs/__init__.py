"""A run's folder: its settings, its progress and its state."""

from inpaintlab.runs.record import (
    FAILED,
    OUTPUT,
    STOPPED,
    Progress,
    duration,
    give_up,
    is_locked,
    locked,
    reason_of,
    state_of,
)
from inpaintlab.runs.settings import FREE_TO_CHANGE, mask_recipe, run_folder, training_record

__all__ = [
    "FAILED",
    "FREE_TO_CHANGE",
    "OUTPUT",
    "STOPPED",
    "Progress",
    "duration",
    "give_up",
    "is_locked",
    "locked",
    "mask_recipe",
    "reason_of",
    "run_folder",
    "state_of",
    "training_record",
]
