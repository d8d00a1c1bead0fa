"""Runs side by side: every run is found, differences are exactly those, curves are joined by the batch."""

import builtins
import copy
import io
import json
import os
import random
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from inpaintlab.runs import give_up
from inpaintlab.survey import compare, runs_in, runs_of, summary_of, table_of_curves, table_of_runs
from inpaintlab.survey.curves import curves_of, of_interest, sparkline
from inpaintlab.survey.differences import ABSENT, differing
from inpaintlab.survey.grid import Grid
from inpaintlab.survey.page import page_of, write_page
from inpaintlab.survey.summary import age, printable
from inpaintlab.sweeps import Job, SweepFolder
from stand_ins.mutation import mutations
from stand_ins.run_folders import SETTINGS, a_run, aged, log

ESCAPE = "\x1b[2J\x1b]0;owned\x07"


# --------------------------------------------------------------------------------------------------------------- found


def test_runs_are_found_newest_first_and_the_jobs_of_a_sweep_stand_together(tmp_path: Path) -> None:
    a_run(tmp_path / "old", seconds_ago=500)
    a_run(tmp_path / "new", seconds_ago=10)
    sweep = SweepFolder(tmp_path / "sweep", [])
    sweep.add([Job("seed-1", ("seed=1",)), Job("seed-2", ("seed=2",)), Job("seed-3", ("seed=3",))])
    a_run(tmp_path / "sweep/seed-1", seconds_ago=300)
    a_run(tmp_path / "sweep/seed-2", seconds_ago=900)
    (tmp_path / "sweep/submitit").mkdir()
    (tmp_path / "notes").mkdir()
    (tmp_path / "a file").touch()
    found = runs_in(tmp_path)
    assert [run.name for run in found.runs] == ["new", "sweep/seed-1", "sweep/seed-2", "sweep/seed-3", "old"]
    assert found.notes == []
    assert [run.name for run in runs_in(tmp_path / "sweep").runs] == ["seed-1", "seed-2", "seed-3"]
    assert [run.name for run in runs_in(tmp_path / "old").runs] == ["old"]


def test_a_run_that_wrote_anything_is_found(tmp_path: Path) -> None:
    for name in ("progress.json", "output.log", "starts.jsonl", "failed.txt", "stopped.txt", "last.ckpt"):
        (tmp_path / f"with {name}").mkdir()
        (tmp_path / f"with {name}" / name).touch()
    assert len(runs_in(tmp_path).runs) == 6


def test_what_lies_deeper_than_a_sweep_is_no_run(tmp_path: Path) -> None:
    a_run(tmp_path / "runs/a/b/c")
    a_run(tmp_path / "runs/d")
    a_run(tmp_path / "runs/d/kept")
    assert [run.name for run in runs_in(tmp_path / "runs").runs] == ["d"]


def test_a_damaged_record_of_a_sweep_hides_no_job_with_a_folder(tmp_path: Path) -> None:
    a_run(tmp_path / "sweep/job")
    (tmp_path / "sweep/sweep.json").write_text("{")
    found = runs_in(tmp_path)
    assert [run.name for run in found.runs] == ["sweep/job"]
    assert len(found.notes) == 1
    assert "sweep.json" in found.notes[0]


def test_a_folder_that_may_not_be_read_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    a_run(tmp_path / "a")
    (tmp_path / "closed").mkdir()
    scan = os.scandir

    def refusing(path: Any) -> Any:
        if Path(path).name == "closed":
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr("os.scandir", refusing)
    found = runs_in(tmp_path)
    assert [run.name for run in found.runs] == ["a"]
    assert found.notes == [f"{tmp_path}/closed cannot be read (Permission denied)."]


@pytest.mark.parametrize("inner", ["", "sweep"])
def test_what_cannot_be_resolved_is_told_and_hides_no_run(tmp_path: Path, inner: str) -> None:
    a_run(tmp_path / inner / "a")
    (tmp_path / inner / "loop").symlink_to("loop")
    (tmp_path / inner / "nowhere").symlink_to("absent")
    found = runs_in(tmp_path)
    assert [Path(run.name).name for run in found.runs] == ["a"]
    assert found.notes == [f"{tmp_path / inner / 'loop'} cannot be read (Too many levels of symbolic links)."]


