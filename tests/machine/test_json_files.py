"""JSON from elsewhere is read within limits, or refused in a sentence that names the file."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from inpaintlab.machine import parse_json, read_json
from inpaintlab.machine.json_files import MOST_BYTES


def nested(depth: int, opening: str = "[", closing: str = "]") -> str:
    """An object with a value of ``depth - 1`` lists or objects inside each other."""
    inner = opening * (depth - 1) + ("1" if opening != "[" else "") + closing * (depth - 1)
    return f'{{"a": {inner}}}'


DAMAGED = {
    "nothing": (b"", "Expecting value"),
    "cut off": (b'{"a": 1', "delimiter"),
    "another encoding": ('{"a": "é"}'.encode("latin-1"), "no text in UTF-8"),
    "two bytes a character": ('{"a": 1}'.encode("utf-16"), "no text in UTF-8"),
    "NaN": (b'{"a": NaN}', "the number NaN"),
    "infinity": (b'{"a": [-Infinity]}', "the number -Infinity"),
    "infinity by its size": (b'{"a": 1e999}', "too large, 1e999"),
    "a long whole number": (b'{"a": 123456789012345678901}', "whole number that is too large"),
    "a whole number that Python refuses": (b'{"a": ' + b"9" * 10_000 + b"}", "whole number that is too large"),
    "a key twice": (b'{"a": {"b": 1, "c": 2, "b": 3}}', "the key 'b' stands twice"),
    "a list": (b"[]", "no object"),
    "null": (b"null", "no object"),
    "a text": (b'"{}"', "no object"),
    "lists 65 deep": (nested(65).encode(), "more than 64 objects and lists"),
    "lists 100,000 deep": (nested(10**5).encode(), "more than 64 objects and lists"),
    "objects 900 deep": (nested(900, '{"a":', "}").encode(), "more than 64 objects and lists"),
    "lists that never close": (b'{"a":' + b"[" * 10**6, "more than 64 objects and lists"),
}


@pytest.mark.parametrize(("content", "part"), DAMAGED.values(), ids=DAMAGED.keys())
def test_what_is_no_sound_json_is_refused_in_a_sentence(tmp_path: Path, content: bytes, part: str) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"cannot be read as a manifest \(.*\): make another\.$") as error:
        read_json(path, "a manifest", "make another")
    assert str(error.value).startswith(str(path))
    assert part in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "value",
    [{}, {"a": [1, -2.5, None, True, "é", {"b": {}}]}, {"seed": 2**64 - 1, "least": -(2**63)}, {"a": 5e-324}],
    ids=str,
)
def test_what_json_can_hold_comes_back(value: Any) -> None:
    assert parse_json(json.dumps(value, ensure_ascii=False).encode(), "here", "a record") == value


def test_sixty_four_levels_are_not_too_many() -> None:
    assert parse_json(nested(64).encode(), "here", "a record")["a"]


def test_a_byte_order_mark_is_no_harm() -> None:
    assert parse_json(b'\xef\xbb\xbf{"a": 1}', "here", "a record") == {"a": 1}


@pytest.mark.parametrize("kind", ["nothing", "a folder", "a named pipe"])
def test_what_is_no_file_is_not_waited_for(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.json"
    if kind == "a folder":
        path.mkdir()
    elif kind == "a named pipe":
        os.mkfifo(path)
    with pytest.raises(ValueError, match=r"There is no file .*a\.json, which would be a manifest\."):
        read_json(path, "a manifest")


def test_a_file_too_large_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    with path.open("wb") as file:
        file.truncate(MOST_BYTES + 1)
    with pytest.raises(ValueError, match="more than 536,870,912 bytes"):
        read_json(path, "a manifest")
