"""The machine and its operating system: files, locks, memory, signals, and where a number comes from."""

from inpaintlab.machine.files import (
    FULL_DISK,
    file_sha256,
    full_disk_named,
    open_regular,
    remove_partials,
    shown,
    whole,
    write_json,
    write_texts,
)
from inpaintlab.machine.formats import require_format
from inpaintlab.machine.load import QUIET, SHORTEST, Clocks, Load
from inpaintlab.machine.locks import Lock, alone, is_held_by_another
from inpaintlab.machine.memory import keep_freed_memory, peak, reset_peak
from inpaintlab.machine.parents import PARENT, end_with_first, end_with_parent
from inpaintlab.machine.provenance import code_sha256, commit, machine, versions
from inpaintlab.machine.signals import INTERRUPTED, Request, outlive_requests, receiving_requests, was_asked
from inpaintlab.machine.storage import Storage

__all__ = [
    "FULL_DISK",
    "INTERRUPTED",
    "PARENT",
    "QUIET",
    "SHORTEST",
    "Clocks",
    "Load",
    "Lock",
    "Request",
    "Storage",
    "alone",
    "code_sha256",
    "commit",
    "end_with_first",
    "end_with_parent",
    "file_sha256",
    "full_disk_named",
    "is_held_by_another",
    "keep_freed_memory",
    "machine",
    "open_regular",
    "outlive_requests",
    "peak",
    "receiving_requests",
    "remove_partials",
    "require_format",
    "reset_peak",
    "shown",
    "versions",
    "was_asked",
    "whole",
    "write_json",
    "write_texts",
]
