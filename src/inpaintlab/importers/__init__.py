"""Checkpoints of others as ours, one file a publisher, read without running anything in them."""

from inpaintlab.importers.checkpoint import LAYOUTS, import_checkpoint

__all__ = [
    "LAYOUTS",
    "import_checkpoint",
]
