"""A sweep's folder: its jobs, their names and their states."""

import hashlib
import json
import math
import re
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import final

from rich.table import Column, Table

from inpaintlab.machine import conform, read_json, write_json
from inpaintlab.runs import FREE_TO_CHANGE, PLACE, Progress, duration, is_name, is_place, reason_of, state_in_a_word

RECORD = "sweep.json"


_LONGEST_NAME = 120


@dataclass(frozen=True)
class _Record:
    fixed: list[str]
    jobs: dict[str, list[str]]


@final
@dataclass(frozen=True)
class Job:
    """One training of a sweep.

    Args:
        name: of its folder in the sweep's folder.
        overrides: its settings in Hydra's grammar, without the setting ``name``.
    """

    name: str
    overrides: tuple[str, ...]


@final
@dataclass
class SweepFolder:
    """The record ``sweep.json`` of a sweep, which lies beside the folders of its jobs.

    Args:
        path: the sweep's folder, ``runs/<sweep>``.
        fixed: the settings that all jobs share and that decide their results.
        jobs: name to overrides, of every job that the sweep has ever had.
        moved: whether files lie elsewhere than when it was given before. They may be others, so that its finished jobs
            have to look at them.
    """

    path: Path
    fixed: list[str]
    jobs: dict[str, list[str]] = field(default_factory=dict)
    moved: bool = False

    @classmethod
    def load(cls, path: Path) -> "SweepFolder":
        """Read a sweep's folder.

        Raises:
            ValueError: there is none, or its record is damaged.
        """
        record = path / RECORD
        if not record.is_file():
            raise ValueError(
                f"{path} is no sweep: there is no {RECORD}; give the folder that `inpaintlab train -m` named."
            )
        mend = "delete it and give the sweep again"
        content = conform(_Record, read_json(record, "the record of a sweep", mend), record, mend)
        if strange := [name for name in content.jobs if not is_name(name)]:
            raise ValueError(f"{record}: jobs has the name {strange[0]!r}, which cannot be a folder's; {mend}.")
        return cls(path, content.fixed, content.jobs)

    @classmethod
    def opened(cls, path: Path, fixed: Sequence[str]) -> "SweepFolder":
        """The folder of a sweep that starts now, for the first time or again.

        Args:
            path: the sweep's folder.
            fixed: the overrides that all jobs share.

        Raises:
            ValueError: a sweep with other settings has that name.
        """
        settings = deciding(fixed)
        if not (path / RECORD).is_file():
            return cls(path, settings)
        before = cls.load(path)
        changed = sorted(set(_comparable(before.fixed)) ^ set(_comparable(settings)))
        if changed:
            raise ValueError(
                f"{path} holds a sweep with other settings, first: {changed[0]}. Give this one another name (name=...)."
            )
        return cls(path, settings, before.jobs, _places(before.fixed) != _places(settings))

    def add(self, jobs: Sequence[Job]) -> None:
        """Record jobs before they start."""
        self.path.mkdir(parents=True, exist_ok=True)
        self.jobs |= {job.name: list(job.overrides) for job in jobs}
        write_json(self.path / RECORD, {"fixed": self.fixed, "jobs": self.jobs})

    def states(self) -> dict[str, str]:
        """Each job's state; 'unreadable' if its files are damaged."""
        return {name: state_in_a_word(self.path / name)[0] for name in self.jobs}


def deciding(fixed: Sequence[str]) -> list[str]:
    """The overrides that decide results, sorted (see `FREE_TO_CHANGE`)."""
    return sorted(entry for entry in fixed if re.split(r"[.=@/]", entry.lstrip("+~"))[0] not in FREE_TO_CHANGE)


def _comparable(settings: Sequence[str]) -> list[str]:
    """The settings without the phases' lengths, for jobs may be continued for longer, and without places of files."""
    return [_without_place(s) for s in settings if not re.match(r"model\.schedule\.phases\.\w+\.batches=", s)]


def _places(settings: Sequence[str]) -> set[str]:
    return {entry for entry in settings if _without_place(entry) != entry}


def _without_place(entry: str) -> str:
    """An override without the path in it: what lies there counts, which each job compares."""
    key, _, value = entry.partition("=")
    return f"{key}={PLACE}" if is_place(key.rpartition(".")[2], value.strip("'\"")) else entry


