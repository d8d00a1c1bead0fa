"""One run in a line: what it trains, how far it is, and its state."""

import itertools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from inpaintlab.machine import open_regular, read_json, shown
from inpaintlab.recipes import pictures_in_words
from inpaintlab.runs import FAILED, STOPPED, Progress, state_in_a_word
from inpaintlab.survey.found import Run

CONFIG = "config.json"

_MOST_OF_A_REASON = 2000
"""Bytes; a sentence of ours has some hundred, and the file may be anybody's."""


@final
@dataclass(frozen=True)
class Summary:
    """What the small files of a run's folder tell; text is as the files have it, not made fit for a terminal.

    Args:
        run: the run.
        model: the class that it trains, such as GLCIC; "" if its settings cannot be read.
        data: the source of its pictures, such as Folder(root=photos); likewise.
        phase: of its next batch, or of its last one when it is finished; likewise.
        state: in the words of `runs.state_of`, or 'unreadable' for one whose progress is damaged.
        progress: None if it has none, or a damaged one.
        reason: why it failed, was stopped or cannot be read, in a sentence; "" for any other run.
    """

    run: Run
    model: str
    data: str
    phase: str
    state: str
    progress: Progress | None
    reason: str


def summary_of(run: Run) -> Summary:
    """Read the small files of a run, of which any may be missing, damaged, or written at this moment."""
    faults = []
    state, fault = state_in_a_word(run.folder)
    faults.append(fault)
    progress = None
    if not fault:
        try:
            progress = Progress.load(run.folder)
        except (ValueError, OSError) as error:
            faults.append(str(error))
    settings, fault = settings_of(run.folder)
    if state != "waiting":  # it has none yet
        faults.append(fault)
    reason = _told(run.folder) if state in ("failed", "stopped") else ""
    return Summary(
        run,
        _model(settings),
        _data(settings),
        "" if state == "unreadable" else _phase(settings, 0 if progress is None else progress.iterations),
        state,
        progress,
        " ".join(" ".join(filter(None, [reason, *faults])).split()),
    )


def settings_of(folder: Path) -> tuple[dict[str, Any], str]:
    """The settings of a run as ``config.json`` has them, and what is wrong with it; empty for a missing file."""
    path = folder / CONFIG
    try:
        return (read_json(path, "the settings of a run"), "") if path.exists() else ({}, "")
    except (ValueError, OSError) as error:
        return {}, str(error)


def _told(folder: Path) -> str:
    """The sentence in ``stopped.txt`` or ``failed.txt``, as far as it can be read."""
    for name in (STOPPED, FAILED):
        try:
            with open_regular(folder / name) as file:
                return file.read(_MOST_OF_A_REASON).decode(errors="backslashreplace").strip()
        except OSError:
            continue
    return ""


def _model(settings: Mapping[str, Any]) -> str:
    model = settings.get("model")
    target = model.get("_target_") if isinstance(model, dict) else None
    return target.rpartition(".")[2] if isinstance(target, str) else ""


def _data(settings: Mapping[str, Any]) -> str:
    data = settings.get("data")
    source = data.get("source") if isinstance(data, dict) else None
    return pictures_in_words(source) if isinstance(source, dict) and "_target_" in source else ""


def _phase(settings: Mapping[str, Any], done: int) -> str:
    """The phase of the batch after ``done`` ones; phases without batches are none."""
    phases = settings.get("model")
    for key in ("schedule", "phases"):
        phases = phases.get(key) if isinstance(phases, dict) else None
    lengths = [
        (name, phase["batches"])
        for name, phase in (phases.items() if isinstance(phases, dict) else ())
        if isinstance(phase, dict) and isinstance(phase.get("batches"), int) and phase["batches"] > 0
    ]
    ends = itertools.accumulate(batches for _, batches in lengths)
    return next((name for (name, _), end in zip(lengths, ends, strict=True) if done < end), (("", 0), *lengths)[-1][0])


_UNITS = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))


def age(seconds: float) -> str:
    """A span of time in its largest unit, rounded down, such as 3 h; a clock that is behind makes it 0 s."""
    for unit, length in _UNITS:
        if seconds >= length:
            return f"{int(seconds // length)} {unit}"
    return "0 s"


def printable(text: str) -> str:
    """Text from a file, in one line that a terminal shows and does not obey (see `machine.shown`)."""
    try:
        return shown(re.sub(r"\s+", " ", text))
    except UnicodeEncodeError:  # half a pair of UTF-16, which JSON can name and no file's name can hold
        return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
