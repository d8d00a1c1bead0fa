"""How a training is saved, asked to end, and resumed."""

from inpaintlab.survival.journal import Journal, note_finished
from inpaintlab.survival.preemption import Preemption
from inpaintlab.survival.processes import PARENT, end_with_first, end_with_parent, ending_together, require_processes
from inpaintlab.survival.resuming import (
    full_disk_named,
    missed_validation,
    remove_partials,
    require_same_steps,
    starting_point,
)
from inpaintlab.survival.saving import Checkpoints

__all__ = [
    "PARENT",
    "Checkpoints",
    "Journal",
    "Preemption",
    "end_with_first",
    "end_with_parent",
    "ending_together",
    "full_disk_named",
    "missed_validation",
    "note_finished",
    "remove_partials",
    "require_processes",
    "require_same_steps",
    "starting_point",
]
