"""How busy others keep a machine, on machines that are made up and on this one."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from inpaintlab.machine import Clocks, Load, load
from inpaintlab.machine.load import Work, work_of_machine

STAT = """cpu  120 30 50 9000 700 6 4 40 20 10
cpu0 60 15 25 4500 350 3 2 20 10 5
cpu1 60 15 25 4500 350 3 2 20 10 5
intr 163935 0 0
ctxt 226650
"""


def watched(wall: float, own: float, machine: Callable[[], Work | None]) -> Load:
    """What is told of so many seconds, in which this process worked ``own`` seconds."""
    walls, owns = iter([5.0, 5.0 + wall]), iter([10.0, 10.0 + own])
    found = Load(Clocks(lambda: next(walls), lambda: next(owns), machine))
    with found.watched():
        pass
    return found


def machine(seconds: float, cores: int = 2) -> Callable[[], Work]:
    """One that works so long meanwhile."""
    works = iter([Work(100.0, cores), Work(100.0 + seconds, cores)])
    return lambda: next(works)


def test_the_work_of_others_is_what_the_machine_did_and_this_process_did_not() -> None:
    found = watched(2.0, 1.0, machine(3.0))
    assert (found.others, found.cores) == (1.0, 2)


@pytest.mark.parametrize(("did", "told"), [(0.9, 0.0), (9.0, 2.0)])
def test_ticks_that_come_late_make_no_load_below_none_or_beyond_all_cores(did: float, told: float) -> None:
    assert watched(2.0, 1.0, machine(did)).others == told


def test_a_count_without_our_own_work_tells_nothing() -> None:
    found = watched(2.0, 2.0, machine(0.0))
    assert (found.others, found.cores) == (None, None)


def test_a_time_of_few_ticks_tells_nothing() -> None:
    assert watched(load.SHORTEST / 2, 0.1, machine(0.2)).others is None


def test_a_system_that_does_not_count_tells_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "STAT", Path("/nowhere/stat"))
    assert work_of_machine() is None
    assert watched(2.0, 1.0, work_of_machine).others is None


def test_the_work_of_a_machine_is_all_but_idling_and_waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "stat").write_text(STAT)
    monkeypatch.setattr(load, "STAT", tmp_path / "stat")
    # user, nice, system, interrupts, soft interrupts, stolen; guests are counted in user and nice
    assert work_of_machine() == Work((120 + 30 + 50 + 6 + 4 + 40) / 100, 2)


@pytest.mark.skipif(not load.STAT.exists(), reason="only Linux counts the work of a machine")
def test_this_machine_counts_our_own_work() -> None:
    before, own = work_of_machine(), time.process_time()
    while time.process_time() - own < 0.5:
        pass
    after = work_of_machine()
    assert before is not None
    assert after is not None
    assert before.cores == after.cores >= 1
    assert after.seconds - before.seconds > 0.4