def test_a_run_with_several_names_is_one(tmp_path: Path) -> None:
    a_run(tmp_path / "runs/b")
    a_run(tmp_path / "runs/sweep/job")
    a_run(tmp_path / "elsewhere/c")
    (tmp_path / "runs/a").symlink_to("b")
    (tmp_path / "runs/best").symlink_to("sweep/job")
    (tmp_path / "runs/again").symlink_to("sweep")
    (tmp_path / "runs/c").symlink_to(tmp_path / "elsewhere/c")
    (tmp_path / "runs/d").symlink_to("c")
    assert sorted(run.name for run in runs_in(tmp_path / "runs").runs) == ["b", "c", "sweep/job"]
    (tmp_path / "link").symlink_to("runs")
    assert sorted(run.name for run in runs_in(tmp_path / "link").runs) == ["b", "c", "sweep/job"]


# ------------------------------------------------------------------------------------------------------------- summary


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """A run's lock in the hands of another process."""
    code = "import fcntl, sys; f = open(sys.argv[1], 'w'); fcntl.lockf(f, fcntl.LOCK_EX); print(flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-S", "-c", code, str(folder / ".lock")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield
        process.communicate(b"\n")


def in_every_state(home: Path) -> SweepFolder:
    """A sweep with a job in each state that there is."""
    jobs = ["done", "running", "failed", "stopped", "unfinished", "waiting", "unreadable"]
    sweep = SweepFolder(home / "sweep", [])
    sweep.add([Job(name, (f"notes={name}",)) for name in jobs])
    for name in set(jobs) - {"waiting"}:
        a_run(sweep.path / name, done=10 if name == "done" else 4)
    (sweep.path / "failed/failed.txt").write_text("The disk is full.\n")
    give_up(sweep.path / "stopped", "It was pruned.")
    (sweep.path / "unreadable/progress.json").write_text('{"iterations": 1')
    return sweep


def test_states_are_in_the_words_of_a_sweeps_status(tmp_path: Path) -> None:
    sweep = in_every_state(tmp_path)
    with held(sweep.path / "running"):
        summaries = {run.name: summary_of(run) for run in runs_in(sweep.path).runs}
        states = sweep.states()
    assert {name: entry.state for name, entry in summaries.items()} == states == {name: name for name in states}
    assert summaries["failed"].reason == "The disk is full."
    assert summaries["stopped"].reason == "It was pruned."
    assert "progress.json" in summaries["unreadable"].reason
    assert {name for name, entry in summaries.items() if entry.reason} == {"failed", "stopped", "unreadable"}


@pytest.mark.parametrize(
    ("done", "phase"), [(0, "completion"), (3, "completion"), (4, "joint"), (9, "joint"), (10, "joint"), (99, "joint")]
)
def test_the_phase_is_that_of_the_next_batch(tmp_path: Path, done: int, phase: str) -> None:
    a_run(tmp_path / "a", done=done)
    (run,) = runs_in(tmp_path).runs
    assert summary_of(run).phase == phase


def test_a_line_tells_what_is_trained_on_what_how_far_how_well_and_when(tmp_path: Path) -> None:
    a_run(tmp_path / "a", (20.0, 23.456, 21.0), done=6, seconds_ago=7300)
    entry = summary_of(runs_in(tmp_path).runs[0])
    grid = table_of_runs([entry])
    assert dict(zip(grid.headings, grid.rows[0], strict=True)) == {
        "run": "a",
        "model": "GLCIC",
        "data": "Folder(root=photos)",
        "phase": "joint",
        "batches": "6/10",
        "best": "val/psnr_rgb 23.46",
        "state": "unfinished",
        "age": "2 h",
    }


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-5, "0 s"),
        (0.9, "0 s"),
        (59, "59 s"),
        (60, "1 min"),
        (3599, "59 min"),
        (3600, "1 h"),
        (86399, "23 h"),
        (1e6, "11 d"),
    ],
)
def test_an_age_is_in_its_largest_unit(seconds: float, words: str) -> None:
    assert age(float(seconds)) == words


