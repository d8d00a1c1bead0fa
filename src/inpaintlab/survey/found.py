"""The runs in a folder, and in the folders of sweeps in it, by the names of their files alone."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import final

from inpaintlab.machine import shown
from inpaintlab.runs import FAILED, OUTPUT, STARTS, STOPPED
from inpaintlab.sweeps import SweepFolder

_LIVING = ("progress.json", OUTPUT, STARTS, FAILED, STOPPED)
"""Files that a run writes while it goes on; the newest of them tells when it last did something."""

_OF_A_RUN = (*_LIVING, "last.ckpt", "trained_on.json")
"""Files that make a folder that of a run; a run that was killed early, or copied in part, lacks some."""

_RECORD = "sweep.json"


@final
@dataclass(frozen=True)
class Run:
    """A run, as far as the names and times of its files tell.

    Args:
        name: its path below the folder that was searched: ``NAME``, or ``SWEEP/NAME`` for the job of a sweep.
        folder: the run's; a job that waits for its start may have none yet.
        changed: seconds since 1970 at which the run last wrote something; 0 for a job without a folder.
    """

    name: str
    folder: Path
    changed: float


@final
@dataclass
class Found:
    """What a search found.

    Args:
        runs: newest first; those of one sweep stand together, where the newest of them belongs.
        notes: a sentence for each folder or link that could not be read.
    """

    runs: list[Run] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def runs_in(folder: Path) -> Found:
    """Find the runs in a folder: itself, the folders in it, and those in these that are no runs, such as a sweep's.

    A run that is there under several names, by links, is found once, by the name that is no link if there is one.

    Files are looked at and not read, but for the records of sweeps, so thousands of runs take a second.

    Args:
        folder: a folder of runs, of a sweep, or of one run.

    Raises:
        ValueError: there is no such folder.
    """
    if not os.path.isdir(folder):
        kind = "is a file, no folder of runs" if os.path.exists(folder) else "is not there, so it holds no runs"
        raise ValueError(f"{shown(folder)} {kind}; give the folder that trainings wrote to, such as runs.")
    if (changed := _changed(folder)) is not None:
        return Found([Run(folder.name or str(folder), folder, changed)])
    found = Found()
    groups: list[list[Run]] = []
    if os.path.isfile(folder / _RECORD):
        groups.append(_jobs(folder, "", found.notes))
    else:
        for inner in _folders(folder, found.notes):
            changed = _changed(inner)
            groups.append(_jobs(inner, f"{inner.name}/", found.notes) if changed is None else [_run(inner, changed)])
    groups = _once(groups, folder)
    for group in groups:
        group.sort(key=lambda run: (-run.changed, run.name))
    groups.sort(key=lambda group: (-group[0].changed, group[0].name) if group else (0.0, ""))
    found.runs = [run for group in groups for run in group]
    return found


def _once(groups: list[list[Run]], home: Path) -> list[list[Run]]:
    """The groups without runs that another link leads to."""
    top = os.path.realpath(home)
    real = {run: os.path.realpath(run.folder) for group in groups for run in group}
    kept: dict[str, Run] = {}
    for run, path in sorted(real.items(), key=lambda entry: (entry[1] != os.path.join(top, entry[0].name), entry[1])):
        kept.setdefault(path, run)
    return [[run for run in group if kept[real[run]] is run] for group in groups]


def _run(folder: Path, changed: float) -> Run:
    return Run(folder.name, folder, changed)


def _jobs(folder: Path, prefix: str, notes: list[str]) -> list[Run]:
    """The runs in a folder that is none itself, and the jobs that the record of a sweep names beside them."""
    runs = {
        inner.name: Run(f"{prefix}{inner.name}", inner, changed)
        for inner in _folders(folder, notes)
        if (changed := _changed(inner)) is not None
    }
    if os.path.isfile(folder / _RECORD):
        try:
            for name in SweepFolder.load(folder).jobs:
                runs.setdefault(name, Run(f"{prefix}{name}", folder / name, 0.0))
        except (ValueError, OSError) as error:
            notes.append(shown(" ".join(str(error).split())))
    return list(runs.values())


def _folders(folder: Path, notes: list[str]) -> list[Path]:
    found = []
    try:
        with os.scandir(folder) as scanned:
            entries = [entry for entry in scanned if not entry.name.startswith(".")]
    except OSError as error:
        notes.append(f"{shown(folder)} cannot be read ({error.strerror}).")
        return []
    for entry in entries:
        try:
            if entry.is_dir():
                found.append(Path(entry.path))
        except OSError as error:  # a link to itself, or to where nobody may look
            notes.append(f"{shown(entry.path)} cannot be read ({error.strerror}).")
    return sorted(found)


def _changed(folder: Path) -> float | None:
    """When a run last wrote something; None if the folder is no run's."""
    times = {name: time for name in _OF_A_RUN if (time := _written(folder / name)) is not None}
    return max((time for name, time in times.items() if name in _LIVING), default=max(times.values(), default=None))


def _written(path: Path) -> float | None:
    try:
        return path.stat().st_mtime
    except OSError:
        return None
