"""How a training is saved, asked to end, and resumed."""

from inpaintlab.survival.journal import Journal, note_finished
from inpaintlab.survival.kept import Kept
from inpaintlab.survival.preemption import EndsEarly, Preemption
from inpaintlab.survival.processes import ending_together, require_launcher, require_processes, require_starter
from inpaintlab.survival.resuming import missed_validation, require_same_cosines, require_same_steps, starting_point
from inpaintlab.survival.saving import Checkpoints, SavingStates, require_storable

__all__ = [
    "Checkpoints",
    "EndsEarly",
    "Journal",
    "Kept",
    "Preemption",
    "SavingStates",
    "ending_together",
    "missed_validation",
    "note_finished",
    "require_launcher",
    "require_processes",
    "require_same_cosines",
    "require_same_steps",
    "require_starter",
    "require_storable",
    "starting_point",
]