FILES = ["progress.json", "config.json", "failed.txt", "output.log", "validation.json", "trained_on.json"]


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"\xff\xfe\x00", b"nul\x00l", b'{"model": 3, "data": {"source": []}}']
)
def test_a_damaged_run_is_a_line_and_the_others_stay(tmp_path: Path, name: str, content: bytes) -> None:
    a_run(tmp_path / "damaged")
    (tmp_path / "damaged" / name).write_bytes(content)
    a_run(tmp_path / "sound")
    entries = {run.name: summary_of(run) for run in runs_in(tmp_path).runs}
    assert entries.keys() == {"damaged", "sound"}
    assert (entries["sound"].state, entries["sound"].reason) == ("done", "")
    if name == "progress.json":
        assert entries["damaged"].state == "unreadable"
        assert name in entries["damaged"].reason
    assert all(cell.isprintable() for row in table_of_runs(list(entries.values())).rows for cell in row)
    found = compare(runs_of([str(tmp_path)], tmp_path), ["val/"])
    assert found.metrics == ["val/psnr_rgb"]


def test_files_damaged_at_random_end_in_a_line_too(tmp_path: Path) -> None:
    folder = a_run(tmp_path / "a")
    generator = random.Random(1)
    for name in ("progress.json", "config.json", "log/version_0/metrics.csv"):
        whole = (folder / name).read_bytes()
        for _ in range(60):
            (folder / name).write_bytes(mutations(whole, generator))
            (run,) = runs_in(tmp_path).runs
            assert all(cell.isprintable() for cell in table_of_runs([summary_of(run)]).rows[0])
            compare([run], ["val/"])
        (folder / name).write_bytes(whole)


@pytest.mark.parametrize("name", [*FILES, "log/version_0/metrics.csv", ".lock"])
def test_nothing_waits_for_a_fifo(tmp_path: Path, name: str) -> None:
    folder = a_run(tmp_path / "a")
    (folder / "stopped.txt").touch()
    (folder / name).unlink(missing_ok=True)
    os.mkfifo(folder / name)
    assert compare(runs_of([str(folder)], tmp_path), ["val/"]).names == ["a"]


def test_a_run_that_is_being_written_is_table_of_runs(tmp_path: Path) -> None:
    """Its folder is made first, then its lock, its settings, its progress."""
    folder = tmp_path / "a"
    folder.mkdir()
    assert runs_in(tmp_path).runs == []
    (folder / "starts.jsonl").write_text('{"time"')
    (folder / ".progress.json.0.partial").write_text("{")
    entry = summary_of(runs_in(tmp_path).runs[0])
    assert (entry.model, entry.progress, entry.reason) == ("", None, "")


# --------------------------------------------------------------------------------------------------------- differences


VALUES = st.none() | st.booleans() | st.integers(-3, 3) | st.floats(0.1, 0.9) | st.text(max_size=3) | st.just([1, 2])
KEYS = st.text("abcd", min_size=1, max_size=2)
NESTED = st.recursive(VALUES, lambda inner: st.dictionaries(KEYS, inner, min_size=1, max_size=3), max_leaves=12)


def leaves(settings: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    found = {}
    for key, value in settings.items():
        found |= leaves(value, f"{before}{key}.") if isinstance(value, dict) and value else {f"{before}{key}": value}
    return found


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(KEYS, NESTED, min_size=1, max_size=4), st.data())
def test_the_differences_are_exactly_the_keys_that_were_changed(before: dict[str, Any], data: st.DataObject) -> None:
    changed = data.draw(st.sets(st.sampled_from(sorted(leaves(before)))))
    other = copy.deepcopy(before)
    for key in changed:
        *above, last = key.split(".")
        place = other
        for part in above:
            place = place[part]
        place[last] = "another value"
    found = differing([before, other, before])
    assert found.keys() == changed
    own = leaves(before)
    assert all(values == [own[key], "another value", own[key]] for key, values in found.items())
    assert differing([before, before]) == {}


