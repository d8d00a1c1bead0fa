"""Several runs side by side: what the terminal, the page and JSON show of them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, final

from inpaintlab.machine import shown
from inpaintlab.recipes import nearest
from inpaintlab.survey.curves import Curve, curves_of, names_logged, of_interest
from inpaintlab.survey.differences import ABSENT, differing, recorded
from inpaintlab.survey.found import Run, runs_in
from inpaintlab.survey.summary import Summary, settings_of, summary_of

MOST_RUNS = 100
"""That are compared at once; of more nobody sees anything."""

_NAMED = 40
"""The most names of curves in a sentence."""


@final
@dataclass(frozen=True)
class Compared:
    """Runs side by side, in the order in which they were given.

    Args:
        names: one a run, no two alike.
        summaries: one a run.
        differences: see `differing`; runs whose settings cannot be read have ABSENT everywhere and make no difference.
        curves: one a run, by the name of what was logged.
        metrics: the names of the curves that are shown.
        notes: a sentence for each file that could not be read, and one if no curve is what was asked for.
        readable: how many of the runs have settings that can be read, and so were compared.
    """

    names: list[str]
    summaries: list[Summary]
    differences: dict[str, list[Any]]
    curves: list[dict[str, Curve]]
    metrics: list[str]
    notes: list[str]
    readable: int

    @property
    def sentence(self) -> str:
        """How many settings differ, and between how many runs."""
        runs = len(self.names)
        if runs == 1:
            return "One run, so there is nothing to compare its settings with."
        if self.readable < 2:
            return f"No settings were compared: {self.readable or 'none'} of the {runs} runs has any that can be read."
        count = len(self.differences)
        whole = "" if self.readable == runs else f"{self.readable} of "
        return f"{count or 'No'} setting{' differs' if count == 1 else 's differ'} between {whole}the {runs} runs."


def compare(runs: Sequence[Run], beginnings: Sequence[str]) -> Compared:
    """Read the settings and curves of runs.

    Args:
        runs: at least one.
        beginnings: how the names of the curves begin that are shown.
    """
    notes: list[str] = []
    curves, known = [], []
    summaries = [summary_of(run) for run in runs]
    settings = [settings_of(run.folder)[0] for run in runs]  # what is wrong with a file, the summary tells
    for run, own in zip(runs, settings, strict=True):
        if own:
            record, faults = recorded(run.folder, own)
            known.append(record)
            notes += faults
        else:
            notes.append(f"{run.name} has no settings that can be read, so it is left out where settings are compared.")
        drawn, faults = curves_of(run.folder, beginnings)
        curves.append(drawn)
        notes += faults
    metrics = of_interest(curves)
    if beginnings and not metrics:
        notes.append(_nothing_of(beginnings, runs))
    found = {key: iter(values) for key, values in differing(known).items()}
    return Compared(
        [run.name for run in runs],
        summaries,
        {key: [next(values) if own else ABSENT for own in settings] for key, values in found.items()},
        curves,
        metrics,
        notes,
        len(known),
    )


def _nothing_of(beginnings: Sequence[str], runs: Sequence[Run]) -> str:
    """That no curve begins so, and which there are."""
    there = sorted({name for run in runs for name in names_logged(run.folder)})
    if not there:
        return f"{'This run has' if len(runs) == 1 else 'These runs have'} logged no curves."
    named = f"{', '.join(there[:_NAMED])}{', ...' * (len(there) > _NAMED)}"
    return f"No curve begins with {' or '.join(beginnings)}; there are: {named}."


def runs_of(given: Sequence[str], home: Path) -> list[Run]:
    """The runs that paths or names stand for: a run's folder for itself, another folder for all runs in it.

    Args:
        given: paths of folders, or names of runs and sweeps in ``home``.
        home: the folder of all runs.

    Raises:
        ValueError: one is neither, holds no run, or they are too many.
    """
    if not given:
        raise ValueError(
            "There is nothing to compare: give folders of runs, as in `inpaintlab runs compare runs/a runs/b`."
        )
    runs: dict[Path, Run] = {}
    for text in given:
        for run in _runs(text, home):
            runs.setdefault(run.folder.resolve(), run)
    if len(runs) > MOST_RUNS:
        raise ValueError(f"These are {len(runs):,} runs, and at most {MOST_RUNS} are compared at once: name fewer.")
    return _named_apart(list(runs.values()))


def _runs(text: str, home: Path) -> list[Run]:
    folder = Path(text)
    if not folder.is_dir() and (home / text).is_dir():
        folder = home / text
    if not folder.is_dir():
        known = [run.name for run in runs_in(home).runs] if home.is_dir() else []
        near = nearest(folder.name, known)
        raise ValueError(
            f"There is no folder {shown(folder)}, which would be a run's.{shown(near)} inpaintlab runs lists them."
        )
    found = runs_in(folder)
    if not found.runs:
        told = f" {found.notes[0]}" if found.notes else ""
        raise ValueError(f"{shown(folder)} holds no run: give the folder of a run or of a sweep.{told}")
    return sorted(found.runs, key=lambda run: run.name)


def _named_apart(runs: list[Run]) -> list[Run]:
    """The runs with their names, or their paths where two have one name."""
    names = [run.name for run in runs]
    return [replace(run, name=str(run.folder)) if names.count(run.name) > 1 else run for run in runs]
