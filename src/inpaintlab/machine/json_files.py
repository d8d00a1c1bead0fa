"""Reading JSON that others may have written: within limits, and refused in one sentence."""

import json
import math
from collections import Counter
from pathlib import Path
from typing import Any

MOST_BYTES = 512 * 2**20
"""A manifest of a million images has some 400 MB."""

MOST_DEPTH = 64
"""Dicts and lists inside each other; our own files have about ten."""

_MOST_DIGITS = 20  # of a whole number: 64 bits, such as a seed


def read_json(path: Path, what: str, mend: str = "") -> dict[str, Any]:
    """Read a file of JSON whose top is an object.

    It is UTF-8 (a byte order mark is no harm), and holds nothing that Python reads beyond JSON or in two ways: no NaN
    and no infinity, also not as 1e999, no key twice in an object, no whole number of more than 20 digits, at most
    ``MOST_DEPTH`` objects and lists inside each other.

    Args:
        path: a regular file of at most ``MOST_BYTES``.
        what: what it should be, for the sentence, as in "a manifest of inpaintlab".
        mend: what to do about a damaged one, as in "evaluate this method again".

    Raises:
        ValueError: there is no such file, or it is none of that.
        OSError: it cannot be opened.
    """
    if not path.is_file():  # a named pipe would be waited for
        raise ValueError(f"There is no file {path.absolute()}, which would be {what}.")
    if path.stat().st_size > MOST_BYTES:
        raise ValueError(_sentence(path, what, f"it has more than {MOST_BYTES:,} bytes", mend))
    return parse_json(path.read_bytes(), path, what, mend)


def parse_json(content: bytes, place: Path | str, what: str, mend: str = "") -> dict[str, Any]:
    """Parse the content of such a file (see `read_json`), which may have come from elsewhere than the disk.

    Args:
        content: its bytes.
        place: its path or URL, for the sentence.
        what: what it should be.
        mend: what to do about a damaged one.

    Raises:
        ValueError: it is no such JSON.
    """
    try:
        found = json.loads(
            content.decode("utf-8-sig"),
            object_pairs_hook=_object,
            parse_constant=_refuse,
            parse_float=_finite,
            parse_int=_whole,
        )
        _require_shallow(found)
    except UnicodeDecodeError as error:
        raise ValueError(_sentence(place, what, "it is no text in UTF-8", mend)) from error
    except RecursionError as error:
        raise ValueError(_sentence(place, what, _TOO_DEEP, mend)) from error
    except ValueError as error:
        raise ValueError(_sentence(place, what, str(error), mend)) from error
    if not isinstance(found, dict):
        raise ValueError(_sentence(place, what, "its top is no object {...}", mend))
    return found


_TOO_DEEP = f"it has more than {MOST_DEPTH} objects and lists inside each other"


def _sentence(place: Path | str, what: str, fault: str, mend: str) -> str:
    return f"{place} cannot be read as {what} ({fault}){f': {mend}' if mend else ''}."


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        times = Counter(key for key, _ in pairs)
        twice = next(key for key, count in times.items() if count > 1)
        raise ValueError(f"the key {twice!r} stands twice in an object")
    return found


def _refuse(constant: str) -> None:
    raise ValueError(f"it has the number {constant}, which JSON has not")


def _finite(digits: str) -> float:
    if math.isinf(number := float(digits)):
        raise ValueError(f"it has a number that is too large, {digits[:40]}")
    return number


def _whole(digits: str) -> int:
    if len(digits) > _MOST_DIGITS:
        raise ValueError(f"it has a whole number that is too large, {digits[:40]}")
    return int(digits)


def _require_shallow(found: Any) -> None:
    """See that nothing is nested deeply, a level at a time: whoever walks through it later calls itself."""
    level = [found]
    for _ in range(MOST_DEPTH + 1):
        level = [value for value in level if isinstance(value, (dict, list))]
        if not level:
            return
        level = [value for each in level for value in (each.values() if isinstance(each, dict) else each)]
    raise ValueError(_TOO_DEEP)
