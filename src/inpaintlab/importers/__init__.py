"""Imports others' checkpoints as ours, one file for each publisher, without running anything in them."""

from inpaintlab.importers.checkpoint import LAYOUTS, import_checkpoint

__all__ = [
    "LAYOUTS",
    "import_checkpoint",
]