@pytest.mark.parametrize(
    ("one", "other", "found"),
    [
        ({"a": 1}, {}, {"a": [1, ABSENT]}),
        ({"a": {}}, {}, {"a": [{}, ABSENT]}),
        ({"a": {}}, {"a": {"b": 1}}, {"a.b": [ABSENT, 1]}),
        ({"a": {"b": {"c": 1}}}, {}, {"a.b.c": [1, ABSENT]}),
        ({"a": {"b": 1}}, {"a": None}, {"a": [{"b": 1}, None]}),
        ({"a": True}, {"a": 1}, {"a": [True, 1]}),
        ({"a": [1, {"b": True}]}, {"a": [1, {"b": 1}]}, {"a": [[1, {"b": True}], [1, {"b": 1}]]}),
        ({"a": 1}, {"a": 1.0}, {}),
        ({"a": None}, {}, {"a": [None, ABSENT]}),
    ],
)
def test_what_a_run_lacks_is_a_difference(one: dict[str, Any], other: dict[str, Any], found: dict[str, Any]) -> None:
    assert differing([one, other]) == found


def test_runs_differ_in_settings_code_and_files_but_not_in_their_names(tmp_path: Path) -> None:
    code = {"commit": "abc", "versions": {"torch": "2.13.0"}}
    a_run(tmp_path / "a", settings=SETTINGS | code | {"name": "a", "datamodule": {"flip": 0.5}, "configuration": "x"})
    b = a_run(
        tmp_path / "b", settings=SETTINGS | {"seed": 2, "name": "b", "commit": "abd", "versions": {"torch": "2.12"}}
    )
    (b / "validation.json").write_text(json.dumps({"sha256": "0123456789abcdef"}))
    (b / "trained_on.json").write_text(json.dumps({"pictures": {"p.png": [7, "0123"]}}))
    found = compare(runs_of([str(tmp_path / "a"), str(b)], tmp_path), [])
    assert found.differences.keys() == {"seed", "commit", "versions.torch", "files.pictures", "files.validation"}
    assert found.differences["seed"] == [1, 2]
    assert str(found.differences["files.pictures"][1]).startswith("1 file, 7 bytes, ")
    assert found.differences["files.validation"] == [ABSENT, "0123456789ab"]
    assert found.sentence == "5 settings differ between the 2 runs."
    assert found.notes == []


def test_one_validation_set_in_two_folders_is_one(tmp_path: Path) -> None:
    folders = [a_run(tmp_path / name) for name in "abc"]
    sets = (("/here", "01" * 32), ("/there", "01" * 32), ("/there", "23" * 32))
    for folder, (root, digest) in zip(folders, sets, strict=True):
        content = {"format": 3, "sha256": digest, "source": {"root": root}, "items": []}
        (folder / "validation.json").write_text(json.dumps(content))
    assert compare(runs_of([str(folder) for folder in folders[:2]], tmp_path), []).differences == {}
    found = compare(runs_of([str(folder) for folder in folders], tmp_path), [])
    assert found.differences == {"files.validation": ["01" * 6, "01" * 6, "23" * 6]}


@pytest.mark.parametrize("name", ["trained_on.json", "validation.json"])
@pytest.mark.parametrize("content", [b"{", b"\xff", b'{"sha256": 3}', b'{"pictures": {"p.png": 7}}', None])
def test_a_damaged_record_of_files_is_told_once(tmp_path: Path, name: str, content: bytes | None) -> None:
    folder = a_run(tmp_path / "a")
    a_run(tmp_path / "b")
    if content is None:
        (folder / name).symlink_to("itself_no_longer")
    else:
        (folder / name).write_bytes(content)
    found = compare(runs_of([str(tmp_path)], tmp_path), [])
    assert len(found.notes) == 1
    assert name in found.notes[0]
    assert "files" not in str(found.differences)


