"""What differs between runs: settings, code, and what they were trained and validated on."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, final

from inpaintlab.runs import recorded_digest, validation_set

MADE_OF_OTHERS = ("name", "datamodule", "configuration")
"""Keys of config.json that are left out: the name heads a column, the others repeat or digest what is there."""


@final
class Absent:
    """In the place of a value that a run does not have; there is one of it, `ABSENT`."""

    def __str__(self) -> str:
        return "-"

    __repr__ = __str__


ABSENT: Final = Absent()


def differing(settings: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """The settings in which some of the runs differ, and no others.

    Args:
        settings: nested, those of each run.

    Returns:
        Dotted key to the value of each run, `ABSENT` for one that has no such key. A list is one value. A mapping is
        one where another run has something else, or nothing but it is empty; otherwise its keys stand for themselves.
    """
    found: dict[str, list[Any]] = {}

    def look(values: list[Any], key: str) -> None:
        there = [value for value in values if value is not ABSENT]
        if all(isinstance(value, dict) for value in there) and any(there):
            for name in dict.fromkeys(name for value in there for name in value):
                inner = [value.get(name, ABSENT) if isinstance(value, dict) else ABSENT for value in values]
                look(inner, f"{key}.{name}" if key else name)
        elif any(not _equal(value, values[0]) for value in values[1:]):
            found[key] = values

    for name in dict.fromkeys(name for each in settings for name in each):
        look([each.get(name, ABSENT) for each in settings], str(name))
    return found


def _equal(one: Any, other: Any) -> bool:
    """Whether two values are the same: 1 and true are not, 1 and 1.0 are."""
    if isinstance(one, bool) != isinstance(other, bool) or (one is ABSENT) != (other is ABSENT):
        return False
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_equal, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_equal(value, other[key]) for key, value in one.items())
    return bool(one == other)


def recorded(folder: Path, settings: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """What a run records of itself, to be held against others: its settings, its code, and digests of its data.

    Args:
        folder: the run's.
        settings: the content of its ``config.json``.

    Returns:
        The settings without those of `MADE_OF_OTHERS`, and below ``files`` a line for each kind of files that it was
        trained on, as far as ``trained_on.json`` names them, and the hash of its validation set, which is one wherever
        its images lie; and a sentence for each of the two files that is there and cannot be read.
    """
    files: dict[str, str] = {}
    notes = []
    try:
        files |= {kind: _in_numbers(entry) for kind, entry in recorded_digest(folder).items()}
    except (ValueError, OSError) as error:
        notes.append(str(error))
    try:
        if (validation := validation_set(folder)) is not None:
            files["validation"] = validation[:12]
    except (ValueError, OSError) as error:
        notes.append(str(error))
    kept = {key: value for key, value in settings.items() if key not in MADE_OF_OTHERS}
    return kept | ({"files": files} if files else {}), notes


def _in_numbers(entry: Mapping[str, int | str]) -> str:
    files = f"{entry['files']:,} file{'' if entry['files'] == 1 else 's'}"
    return f"{files}, {entry['bytes']:,} bytes, {str(entry['sha256'])[:12]}"


def in_one_line(value: Any) -> str:
    """A value of a setting as it stands on a command line: null, true, [1, 2]."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, float):
        return f"{value:.12g}"
    if isinstance(value, list):
        return f"[{', '.join(map(in_one_line, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key}: {in_one_line(entry)}' for key, entry in value.items())}}}"
    return str(value)
