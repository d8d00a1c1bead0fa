"""What is asked of the machine: files, memory, signals, where a number comes from."""

from inpaintlab.machine.files import FULL_DISK, file_sha256, write_json, write_texts
from inpaintlab.machine.load import QUIET, SHORTEST, Clocks, Load
from inpaintlab.machine.memory import keep_freed_memory, peak, reset_peak
from inpaintlab.machine.provenance import code_sha256, commit, machine, versions
from inpaintlab.machine.signals import INTERRUPTED, Request, outlive_requests, receiving_requests, was_asked
from inpaintlab.machine.storage import Storage

__all__ = [
    "FULL_DISK",
    "INTERRUPTED",
    "QUIET",
    "SHORTEST",
    "Clocks",
    "Load",
    "Request",
    "Storage",
    "code_sha256",
    "commit",
    "file_sha256",
    "keep_freed_memory",
    "machine",
    "outlive_requests",
    "peak",
    "receiving_requests",
    "reset_peak",
    "versions",
    "was_asked",
    "write_json",
    "write_texts",
]
