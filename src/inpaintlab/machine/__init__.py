"""The machine and its operating system: files, locks, memory, signals, and where a number comes from."""

from inpaintlab.machine.files import (
    FULL_DISK,
    as_json,
    file_sha256,
    full_disk_named,
    open_regular,
    remove_partials,
    shown,
    whole,
    write_json,
    write_texts,
)
from inpaintlab.machine.formats import (
    Between,
    Count,
    Fault,
    Infinite,
    PlainSize,
    Said,
    Sha256,
    conform,
    faults,
    require_format,
    storable,
)
from inpaintlab.machine.json_files import parse_json, read_json
from inpaintlab.machine.load import QUIET, SHORTEST, Clocks, Load
from inpaintlab.machine.locks import Lock, alone, is_held_by_another
from inpaintlab.machine.memory import keep_freed_memory, peak, reset_peak
from inpaintlab.machine.parents import PARENT, end_with_first, end_with_parent
from inpaintlab.machine.provenance import code_sha256, command_line, commit, machine, versions
from inpaintlab.machine.signals import INTERRUPTED, REQUEUE, Request, outlive_requests, receiving_requests, was_asked
from inpaintlab.machine.storage import Storage, user_cache
from inpaintlab.machine.workers import (
    EndsBetweenSteps,
    LoaderError,
    hear_no_more_of_loaders,
    is_loader_failure,
    loading_explained,
)
from inpaintlab.machine.yaml_files import read_yaml

__all__ = [
    "FULL_DISK",
    "INTERRUPTED",
    "PARENT",
    "QUIET",
    "REQUEUE",
    "SHORTEST",
    "Between",
    "Clocks",
    "Count",
    "EndsBetweenSteps",
    "Fault",
    "Infinite",
    "Load",
    "LoaderError",
    "Lock",
    "PlainSize",
    "Request",
    "Said",
    "Sha256",
    "Storage",
    "alone",
    "as_json",
    "code_sha256",
    "command_line",
    "commit",
    "conform",
    "end_with_first",
    "end_with_parent",
    "faults",
    "file_sha256",
    "full_disk_named",
    "hear_no_more_of_loaders",
    "is_held_by_another",
    "is_loader_failure",
    "keep_freed_memory",
    "loading_explained",
    "machine",
    "open_regular",
    "outlive_requests",
    "parse_json",
    "peak",
    "read_json",
    "read_yaml",
    "receiving_requests",
    "remove_partials",
    "require_format",
    "reset_peak",
    "shown",
    "storable",
    "user_cache",
    "versions",
    "was_asked",
    "whole",
    "write_json",
    "write_texts",
]
