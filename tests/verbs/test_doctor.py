"""The doctor finds each planted defect, tells it in a sentence and sets the exit code."""

import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from io import StringIO
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from inpaintlab.data import Finding, Folder, Photos, RandomCrop, Toy, TrainingSet, examine
from inpaintlab.masks import Center, Mask, MaskFolder, Mixture, WithHoleRatio
from inpaintlab.testsets import Manifest
from inpaintlab.verbs.doctor import report
from stand_ins.commands import run, run_here
from stand_ins.hostile_pictures import one_colour_webp


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


def edge_maps(root: Path) -> Path:
    for split in ("train", "val", "test"):
        (root / "edges" / split).mkdir(parents=True)
        for name in ("a.png", "b.png"):
            Image.new("L", (24, 20)).save(root / "edges" / split / name)
    return root / "edges"


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
    edges = edge_maps(root)
    (edges / "val" / "a.png").unlink()
    finding = only(examine(Folder(str(root), edges=str(edges)), RandomCrop(16)))
    assert finding.is_error
    assert finding.subject == "val: a.png"
    assert "which does not exist; make it" in finding.sentence


@pytest.mark.parametrize("fault", ["damaged", "of another size", "a FIFO"])
def test_an_edge_map_that_stops_training_is_an_error(root: Path, fault: str) -> None:
    source = Folder(str(root), edges=str(edge_maps(root)))
    assert examine(source, RandomCrop(16)) == []
    path = root / "edges" / "train" / "a.png"
    path.unlink()
    if fault == "damaged":
        path.write_bytes(b"\x89PNG")
    elif fault == "a FIFO":
        os.mkfifo(path)
    else:
        Image.new("L", (24, 21)).save(path)
    finding = only(examine(source, RandomCrop(16)))
    assert finding.is_error
    assert finding.subject == "train: a.png"
    with pytest.raises(ValueError, match=re.escape(finding.sentence)):
        trained(source)


def trained(source: Folder, mask: Mask | None = None, epochs: int = 1) -> None:
    """Read what training reads."""
    samples = TrainingSet(source, RandomCrop(16), mask or Center(0.5), seed=0)
    for position in product(range(epochs), range(len(samples))):
        samples[position]


@pytest.mark.parametrize("kind", ["FIFO", "link to nowhere", "folder in a list", "strip", "EPS", "tiny file of 88 MP"])
def test_doctor_finds_what_training_and_freezing_stop_at(root: Path, kind: str) -> None:
    path, source = root / "train" / "c.png", Folder(str(root))
    if kind == "FIFO":
        os.mkfifo(path)
    elif kind == "link to nowhere":
        path.symlink_to("nowhere.png")
    elif kind == "folder in a list":
        path.mkdir()
        (root / "train.txt").write_text("train/c.png\ntrain/a.png\n")
        source = Folder(str(root), train="train.txt")
    elif kind == "strip":
        Image.new("RGB", (1, 400_000)).save(path)  # 16 x 6,400,000 pixels
    elif kind == "EPS":
        path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n")
    else:
        path.write_bytes(one_colour_webp(9400))
    finding = only(examine(source, RandomCrop(16)))
    assert finding.is_error
    assert finding.subject == f"train: {path}"
    assert str(path) in finding.sentence
    with pytest.raises(ValueError, match=r"c\.png "):
        trained(source)
    recipes = {"source": {"_target_": "inpaintlab.data.Folder", "root": str(root), "train": source.places["train"]}}
    recipes["crop"] = {"_target_": "inpaintlab.data.RandomCrop", "size": 16}
    bins = {"all": {"_target_": "inpaintlab.masks.Center", "fraction": 0.5}}
    with pytest.raises(ValueError, match=r"c\.png "):
        Manifest.create(**recipes, bins=bins, split="train", size=16, seed=0)


def test_a_name_that_is_not_utf8_is_an_error_and_the_rest_is_examined(root: Path) -> None:
    (root / "train" / "a.png").rename(root / "train" / os.fsdecode(b"caf\xe9.png"))
    (root / "train" / "b.png").write_text("hello")
    of_name, of_file = examine(Folder(str(root)), RandomCrop(16))
    assert of_name.is_error
    assert r"caf\xe9.png is not UTF-8" in of_name.sentence
    assert of_file.is_error
    code, lines = printed([of_name])
    assert code == 1
    assert r"caf\xe9.png" in lines[0]
    with pytest.raises(ValueError, match=r"caf\\xe9\.png is not UTF-8"):
        trained(Folder(str(root)))


