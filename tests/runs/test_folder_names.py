"""A name that makes a folder makes it where runs lie, and nowhere else."""

from pathlib import Path
from typing import Any

import pytest

from inpaintlab.runs import is_name, named_folder, run_folder
from stand_ins.commands import run_here

NAMES = ["a", "a b", "glcic-toy-1f", "GLCIC (ours), 2nd", "ü", "名", "a.b", "a=b", "~a", "a..b", "x" * 200]

NO_NAMES = {
    "nothing": "",
    "here": ".",
    "above": "..",
    "hidden": ".a",
    "with a slash": "a/b",
    "from the root": "/a",
    "with a backslash": "a\\b",
    "with a space before": " a",
    "with a space behind": "a ",
    "with a line's end": "a\n",
    "with a zero": "a\0b",
    "with an escape": "a\x1b[2Jb",
    "with a separator of lines": "a\u2028b",
    "no UTF-8": "caf\udce9",
    "long": "x" * 201,
    "long in bytes": "é" * 101,
    "of an unfinished folder": "a.partial",
    "no text": 3,
    "missing": None,
}


@pytest.mark.parametrize("name", NAMES)
def test_what_a_file_manager_shows_well_is_a_name(name: str) -> None:
    assert is_name(name)
    assert named_folder("runs", name) == Path("runs", name)


@pytest.mark.parametrize("name", NO_NAMES.values(), ids=NO_NAMES.keys())
def test_what_would_lead_elsewhere_or_show_badly_is_none(name: Any) -> None:
    assert not is_name(name)


OUTSIDE = [
    "..",
    "../a",
    "a/..",
    "a/../b",
    "/tmp/a",
    "a/b/c",
    "a//b",
    "a/",
    "/",
    "./a",
    ".",
    "~/../a\\..",
    "a/.b",
    "a\0",
]


@pytest.mark.parametrize("name", OUTSIDE)
def test_no_name_leads_out_of_the_folder_of_runs(name: str) -> None:
    with pytest.raises(ValueError, match=r"cannot name a run, whose folder lies in runs: .*; give another name="):
        named_folder("runs", name)


def test_the_job_of_a_sweep_lies_in_the_sweeps_folder() -> None:
    assert named_folder("runs", "sweep/model-glcic_seed-1") == Path("runs/sweep/model-glcic_seed-1")


@pytest.mark.parametrize(("name", "folder"), [(7, "7"), (0, "0"), (0.5, "0.5"), (True, "True")])
def test_a_number_is_a_name_too(name: object, folder: str) -> None:
    assert named_folder("runs", name) == Path("runs", folder)


@pytest.mark.parametrize("name", [None, ""])
def test_without_a_name_the_settings_make_one(tmp_path: Path, name: str | None) -> None:
    cfg = {"runs": str(tmp_path), "name": name, "data": {"size": 32}}
    folder = run_folder(cfg, {"model": "glcic", "data": "toy"})
    assert folder.parent == tmp_path
    assert folder.name.startswith("glcic-toy-")


@pytest.mark.parametrize("command", [["train"], ["train", "-m", "seed=1,2"]], ids=["a training", "a sweep"])
@pytest.mark.parametrize("name", ["../elsewhere", "/tmp/elsewhere"])
def test_the_command_tells_it_before_anything_is_written(tmp_path: Path, command: list[str], name: str) -> None:
    (tmp_path / "here").mkdir()
    settings = ["data=toy", "data.size=32", "trainer=cpu", "logger=none", f"name='{name}'"]
    done = run_here(*command, *settings, cwd=tmp_path / "here")
    assert done.returncode == 1
    assert f"name={name} cannot name a run, whose folder lies in runs" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert [path.name for path in tmp_path.rglob("*")] == ["here"]
