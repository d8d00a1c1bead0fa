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
from inpaintlab.runs.settings import (
    FREE_TO_CHANGE,
    NAME_RULE,
    is_name,
    mask_recipe,
    named_folder,
    run_folder,
    training_record,
)

__all__ = [
    "FAILED",
    "FREE_TO_CHANGE",
    "NAME_RULE",
    "OUTPUT",
    "STOPPED",
    "Progress",
    "duration",
    "give_up",
    "is_locked",
    "is_name",
    "locked",
    "mask_recipe",
    "named_folder",
    "reason_of",
    "run_folder",
    "state_of",
    "training_record",
]