def sweep_name(swept: Sequence[str], fixed: Sequence[str]) -> str:
    """A name that follows from the swept keys and the fixed settings: the same sweep with more values keeps its folder.

    Args:
        swept: the keys that take several values.
        fixed: the overrides that all jobs share.
    """
    identity = json.dumps([sorted(swept), [_without_place(entry) for entry in deciding(fixed)]])
    return "-".join(["sweep", *_short(swept).values(), hashlib.sha256(identity.encode()).hexdigest()[:8]])


def job_name(swept: Mapping[str, str]) -> str:
    """A job's name: each swept key with its value, as in ``model-glcic_seed-1``."""
    words = {key: re.sub(r"[^\w.+-]+", "-", value).strip("-") for key, value in swept.items()}
    name = "_".join(f"{short}-{words[key]}" for key, short in _short(tuple(swept)).items())
    if dict(swept) == words and len(name) <= _LONGEST_NAME:
        return name
    digest = hashlib.sha256(json.dumps(dict(swept)).encode()).hexdigest()[:8]  # two jobs may shorten to one name
    return f"{name[: _LONGEST_NAME - 9]}-{digest}"


def _short(keys: Sequence[str]) -> dict[str, str]:
    """Each key's last word, or the whole keys if two of them end in the same word."""
    last = {key: re.split(r"[./@]", key.lstrip("+"))[-1] for key in keys}
    unique = len(set(last.values())) == len(keys)
    return {key: word if unique else re.sub(r"[^\w]+", ".", key.lstrip("+")) for key, word in last.items()}


def summary(states: Mapping[str, str]) -> str:
    """The number of jobs in each state, in one line."""
    counts = {state: list(states.values()).count(state) for state in dict.fromkeys(states.values())}
    listed = ", ".join(f"{count} {state}" for state, count in counts.items())
    return f"{len(states)} job{'' if len(states) == 1 else 's'}: {listed}"


def overview(sweep: SweepFolder) -> Table:
    """A table with one row per job: state, batches, best validation score, time, and why it failed or was stopped."""
    progress = {name: progress_of(sweep.path / name) for name in sweep.jobs}
    monitors = sorted({entry.monitor for entry in progress.values() if entry is not None})
    best = f"best {', '.join(monitors) or 'score'}"
    table = Table(Column("job", overflow="fold"), "state", "batches", best, "time", "reason")
    for name, state in sweep.states().items():
        entry = progress[name]
        numbers = ("", "", "")
        if entry is not None:
            best = "-" if entry.best is None else f"{entry.best:.4g}"
            numbers = (f"{entry.iterations:,}/{entry.total:,}", best, duration(entry.seconds))
        table.add_row(name, state, *numbers, reason_of(sweep.path / name) if state in ("failed", "stopped") else "")
    return table


def by_seed(sweep: SweepFolder) -> Table | None:
    """Mean and sample standard deviation (n - 1) of the best score over seeds, for each configuration.

    Only finished jobs count. None if no configuration has two of them.
    """
    groups: dict[str, list[float]] = {}
    for name, state in sweep.states().items():
        progress = progress_of(sweep.path / name) if state == "done" else None
        if progress is not None and progress.best is not None:
            own = [entry for entry in sweep.jobs[name] if entry not in sweep.fixed and not entry.startswith("seed=")]
            groups.setdefault(" ".join(entry for entry in deciding(own)), []).append(progress.best)
    if not any(len(scores) > 1 for scores in groups.values()):
        return None
    table = Table(Column("configuration", overflow="fold"), "seeds", "mean", "deviation")
    for configuration, scores in groups.items():
        defined = len(scores) > 1 and all(map(math.isfinite, scores))
        deviation = f"{statistics.stdev(scores):.4g}" if defined else "-"
        table.add_row(configuration or "all alike", str(len(scores)), f"{statistics.fmean(scores):.4g}", deviation)
    return table


def progress_of(folder: Path) -> Progress | None:
    """The progress of a job; None if there is none, or if its file is damaged, which its state says."""
    try:
        return Progress.load(folder)
    except ValueError:
        return None
