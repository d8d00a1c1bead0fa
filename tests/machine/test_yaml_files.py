"""YAML from elsewhere is plain data, or refused in a sentence that names the file."""

import os
from pathlib import Path
from typing import Any

import pytest

from inpaintlab.machine import read_yaml

LAUGHS = "a: &a [x, x]\n" + "\n".join(
    f"{new}: &{new} [*{old}, *{old}]" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)

DAMAGED = {
    "a list": ("- a", "is not a study"),
    "nothing": ("", "is not a study"),
    "a text": ("a", "is not a study"),
    "not closed": ("a: {b: [", "cannot be read as YAML"),
    "two files": ("a: 1\n---\nb: 2", "cannot be read as YAML"),
    "a key twice": ("a: {b: 1, c: 2, b: 3}", "found duplicate key b in line 1"),
    "a key twice as numbers": ("1: a\n0x1: b", "found duplicate key"),
    "a call": ("a: !!python/object/apply:os.system ['touch harm']", "python/object/apply:os.system"),
    "an object": ("a: !!python/object:os.system {}", "python/object:os.system"),
    "a name": ("a: !!python/name:os.system", "python/name:os.system"),
    "a module": ("a: !!python/module:os", "python/module:os"),
    "a tuple": ("a: !!python/tuple [1]", "python/tuple"),
    "a path": ("a: !!python/object/apply:pathlib.PosixPath [a]", "pathlib.PosixPath"),
    "a tag of its own": ("a: !run b", "!run"),
    "bytes": ("a: !!binary aGFybQ==", "binary"),
    "a set": ("a: !!set {b, c}", "set"),
    "a date": ("a: !!timestamp 2026-13-01", "timestamp"),
    "no number": ("a: !!int b", "cannot be read as YAML"),
    "a mapping as a key": ("? {a: 1}\n: b", "cannot be read as YAML"),
    "aliases": (LAUGHS, "an alias in line 2, which is not read: write its value out"),
    "a mapping in itself": ("a: &a {b: *a}", "an alias in line 1"),
    "merged mappings": ("a: &a {b: 1}\nc: {<<: *a}", "an alias in line 2"),
    "lists 10,000 deep": ("a: " + "[" * 10_000 + "]" * 10_000, "nested too deep"),
    "large": ("a: " + "b" * 2**18, "more than 262,144 bytes"),
    "control characters": ("a: \x07", "cannot be read as YAML"),
}


@pytest.mark.parametrize(("text", "part"), DAMAGED.values(), ids=DAMAGED.keys())
def test_what_is_not_plain_is_refused_in_a_sentence(tmp_path: Path, text: str, part: str) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"study\.yaml (cannot be read as YAML|is not a study)") as error:
        read_yaml(path, "a study")
    assert part in str(error.value)
    assert "\n" not in str(error.value)
    assert [file.name for file in tmp_path.iterdir()] == ["study.yaml"]


def test_another_encoding_is_told(tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_bytes("a: é".encode("latin-1"))
    with pytest.raises(ValueError, match=r"study\.yaml cannot be read as YAML \('utf-8' codec"):
        read_yaml(tmp_path / "study.yaml", "a study")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 1e-4),
        ("-2.5E+3", -2500.0),
        ("0.5", 0.5),
        ("7", 7),
        ("true", True),
        ("null", None),
        ("2026-01-02", "2026-01-02"),
        ("1e-4x", "1e-4x"),
        ("'1e-4'", "1e-4"),
        ("${oc.env:HOME}", "${oc.env:HOME}"),
        ("'\\\\${a}'", "\\\\${a}"),
        ("[a, {b: [c]}]", ["a", {"b": ["c"]}]),
    ],
)
def test_plain_values_are_read_as_in_our_configuration(tmp_path: Path, text: str, value: Any) -> None:
    (tmp_path / "a.yaml").write_text(f"\ufeffa: {text}")
    found = read_yaml(tmp_path / "a.yaml", "a study")["a"]
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize("kind", ["nothing", "a folder", "a named pipe"])
def test_what_is_no_file_is_not_waited_for(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.yaml"
    if kind == "a folder":
        path.mkdir()
    elif kind == "a named pipe":
        os.mkfifo(path)
    with pytest.raises(ValueError, match=r"There is no file .*a\.yaml, which would be a study\."):
        read_yaml(path, "a study")
