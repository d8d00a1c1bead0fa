"""The curves of a run: the CSV files of its starts, joined by the batch."""

import csv
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from inpaintlab.machine import open_regular

MOST_BYTES = 256 * 2**20
"""Of one CSV file; a line a batch, for a million batches, has some 200 MB."""

_MOST_OF_A_HEADING = 2**20

_OF_NO_CURVE = ("step", "epoch")
"""Columns that say where the values of the others belong."""

Curve = dict[int, float]
"""Batches done to the value that was logged then, in order; infinite where all images were exact."""


LARGEST = 3.4e38
"""Values beyond it, about the largest of float32, are drawn as infinite ones; the span of two of them overflows."""


def curves_of(folder: Path, beginnings: Sequence[str] = ("",)) -> tuple[dict[str, Curve], list[str]]:
    """The curves of a run from ``log/version_N/metrics.csv``, by the name of what was logged.

    A run that was resumed goes back to its last checkpoint. From the first batch on of which a later start has logged
    anything, all values of earlier starts are left out, whatever their names.

    Args:
        folder: the run's.
        beginnings: how the names of the curves begin that are wanted.

    Returns:
        The curves, and a sentence for each file that could not be read to its end. A last line without its end, which
        is being written, is left out.
    """
    joined: dict[str, Curve] = {}
    notes: list[str] = []
    for path in _files(folder / "log"):
        found, first = _read(path, tuple(beginnings), notes)
        for name in dict.fromkeys((*joined, *found)):
            before = {batch: value for batch, value in joined.get(name, {}).items() if batch < first}
            joined[name] = before | found.get(name, {})
    return {name: joined[name] for name in sorted(joined) if joined[name]}, notes


def names_logged(folder: Path) -> set[str]:
    """The names of all curves of a run, as the first lines of its files have them."""
    names: set[str] = set()
    for path in _files(folder / "log"):
        try:
            with open_regular(path) as file:
                line = file.readline(_MOST_OF_A_HEADING).decode("utf-8", "backslashreplace")
            names.update(*csv.reader([line]))
        except (OSError, csv.Error):
            continue  # told where its curves are read
    return names - {"", *_OF_NO_CURVE}


def _files(log: Path) -> list[Path]:
    """The files of the starts, in the order of the starts."""
    numbers = {path: path.parent.name.removeprefix("version_") for path in log.glob("version_*/metrics.csv")}
    numbered = {path: number for path, number in numbers.items() if number.isascii() and number.isdigit()}
    return sorted(numbered, key=lambda path: (len(numbered[path].lstrip("0")), numbered[path].lstrip("0")))


def _read(path: Path, beginnings: tuple[str, ...], notes: list[str]) -> tuple[dict[str, Curve], float]:
    """The curves of one start that are wanted, and the first batch of which it has logged anything."""
    found: dict[str, dict[int, float]] = {}
    first = math.inf
    try:
        with open_regular(path) as file:
            content = file.read(MOST_BYTES + 1)
        if len(content) > MOST_BYTES:
            raise ValueError(f"it has more than {MOST_BYTES:,} bytes")
        for batch, name, value in _cells(content, beginnings):
            first = min(first, float(batch))
            if value is not None:
                found.setdefault(name, {})[batch] = value
    except (OSError, ValueError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        notes.append(f"{path} cannot be read to its end ({reason}).")
    return {name: dict(sorted(curve.items())) for name, curve in found.items()}, first


def _cells(content: bytes, beginnings: tuple[str, ...]) -> Iterator[tuple[int, str, float | None]]:
    """Batches done, name and value of each number in a file; None for the value of a curve that is not wanted."""
    whole = content[: content.rfind(b"\n") + 1].decode("utf-8", "backslashreplace")
    rows = csv.reader(io.StringIO(whole, newline=""))
    names = next(rows, [])
    if "step" not in names:
        if names:
            raise ValueError("it has no column 'step'")
        return
    at = names.index("step")
    curves = [(place, name, name.startswith(beginnings)) for place, name in enumerate(names)]
    curves = [entry for entry in curves if entry[1] not in _OF_NO_CURVE]
    for row in rows:
        step = _number(row[at]) if len(row) == len(names) else None
        if step is None or not (0 <= step < 10**15):
            continue
        for place, name, wanted in curves:
            if (value := _number(row[place])) is not None:
                yield int(step) + 1, name, value if wanted else None  # steps are counted from 0


def _number(cell: str) -> float | None:
    try:
        value = float(cell) if cell else math.nan
    except ValueError:
        return None
    return None if math.isnan(value) else value


def of_interest(curves: Sequence[Mapping[str, Curve]]) -> list[str]:
    """The names of the curves that some run has; those of validation first."""
    names = {name for each in curves for name in each}
    return sorted(names, key=lambda name: (not name.startswith("val/"), name))


def common(curves: Sequence[Curve]) -> list[int]:
    """The batches at which all of some curves have a value, in order."""
    shared = set(curves[0]) if curves else set()
    return sorted(shared.intersection(*curves[1:]))


_BLOCKS, _PLAIN = "▁▂▃▄▅▆▇█", "_.-=+*%#"


def sparkline(curve: Curve, low: float, high: float, end: int, width: int, *, plain: bool = False) -> str:
    """A curve as a line of text.

    Args:
        curve: to be drawn.
        low: the value at the bottom.
        high: the value at the top; infinite values stand there too, and those beyond ``LARGEST``.
        end: the batch at the right edge, which curves of shorter runs do not reach.
        width: characters from batch 0 to the right edge; each stands for the mean of its finite values, and repeats the
            one before where it has none.
        plain: with ASCII alone.
    """
    blocks = _PLAIN if plain else _BLOCKS
    parts: list[list[float]] = [[] for _ in range(width)]
    for batch, value in curve.items():
        parts[min(width - 1, (batch - 1) * width // max(end, 1))].append(value)
    drawn, block = "", " "
    for part in parts[: max((at for at, part in enumerate(parts) if part), default=-1) + 1]:
        if part:
            finite = [value for value in part if abs(value) <= LARGEST]
            mean = sum(finite) / len(finite) if finite else max(part)
            share = (min(max(mean, low), high) - low) / (high - low) if high > low else 0.5
            block = blocks[min(len(blocks) - 1, int(share * len(blocks)))]
        drawn += block
    return drawn
