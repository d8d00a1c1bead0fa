"""Trackers: where a run's metrics, pictures and alerts go."""

from inpaintlab.tracking.tensorboard import TensorboardTracker
from inpaintlab.tracking.tracker import CsvTracker, Tracker, trackers_of
from inpaintlab.tracking.wandb import WandbTracker

__all__ = [
    "CsvTracker",
    "TensorboardTracker",
    "Tracker",
    "WandbTracker",
    "trackers_of",
]