def test_a_run_without_settings_makes_no_difference(tmp_path: Path) -> None:
    a_run(tmp_path / "a")
    (a_run(tmp_path / "b") / "config.json").unlink()
    a_run(tmp_path / "c", settings=SETTINGS | {"seed": 2})
    found = compare(runs_of([str(tmp_path)], tmp_path), [])
    assert found.differences == {"seed": [1, ABSENT, 2]}
    assert found.notes == ["b has no settings that can be read, so it is left out where settings are compared."]
    assert found.sentence == "1 setting differs between 2 of the 3 runs."


@pytest.mark.parametrize(
    ("readable", "told"),
    [
        (0, "No settings were compared: none of the 2 runs has any that can be read."),
        (1, "No settings were compared: 1 of the 2 runs has any that can be read."),
        (2, "No settings differ between the 2 runs."),
    ],
)
def test_settings_that_could_not_be_compared_are_not_said_to_be_alike(tmp_path: Path, readable: int, told: str) -> None:
    for number in range(2):
        folder = a_run(tmp_path / str(number))
        if number >= readable:
            (folder / "config.json").write_text("{")
    assert compare(runs_of([str(tmp_path)], tmp_path), []).sentence == told


# -------------------------------------------------------------------------------------------------------------- curves


def test_a_later_start_replaces_what_an_earlier_one_logged_from_its_first_batch_on(tmp_path: Path) -> None:
    log(tmp_path, 0, {"val/x": {2: 1.0, 4: 2.0, 6: 3.0}, "train/y": {1: 1.0, 5: 5.0}})
    log(tmp_path, 1, {"val/x": {4: 20.0}, "train/z": {5: 0.5}})
    curves, notes = curves_of(tmp_path)
    assert curves == {"train/y": {1: 1.0}, "train/z": {5: 0.5}, "val/x": {2: 1.0, 4: 20.0}}
    assert notes == []
    wanted, _ = curves_of(tmp_path, ["train/"])  # val/x, which is not wanted, cuts all the same
    assert wanted == {"train/y": {1: 1.0}, "train/z": {5: 0.5}}


def test_starts_are_joined_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for start in (10, 9, 2, 0):
        log(tmp_path, start, {"val/x": {start + 1: float(start), 20: float(start)}})
    assert curves_of(tmp_path)[0] == {"val/x": {1: 0.0, 3: 2.0, 10: 9.0, 11: 10.0, 20: 10.0}}


def test_a_line_that_is_being_written_is_left_out(tmp_path: Path) -> None:
    path = log(tmp_path, 0, {"val/x": {2: 18.5, 4: 19.5}})
    path.write_text(path.read_text()[:-3])  # "19.5" has become "19", were it read
    assert curves_of(tmp_path) == ({"val/x": {2: 18.5}}, [])


def test_cells_that_are_no_numbers_are_gaps(tmp_path: Path) -> None:
    path = log(tmp_path, 0, {"val/x": {}})
    path.write_text("val/x,step\n1.0,0\nnan,1\nword,2\n,3\ninf,4\n1,2,3\n5.0,-7\n6.0,x\n7.0,1e30\n")
    assert curves_of(tmp_path) == ({"val/x": {1: 1.0, 5: float("inf")}}, [])


@pytest.mark.parametrize(
    "text", ["", "a,b\n1,2\n", "step\n1\n", 'step,"' + "x" * 200_000 + '"\n1,2\n', "step,x\n\x00,\x00\n"]
)
def test_a_file_that_is_no_log_of_ours_gives_no_curve_and_is_told(tmp_path: Path, text: str) -> None:
    path = tmp_path / "log/version_0/metrics.csv"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    log(tmp_path, 1, {"val/x": {2: 1.0}})
    curves, notes = curves_of(tmp_path)
    assert curves["val/x"] == {2: 1.0}
    assert len(notes) == (text.startswith("a,b") or len(text) > 1000)


