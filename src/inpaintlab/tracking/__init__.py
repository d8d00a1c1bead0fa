"""Trackers: where a run's metrics, pictures and alerts go."""

from typing import TYPE_CHECKING, Any

from inpaintlab.tracking.chosen import chosen_trackers, require_trackers
from inpaintlab.tracking.lightning_logger import LightningTracker
from inpaintlab.tracking.tensorboard import TensorboardTracker
from inpaintlab.tracking.tracker import CsvTracker, Tracker, trackers_of

if TYPE_CHECKING:
    from inpaintlab.tracking.wandb import WandbTracker

__all__ = [
    "CsvTracker",
    "LightningTracker",
    "TensorboardTracker",
    "Tracker",
    "WandbTracker",
    "chosen_trackers",
    "require_trackers",
    "trackers_of",
]


def __getattr__(name: str) -> Any:
    """Import W&B's tracker on first use: importing W&B takes a second, for which runs without it need not wait."""
    if name == "WandbTracker":
        from inpaintlab.tracking.wandb import WandbTracker

        return WandbTracker
    raise AttributeError(f"module {__name__} has no attribute {name}")
