"""How a training is saved, asked to end, and resumed."""

from inpaintlab.survival.journal import Journal, note_finished
from inpaintlab.survival.preemption import Preemption
from inpaintlab.survival.processes import ending_together, require_launcher, require_processes
from inpaintlab.survival.resuming import missed_validation, require_same_cosines, require_same_steps, starting_point
from inpaintlab.survival.saving import Checkpoints

__all__ = [
    "Checkpoints",
    "Journal",
    "Preemption",
    "ending_together",
    "missed_validation",
    "note_finished",
    "require_launcher",
    "require_processes",
    "require_same_cosines",
    "require_same_steps",
    "starting_point",
]