def test_the_curves_of_validation_come_first_and_only_those_asked_for(tmp_path: Path) -> None:
    curves: list[dict[str, dict[int, float]]] = [{"train/b": {}, "val/a": {}}, {"train/a": {}}]
    assert of_interest(curves) == ["val/a", "train/a", "train/b"]
    log(tmp_path, 0, {"train/b": {1: 1.0}, "val/a": {1: 2.0}, "speed/c": {1: 3.0}})
    assert list(curves_of(tmp_path, ["val/", "train/"])[0]) == ["train/b", "val/a"]
    assert curves_of(tmp_path, [])[0] == {}
    assert len(curves_of(tmp_path, [""])[0]) == 3


def test_curves_that_nothing_begins_with_are_told_with_those_that_there_are(tmp_path: Path) -> None:
    log(a_run(tmp_path / "a"), 1, {"train/loss": {11: 1.0}})
    found = compare(runs_of([str(tmp_path)], tmp_path), ["vall/"])
    assert found.notes == ["No curve begins with vall/; there are: train/loss, val/psnr_rgb."]
    assert compare(runs_of([str(tmp_path)], tmp_path), ["vall/", "val/"]).notes == []
    assert compare(runs_of([str(tmp_path)], tmp_path), []).notes == []


def curve_cells(home: Path, *curves: Mapping[int, float]) -> list[list[str]]:
    """What the table of curves has of runs with these, without their drawings."""
    home.mkdir()
    for number, curve in enumerate(curves):
        log(a_run(home / f"run{number}", ()), 1, {"val/x": curve})
    grid = table_of_curves(compare(runs_of([str(home)], home), ["val/x"]))
    assert grid is not None
    assert grid.headings[2:6] == ["common batches", "last", "lowest", "highest"]
    return [list(row[2:6]) for row in grid.rows]


def test_values_stand_with_their_batches_and_are_own_ones_where_none_are_common(tmp_path: Path) -> None:
    assert curve_cells(tmp_path / "x", {6: 1.0, 36: 3.0, 50: 9.0}, {6: 2.0, 36: 1.5}) == [
        ["2, last 36", "3 @ 36", "1 @ 6", "3 @ 36"],
        ["2, last 36", "1.5 @ 36", "1.5 @ 36", "2 @ 6"],
    ]
    assert curve_cells(tmp_path / "y", {6: 1.0, 12: 0.5}, {7: 2.0}) == [
        ["none", "own 0.5 @ 12", "own 0.5 @ 12", "own 1 @ 6"],
        ["none", "own 2 @ 7", "own 2 @ 7", "own 2 @ 7"],
    ]


def test_a_terminal_of_80_columns_has_a_line_a_curve_with_the_batch_of_its_last_value(tmp_path: Path) -> None:
    for name in ("edgeconnect-places-a", "b"):
        log(a_run(tmp_path / name, ()), 1, {"train/reconstruction": {batch: 1 / batch for batch in range(7, 199)}})
    grid = table_of_curves(compare(runs_of([str(tmp_path)], tmp_path), ["train/"]))
    assert grid is not None
    page = io.StringIO()
    grid.show(Console(file=page, force_terminal=True, width=80, color_system=None, legacy_windows=False))
    lines = page.getvalue().splitlines()
    assert max(map(cell_len, lines)) <= 80
    assert lines[0].split() == ["curve", "run", "last", "to", "198", "batches"]
    assert sum("0.005051 @ 198" in line for line in lines) == 2


def test_the_page_calls_last_what_the_terminal_calls_last(tmp_path: Path) -> None:
    curve_cells(tmp_path / "x", {6: 1.0, 36: 3.0, 50: 9.0}, {6: 2.0, 36: 1.5})
    curve_cells(tmp_path / "y", {6: 1.0}, {7: 2.0})
    pages = [page_of(compare(runs_of([str(tmp_path / name)], tmp_path), ["val/x"])) for name in "xy"]
    assert "last values at common batches: run0 3 @ 36, run1 1.5 @ 36" in pages[0]
    assert "last values: run0 own 1 @ 6, run1 own 2 @ 7" in pages[1]


