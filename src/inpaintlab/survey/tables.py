"""What the terminal shows of runs: their list, how their settings differ, and their curves."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from inpaintlab.survey.comparison import Compared
from inpaintlab.survey.curves import LARGEST, Curve, common, sparkline
from inpaintlab.survey.differences import in_one_line
from inpaintlab.survey.grid import Grid
from inpaintlab.survey.summary import Summary, age, printable

_SPARKLINE = 24  # characters

_SIDE_BY_SIDE = 4
"""The most runs whose values stand in columns; those of more are grouped, a line a value."""

_SHOWN_OF_A_VALUE = 300
"""Characters; the page and json=true have all."""

HEADINGS = ("run", "model", "data", "phase", "batches", "best", "state")


def table_of_runs(summaries: Sequence[Summary], now: float | None = None) -> Grid:
    """A line a run: name, model, data, phase, batches, best score, state and age, and the reason where one has any.

    Args:
        summaries: of the runs.
        now: seconds since 1970; None: those of now.
    """
    now = time.time() if now is None else now
    headings = [*HEADINGS, "age"]
    rows = [[*cells_of(entry), age(now - entry.run.changed) if entry.run.changed else "-"] for entry in summaries]
    if any(entry.reason for entry in summaries):
        headings.append("reason")
        rows = [[*row, printable(entry.reason)] for row, entry in zip(rows, summaries, strict=True)]
    return Grid(headings, rows, ("run", "data", "reason"), ("data", "phase", "model"))


def cells_of(entry: Summary) -> list[str]:
    """What stands below ``HEADINGS`` of a run, fit to be printed."""
    progress = entry.progress
    batches, best = "-", "-"
    if progress is not None:
        batches = f"{progress.iterations:,}/{progress.total:,}"
        if progress.top is not None:
            best = f"{printable(progress.monitor)} {progress.top[1]:.4g}"
    texts = [printable(text) or "-" for text in (entry.run.name, entry.model, entry.data, entry.phase)]
    return [*texts, batches, best, entry.state]


def table_of_settings(found: Compared) -> Grid | None:
    """The settings that differ, a column a run, or of many runs a line a value; None if none differ."""
    names = [printable(name) for name in found.names]
    if not found.differences:
        return None
    if len(names) > _SIDE_BY_SIDE:
        rows = [row for key, values in found.differences.items() for row in _groups(key, values, names)]
        return Grid(["setting", "value", "runs"], rows, ("setting", "value", "runs"))
    rows = [[printable(key), *map(_in_words, values)] for key, values in found.differences.items()]
    return Grid(["setting", *names], rows, ("setting", *names))


def _groups(key: str, values: Sequence[Any], names: Sequence[str]) -> list[list[str]]:
    """A line for each value of a setting, with the runs that have it."""
    groups: dict[str, list[str]] = {}
    for name, value in zip(names, values, strict=True):
        groups.setdefault(_in_words(value), []).append(name)
    heads = [printable(key), *[""] * (len(groups) - 1)]
    return [[head, value, ", ".join(having)] for head, (value, having) in zip(heads, groups.items(), strict=True)]


def _in_words(value: Any) -> str:
    """A setting's value in one line, cut where it is long."""
    text = printable(in_one_line(value))
    return text if len(text) <= _SHOWN_OF_A_VALUE else f"{text[:_SHOWN_OF_A_VALUE]}..."


def table_of_curves(found: Compared, *, plain: bool = False) -> Grid | None:
    """A line for each curve of each run, drawn on one scale, with values and their batches; None if there is none.

    The values are those at the batches at which all of these runs have one, so that they can be held against each
    other. Where there is no such batch, they are each curve's own, which each of them says.

    Args:
        found: the comparison.
        plain: with ASCII alone.
    """
    end = max((batch for curves in found.curves for curve in curves.values() for batch in curve), default=0)
    rows = []
    for metric in found.metrics:
        having = {name: each[metric] for name, each in zip(found.names, found.curves, strict=True) if metric in each}
        low, high = _range(having)
        shared = common(list(having.values()))
        for number, (name, curve) in enumerate(having.items()):
            line = sparkline(curve, low, high, end, _SPARKLINE, plain=plain)
            rows.append(["" if number else printable(metric), printable(name), *_numbers(curve, shared), line])
    headings = ["curve", "run", "common batches", "last", "lowest", "highest", f"to {end:,} batches"]
    return Grid(headings, rows, ("curve", "run"), ("common batches", "lowest", "highest")) if rows else None


def _range(having: Mapping[str, Curve]) -> tuple[float, float]:
    finite = [value for curve in having.values() for value in curve.values() if abs(value) <= LARGEST] or [0.0]
    return min(finite), max(finite)


def _numbers(curve: Curve, shared: Sequence[int]) -> list[str]:
    """How many batches are common and the last of them, the value there, and the lowest and the highest at these."""
    at = [(curve[batch], batch) for batch in shared or curve]
    lowest, highest = min(at), max(at, key=lambda entry: (entry[0], -entry[1]))
    own = "" if shared else "own "
    values = [f"{own}{value:.4g} @ {batch:,}" for value, batch in (at[-1], lowest, highest)]
    return [f"{len(shared):,}, last {shared[-1]:,}" if shared else "none", *values]


def last_values(having: Mapping[str, Curve]) -> str:
    """The values that `table_of_curves` has as the last ones, by the names of their runs, in words."""
    shared = common(list(having.values()))
    values = (f"{printable(name)} {_numbers(curve, shared)[1]}" for name, curve in having.items())
    return f"last values{' at common batches' if shared else ''}: {', '.join(values)}"