def test_files_of_other_endings_are_told_and_no_error(root: Path) -> None:
    (root / "train" / "c.heic").write_bytes(b"0")
    (root / "train" / "d").write_bytes(b"0")
    finding = only(examine(Folder(str(root)), RandomCrop(16)))
    assert not finding.is_error
    assert "2 files are left out" in finding.sentence
    assert "1 .heic (c.heic)" in finding.sentence
    assert "1 without an ending (d)" in finding.sentence


def test_a_split_behind_a_link_in_another_is_an_error(root: Path) -> None:
    (root / "train" / "more").symlink_to(root / "val")
    findings = examine(Folder(str(root)), RandomCrop(16))
    assert findings[0].is_error
    assert "is part of the split 'train'" in findings[0].sentence
    with pytest.raises(ValueError, match="is part of the split 'train'"):
        Folder(str(root)).names("train")


def test_names_that_some_disks_take_for_one_are_told(root: Path) -> None:
    shutil.copy(root / "train" / "a.png", root / "train" / "A.png")
    notes = examine(Folder(str(root)), RandomCrop(16))
    assert [(note.kind, note.is_error) for note in notes] == [("names alike", False), ("twice in a split", False)]


def test_an_animation_is_told_and_no_error(root: Path) -> None:
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("red", "green")]
    frames[0].save(root / "train" / "c.webp", save_all=True, append_images=frames[1:])
    finding = only(examine(Folder(str(root)), RandomCrop(16)))
    assert not finding.is_error
    assert "of which the first is read" in finding.sentence


MASK = np.zeros((20, 24), np.uint8)
MASK[5:10, 5:12] = 255


@pytest.mark.parametrize("kind", ["empty", "full", "truncated", "photograph", "text", "FIFO", "link to nowhere"])
@pytest.mark.parametrize("within", ["alone", "in a mixture"])
def test_doctor_finds_the_mask_that_training_stops_at(root: Path, kind: str, within: str) -> None:
    masks = root / "masks"
    masks.mkdir()
    Image.fromarray(MASK).save(masks / "a.png")
    bad = masks / "b.png"
    if kind == "FIFO":
        os.mkfifo(bad)
    elif kind == "link to nowhere":
        bad.symlink_to("nowhere.png")
    elif kind == "truncated":
        bad.write_bytes((masks / "a.png").read_bytes()[:60])
    elif kind == "text":
        bad.write_text("hello")
    elif kind == "photograph":
        shutil.copy(root / "train" / "a.png", bad)
    else:
        Image.new("L", (24, 20), 255 * (kind == "full")).save(bad)
    folder = MaskFolder(masks)
    mask = folder if within == "alone" else Mixture([Center(0.5), WithHoleRatio(folder, 0, 1)], [1, 1])
    finding = only(examine(Folder(str(root)), RandomCrop(16), mask))
    assert finding.is_error
    assert finding.subject == f"masks: {bad}"
    with pytest.raises(ValueError, match=re.escape(finding.sentence)):
        trained(Folder(str(root)), folder, epochs=10)


def test_a_mask_with_soft_edges_is_told_and_no_error(root: Path) -> None:
    (root / "masks").mkdir()
    soft = MASK.copy()
    soft[0, :20] = np.arange(20) + 100
    Image.fromarray(soft).save(root / "masks" / "a.png")
    (root / "masks" / "b.svg").write_text("")
    grey, others = examine(Folder(str(root)), RandomCrop(16), MaskFolder(root / "masks"))
    assert not grey.is_error
    assert "has many grey values" in grey.sentence
    assert not others.is_error
    assert "1 .svg (b.svg)" in others.sentence


def test_the_command_examines_masks(root: Path) -> None:
    (root / "masks").mkdir()
    Image.fromarray(MASK).save(root / "masks" / "a.png")
    words = ("data=folder", f"data.root={root}", "data.size=16", "mask=folder", f"mask.root={root}/masks")
    assert run_here("doctor", *words, cwd=root).returncode == 0
    Image.fromarray(0 * MASK).save(root / "masks" / "b.png")
    done = run_here("doctor", *words, cwd=root)
    assert done.returncode == 1
    assert "masks/b.png is no hole at 16 x 16 px" in done.stdout


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
        command = [sys.executable, "-m", "inpaintlab.verbs.doctor", "data=folder", f"data.root={root}", "data.size=16"]
        return run(*command, cwd=root, home=home)

    sound = doctor()
    assert sound.returncode == 0
    summary = "Files: 2 in train, 2 in val, 2 in test. Errors: 0. Notes: 0. The data is fit for use."
    assert sound.stdout.splitlines() == [f"Examined Folder(root={root}).", summary]
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