def test_values_that_overflow_a_plot_are_drawn_as_infinite_ones(tmp_path: Path) -> None:
    curve = {1: 1.0, 2: 1.7e308, 3: -1.7e308, 4: 2.0}
    log(a_run(tmp_path / "a", ()), 1, {"val/x": curve})
    found = compare(runs_of([str(tmp_path)], tmp_path), ["val/x"])
    assert page_of(found).count("<svg xmlns") == 1
    grid = table_of_curves(found)
    assert grid is not None
    assert grid.rows[0][-1].split("▁")[0] == ""
    assert sparkline(curve, 1.0, 2.0, 4, 4) == "▁█▁█"


@pytest.mark.parametrize(
    ("curve", "drawn"),
    [
        ({1: 0.0, 2: 1.0, 3: 2.0, 4: 3.0}, "▁▃▆█"),
        ({1: 3.0, 4: 0.0}, "███▁"),
        ({1: 0.0, 2: 3.0}, "▁█"),
        ({3: 1.5}, "  ▅"),
        ({1: float("inf"), 2: -9.0}, "█▁"),
        ({}, ""),
    ],
)
def test_a_curve_is_drawn_from_the_first_batch_to_its_last(curve: dict[int, float], drawn: str) -> None:
    assert sparkline(curve, 0.0, 3.0, 4, 4) == drawn


def test_a_cell_of_the_drawing_is_the_mean_of_its_batches() -> None:
    assert sparkline({batch: float(batch % 2) for batch in range(1, 101)}, 0.0, 1.0, 100, 2) == "▅▅"
    assert sparkline({1: 5.0, 2: 5.0}, 5.0, 5.0, 2, 2) == "▅▅"
    assert sparkline({1: 0.0, 2: 1.0}, 0.0, 1.0, 2, 2, plain=True).isascii()


# ------------------------------------------------------------------------------------------------------ which are meant


def test_a_name_is_looked_for_among_the_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    a_run(tmp_path / "runs/a")
    a_run(tmp_path / "runs/s/2")
    a_run(tmp_path / "runs/s/1")
    names = [run.name for run in runs_of(["a", "s", "runs/s/1"], Path("runs"))]
    assert names == ["a", "1", "2"]


def test_two_runs_of_one_name_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    one, other = a_run(tmp_path / "x/a"), a_run(tmp_path / "y/a")
    assert [run.name for run in runs_of([str(one), str(other), str(one)], tmp_path)] == [str(one), str(other)]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ([], "nothing to compare"),
        (["glcik"], "There is no folder glcik, which would be a run's. Did you mean 'glcic'?"),
        (["\x1b[2J"], r"There is no folder \x1b[2J"),
        (["empty"], "empty holds no run"),
        (["many"], "These are 101 runs, and at most 100"),
    ],
)
def test_what_is_no_run_is_told_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: list[str], told: str
) -> None:
    monkeypatch.chdir(tmp_path)
    a_run(tmp_path / "runs/glcic")
    (tmp_path / "empty").mkdir()
    for number in range(101):
        folder = tmp_path / f"many/{number}"
        folder.mkdir(parents=True)
        (folder / "output.log").touch()
    with pytest.raises(ValueError, match=re.escape(told)) as error:
        runs_of(given, Path("runs"))
    assert str(error.value).isprintable()


# --------------------------------------------------------------------------------------------------- terminal and page


WIDE = Grid(
    ["run", "data", "state", "age"],
    [["a/" + "name" * 12, "Folder(root=/data/places)", "done", "3 d"], ["写真の実験", "-", "unfinished", "1 min"]],
    ("run", "data"),
    ("data",),
)


@pytest.mark.parametrize("width", [10, 20, 30, 38, 39, 40, 60, 80, 120, 300])
def test_a_table_fits_a_terminal_of_any_width_and_keeps_what_has_to_be_there(width: int) -> None:
    page = io.StringIO()
    WIDE.show(Console(file=page, force_terminal=True, width=width, color_system=None, legacy_windows=False))
    lines = page.getvalue().splitlines()
    shown = "".join(page.getvalue().split())
    for text in ("写真の実験", "unfinished", "1min"):
        assert "".join(text.split()) in shown
    if lines[0].startswith("run"):  # a table; otherwise names are lines of their own, which the terminal wraps
        assert max(map(cell_len, lines)) <= width
        assert lines[0].split() in (["run", "data", "state", "age"], ["run", "state", "age"])


