"""Settings: what each can be, checked before anything starts."""

from inpaintlab.settings.check import dotted, require_values, unknown, unresolved
from inpaintlab.settings.rules import require_batch
from inpaintlab.settings.schema import SCHEMAS

__all__ = ["SCHEMAS", "dotted", "require_batch", "require_values", "unknown", "unresolved"]
