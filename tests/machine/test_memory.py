"""Laws of the memory that a training on a CPU frees."""

import platform
import subprocess
import sys

import pytest

from inpaintlab.machine import keep_freed_memory

FAULTS = """
import resource, sys, torch
from inpaintlab.machine.memory import keep_freed_memory

if sys.argv[1] == "kept":
    assert keep_freed_memory()
for _ in range(12):  # the places of blocks settle within a few rounds
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    blocks = [torch.ones(12_000_000) for _ in range(3)]  # 48 MB each
    del blocks
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(setting: str) -> int:
    """Pages that the last of some rounds had to be given by the system."""
    done = subprocess.run([sys.executable, "-c", FAULTS, setting], capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt is glibc's")
def test_what_a_step_frees_the_next_one_has_without_a_fault() -> None:
    given_back = faults("given back")
    assert given_back > 50  # at least one for 2 MB
    assert faults("kept") * 10 < given_back


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inpaintlab.machine.memory.platform.libc_ver", lambda: ("", ""))
    monkeypatch.setattr("inpaintlab.machine.memory.ctypes.CDLL", lambda _: pytest.fail("a library was opened"))
    assert not keep_freed_memory()