def test_what_is_piped_is_a_line_a_row_without_padding() -> None:
    page = io.StringIO()
    WIDE.show(Console(file=page, force_terminal=False, width=20))
    lines = page.getvalue().splitlines()
    assert len(lines) == 3
    assert lines == [line.rstrip() for line in lines]
    assert lines[1].split() == ["a/" + "name" * 12, "Folder(root=/data/places)", "done", "3", "d"]


HOSTILE = {
    **SETTINGS,
    "model": {"_target_": f"x.<b>{ESCAPE}", "schedule": {"phases": {f"[red]{ESCAPE}": {"batches": 99}}}},
    "data": {"source": {"_target_": "x.</td><script>alert(1)</script>", "root": "${oc.env:HOME}\ud800\u202e"}},
    f"</th>{ESCAPE}": "<img src=x onerror=alert(1)>",
}


def hostile_runs(home: Path) -> list[Path]:
    name = f"[bold]<b>{ESCAPE}"
    runs = [a_run(home / name, settings=HOSTILE), a_run(home / "plain")]
    log(runs[0], 1, {"val/</figcaption><script>alert(2)</script>$\\frac{": {2: 1.0}})
    (runs[0] / "failed.txt").write_text(f"<script>alert(3)</script>{ESCAPE}")
    aged(runs[0], 100)
    os.utime(runs[0] / "failed.txt")
    return runs


def test_nothing_in_a_runs_files_reaches_the_terminal_or_the_page_as_more_than_text(tmp_path: Path) -> None:
    hostile_runs(tmp_path)
    found = compare(runs_of([str(tmp_path)], tmp_path), ["val/"])
    assert all(cell.isprintable() for row in table_of_runs(found.summaries).rows for cell in row)
    assert any("[red]" in cell for row in table_of_runs(found.summaries).rows for cell in row)
    page = page_of(found)
    assert "\x1b" not in page
    assert "<script" not in page
    assert "<img" not in page
    assert "onerror=alert(1)&gt;" in page
    assert "${oc.env:HOME}" in page
    assert "http" not in page.replace("http-equiv", "").replace("http://www.w3.org", "")


def test_the_page_holds_the_settings_and_a_plot_a_curve(tmp_path: Path) -> None:
    a_run(tmp_path / "a")
    a_run(tmp_path / "b", settings=SETTINGS | {"seed": 2})
    log(tmp_path / "b", 1, {"train/loss": {5: 0.5, 6: float("inf")}})
    page = tmp_path / "new/folder/page.html"
    found = compare(runs_of([str(tmp_path)], tmp_path), ["val/", "train/"])
    write_page(page, found)
    text = page.read_text()
    assert text.count("<figure>") == text.count("<svg xmlns") == 2
    assert "<code>seed</code>" in text
    assert '<td class="differs">2</td>' in text
    assert "last values at common batches: a 22 @ 4, b 22 @ 4" in text
    before = page.read_bytes()
    write_page(page, found)
    assert page.read_bytes() == before
    assert [path.name for path in page.parent.iterdir()] == ["page.html"]


def test_text_that_no_encoding_has_can_be_printed() -> None:
    assert printable("a\ud800b\nc\t\udcff").isprintable()
    assert printable("two\nlines") == "two lines"


def test_thousands_of_runs_are_found_without_reading_any(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(2000):
        folder = tmp_path / f"run{number}"
        folder.mkdir()
        (folder / "progress.json").write_bytes(b"{")
    opened: list[object] = []
    for module, name in ((io, "open"), (builtins, "open"), (os, "open")):
        monkeypatch.setattr(module, name, lambda path, *_, **__: opened.append(path))
    found = runs_in(tmp_path)
    monkeypatch.undo()
    assert len(found.runs) == 2000
    assert not opened
