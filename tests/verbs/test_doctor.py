"""The doctor finds each planted defect, tells it in a sentence and sets the exit code."""

import shutil
import subprocess
import sys
from collections import Counter
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from inpaintlab.data import Finding, Folder, Photos, RandomCrop, Toy, examine
from inpaintlab.doctor import report
from stand_ins.commands import run, run_here


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A data set without a fault: two pictures in each split."""
    random = np.random.default_rng(0)
    for split in ("train", "val", "test"):
        (tmp_path / split).mkdir()
        for name in ("a.png", "b.png"):
            Image.fromarray(random.integers(0, 256, (20, 24, 3), dtype=np.uint8)).save(tmp_path / split / name)
    return tmp_path


def only(findings: list[Finding]) -> Finding:
    assert len(findings) == 1, findings
    return findings[0]


def printed(findings: list[Finding]) -> tuple[int, list[str]]:
    stream = StringIO()
    code = report(findings, Counter(train=2), Console(file=stream, width=40))
    return code, stream.getvalue().splitlines()


def test_sound_data_has_no_findings(root: Path) -> None:
    assert examine(Folder(str(root)), RandomCrop(16)) == []
    assert examine(Toy(2, 16), RandomCrop(16)) == []
    code, lines = printed([])
    assert code == 0
    assert lines == ["Files: 2 in train. Errors: 0. Notes: 0. The data is fit for use."]


def test_the_bundled_photographs_are_sound() -> None:
    assert examine(Photos(), RandomCrop(256)) == []


def test_a_truncated_file_is_an_error(root: Path) -> None:
    path = root / "val" / "b.png"
    path.write_bytes(path.read_bytes()[:200])
    finding = only(examine(Folder(str(root)), RandomCrop(16)))
    assert finding.is_error
    assert finding.subject == f"val: {path}"
    assert f"{path} cannot be decoded" in finding.sentence


def test_a_file_that_is_no_picture_is_an_error(root: Path) -> None:
    (root / "test" / "a.png").write_text("hello")
    finding = only(examine(Folder(str(root)), RandomCrop(16)))
    assert finding.is_error
    assert "is not a readable image" in finding.sentence


def test_a_huge_picture_is_an_error(root: Path) -> None:
    Image.new("RGB", (50, 50)).save(root / "train" / "huge.png")
    finding = only(examine(Folder(str(root), max_pixels=500), RandomCrop(16)))
    assert finding.is_error
    assert "is 50 x 50 pixels, more than max_pixels=500" in finding.sentence


def test_a_line_without_a_file_is_an_error(root: Path) -> None:
    (root / "train.txt").write_text("train/a.png\ntrain/gone.png\n")
    finding = only(examine(Folder(str(root), train="train.txt"), RandomCrop(16)))
    assert finding.is_error
    assert f"{root}/train/gone.png does not exist" in finding.sentence


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGBA", "CMYK", "I;16", "1"])
def test_a_picture_of_another_mode_is_told_and_no_error(root: Path, mode: str) -> None:
    if mode == "I;16":
        picture = Image.fromarray(np.full((20, 20), 40_000, dtype=np.uint16))
    else:
        picture = Image.new("RGB", (20, 20), (9, 9, 9)).convert("L" if mode == "LA" else "RGB").convert(mode)
    picture.save(root / "train" / "other.tif")
    finding = only(examine(Folder(str(root)), RandomCrop(16)))
    assert not finding.is_error
    assert finding.sentence == f"its mode is {mode}; it is converted to RGB."


def test_a_small_picture_is_told_and_no_error(root: Path) -> None:
    Image.new("RGB", (40, 15)).save(root / "train" / "small.png")
    finding = only(examine(Folder(str(root)), RandomCrop(16)))
    assert not finding.is_error
    assert "it is 40 x 15 pixels, less than data.size=16" in finding.sentence


def test_the_same_file_in_two_splits_is_an_error(root: Path) -> None:
    shutil.copy(root / "train" / "a.png", root / "test" / "copy.png")
    finding = only(examine(Folder(str(root)), RandomCrop(16)))
    assert finding.is_error
    assert finding.subject == f"test: {root}/test/copy.png"
    assert finding.sentence == f"it is the same file as {root}/train/a.png in 'train'; keep it in one split."


def test_the_same_file_twice_in_a_split_is_told_and_no_error(root: Path) -> None:
    shutil.copy(root / "train" / "a.png", root / "train" / "copy.png")
    finding = only(examine(Folder(str(root)), RandomCrop(16)))
    assert not finding.is_error
    assert finding.sentence == f"it is the same file as {root}/train/a.png."


def test_a_missing_edge_map_is_an_error(root: Path) -> None:
    edges = root / "edges"
    for split in ("train", "val", "test"):
        (edges / split).mkdir(parents=True)
        for name in ("a.png", "b.png"):
            Image.new("L", (24, 20)).save(edges / split / name)
    (edges / "val" / "a.png").unlink()
    finding = only(examine(Folder(str(root), edges=str(edges)), RandomCrop(16)))
    assert finding.is_error
    assert finding.subject == "val: a.png"
    assert "which does not exist; make it" in finding.sentence


def test_a_missing_split_is_told_and_training_needs_train_and_val(root: Path) -> None:
    shutil.rmtree(root / "test")
    assert not only(examine(Folder(str(root)), RandomCrop(16))).is_error
    shutil.rmtree(root / "val")  # training validates
    assert [finding.is_error for finding in examine(Folder(str(root)), RandomCrop(16))] == [True, False]
    with pytest.raises(ValueError, match="is not a folder"):
        examine(Folder(str(root / "gone")), RandomCrop(16))


def test_each_file_is_watched(root: Path) -> None:
    seen: list[tuple[int, int]] = []
    examine(Folder(str(root)), RandomCrop(16), None, lambda done, total: seen.append((done, total)))
    assert seen == [(number, 6) for number in range(1, 7)]


def test_all_errors_and_a_few_notes_of_each_kind_are_printed() -> None:
    notes = [Finding("converted from L", f"train: {number}", "its mode is L.", False) for number in range(8)]
    errors = [Finding("cannot be used", f"train: [{number}]", "it is broken.", True) for number in range(7)]
    code, lines = printed(notes + errors)
    assert code == 1
    assert lines[:7] == [f"error  cannot be used, train: [{number}]: it is broken." for number in range(7)]
    assert lines[12] == "note   converted from L: 3 more files"
    assert lines[13] == "Files: 2 in train. Errors: 7. Notes: 8. Mend the errors before training."


@pytest.mark.slow
def test_the_command_ends_with_a_summary_and_an_exit_code(root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    home = tmp_path_factory.mktemp("home")

    def doctor() -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "inpaintlab.doctor", "data=folder", f"data.root={root}", "data.size=16"]
        return run(*command, cwd=root, home=home)

    sound = doctor()
    assert sound.returncode == 0
    summary = "Files: 2 in train, 2 in val, 2 in test. Errors: 0. Notes: 0. The data is fit for use."
    assert sound.stdout.strip() == summary
    (root / "train" / "a.png").write_text("hello")
    damaged = doctor()
    assert damaged.returncode == 1
    assert damaged.stdout.splitlines()[-1].endswith("Errors: 1. Notes: 0. Mend the errors before training.")
    shutil.rmtree(root)
    root.mkdir()
    missing = doctor()
    assert missing.returncode == 1
    assert missing.stderr.startswith("inpaintlab doctor: The split 'train' was looked for at")
    assert sorted(root.iterdir()) == []


def test_shards_are_told_where_they_are_examined(tmp_path: Path) -> None:
    done = run_here("doctor", "data=shards", f"data.root={tmp_path}", cwd=tmp_path)
    assert done.returncode == 1
    assert "inpaintlab shard ... verify=true" in done.stderr
