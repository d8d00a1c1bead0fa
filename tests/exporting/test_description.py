"""Whose networks a file says that they are."""

from typing import Any

import pytest

from inpaintlab.exporting.description import UNKNOWN, _terms
from inpaintlab.published import CATALOGUE, Published

IMPORTED = [entry for entry in CATALOGUE if entry.layout is not None and entry.files]


def terms(layout: str, *files: tuple[str, str]) -> tuple[str, str]:
    named = [{"name": name, "sha256": sha256} for name, sha256 in files]
    return _terms({"path": "a.ckpt", "sha256": "0" * 64, "imported": {"layout": layout, "files": named}})


@pytest.mark.parametrize("entry", IMPORTED, ids=lambda entry: entry.name)
def test_files_of_an_entry_have_its_licence(entry: Published) -> None:
    files = [(file.name, (file.sha256 or "").ljust(64, "0")) for file in entry.files]
    licence, origin = terms(str(entry.layout), *files)
    assert entry.licence in licence
    assert entry.source in origin
    assert "as the checkpoint says of itself" in origin


@pytest.mark.parametrize("entry", IMPORTED, ids=lambda entry: entry.name)
def test_files_of_other_names_have_none(entry: Published) -> None:
    licence, origin = terms(str(entry.layout), ("evil\x1b[2J.pth", "0" * 64))
    assert licence == UNKNOWN
    assert "says of itself" in origin
    assert entry.source not in origin
    assert "\x1b" not in origin


@pytest.mark.parametrize(
    "entry", [entry for entry in IMPORTED if any(file.sha256 for file in entry.files)], ids=lambda entry: entry.name
)
def test_files_of_another_hash_have_none(entry: Published) -> None:
    assert terms(str(entry.layout), *((file.name, "f" * 63 + "0") for file in entry.files))[0] == UNKNOWN


@pytest.mark.parametrize("origin", [{}, {"path": "a", "sha256": "0"}, {"imported": None}])
def test_a_training_of_ours_has_no_licence_yet(origin: dict[str, Any]) -> None:
    assert _terms(origin) == (UNKNOWN, "a training of inpaintlab")
