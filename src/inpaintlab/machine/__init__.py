"""The machine and its operating system: files, locks, memory, signals, and where a number comes from."""

from inpaintlab.machine.files import (
    FULL_DISK,
    file_sha256,
    full_disk_named,
    remove_partials,
    whole,
    write_json,
    write_texts,
)
from inpaintlab.machine.formats import Between, Count, Sha256, conform, require_format
from inpaintlab.machine.json_files import parse_json, read_json
from inpaintlab.machine.load import QUIET, SHORTEST, Clocks, Load
from inpaintlab.machine.locks import Lock, alone, is_held_by_another
from inpaintlab.machine.memory import keep_freed_memory, peak, reset_peak
from inpaintlab.machine.parents import PARENT, end_with_first, end_with_parent
from inpaintlab.machine.provenance import code_sha256, commit, machine, versions
from inpaintlab.machine.signals import INTERRUPTED, Request, outlive_requests, receiving_requests, was_asked
from inpaintlab.machine.storage import Storage
from inpaintlab.machine.yaml_files import read_yaml

__all__ = [
    "FULL_DISK",
    "INTERRUPTED",
    "PARENT",
    "QUIET",
    "SHORTEST",
    "Between",
    "Clocks",
    "Count",
    "Load",
    "Lock",
    "Request",
    "Sha256",
    "Storage",
    "alone",
    "code_sha256",
    "commit",
    "conform",
    "end_with_first",
    "end_with_parent",
    "file_sha256",
    "full_disk_named",
    "is_held_by_another",
    "keep_freed_memory",
    "machine",
    "outlive_requests",
    "parse_json",
    "peak",
    "read_json",
    "read_yaml",
    "receiving_requests",
    "remove_partials",
    "require_format",
    "reset_peak",
    "versions",
    "was_asked",
    "whole",
    "write_json",
    "write_texts",
]
