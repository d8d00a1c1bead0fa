"""What happens to the files and disks of a run, and to its settings: it goes on, or says in a sentence why not."""

import csv
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from inpaintlab.inpainting import load_checkpoint
from inpaintlab.models import GLCIC
from inpaintlab.runs import Progress
from inpaintlab.survival import Checkpoints
from inpaintlab.survival.saving import WholeCheckpointIO, score_of
from stand_ins.commands import checkpoint, run_here, same_weights, tiny

SETTINGS = [
    *tiny("glcic", 2),
    "model/schedule=completion_only",
    "model.schedule.phases.completion.batches=6",
    "every.checkpoint=2",
    "every.panel=100",
]
SETTINGS = [entry for entry in SETTINGS if not entry.startswith(("model.schedule.phases.d", "model.schedule.phases.j"))]
SETTINGS.remove("model.schedule.phases.completion.batches=2")
LONGER = "model.schedule.phases.completion.batches=8"


def train(folder: Path, *settings: str, name: str = "a") -> subprocess.CompletedProcess[str]:
    return run_here("train", *SETTINGS, *settings, f"name={name}", cwd=folder)


def refused(folder: Path, *settings: str) -> str:
    """The one sentence with which a start is refused; it changes no file of the run."""
    before = contents(folder / "runs/a")
    ended = train(folder, *settings)
    assert ended.returncode == 1, ended.stdout
    assert len(ended.stderr.strip().splitlines()) == 1, ended.stderr
    assert contents(folder / "runs/a") == before
    return ended.stderr.removeprefix("inpaintlab train: ").strip()


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run of 6 batches, ``runs/a``, validated after 2, 4 and 6."""
    folder = tmp_path_factory.mktemp("whole")
    ended = train(folder)
    assert ended.returncode == 0, ended.stderr
    return folder


@pytest.fixture
def ran(whole: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    shutil.copytree(whole / "runs", tmp_path / "runs")
    return tmp_path


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The last checkpoint of a run of 8 batches without a break."""
    folder = tmp_path_factory.mktemp("unbroken")
    ended = train(folder, LONGER)
    assert ended.returncode == 0, ended.stderr
    return checkpoint(folder / "runs/a")


# --- missing and damaged checkpoints ---------------------------------------------------------------------------------


def flip(path: Path, name: str) -> None:
    """Turn one bit of a tensor over, inside of the archive."""
    data = bytearray(path.read_bytes())
    tensor = checkpoint(path.parent, path.name)["state_dict"][name]
    place = data.index(tensor.numpy().tobytes())
    data[place] ^= 1
    path.write_bytes(data)


def test_a_flipped_bit_is_noticed_though_torch_would_read_it(ran: Path) -> None:
    last = ran / "runs/a/last.ckpt"
    name = next(key for key, value in checkpoint(last.parent)["state_dict"].items() if key.endswith("weight"))
    before = checkpoint(last.parent)["state_dict"][name]
    flip(last, name)
    assert not torch.equal(checkpoint(last.parent)["state_dict"][name], before)  # torch reads it without a word
    with pytest.raises(ValueError, match=r"last\.ckpt cannot be read as a checkpoint: it is damaged"):
        load_checkpoint(last)


@pytest.mark.parametrize("harm", ["cut", "empty", "text", "zeros", "foreign", "removed"])
def test_a_run_whose_last_checkpoint_is_gone_never_begins_anew_in_silence(ran: Path, harm: str) -> None:
    last = ran / "runs/a/last.ckpt"
    data = last.read_bytes()
    if harm == "foreign":
        torch.save({"state_dict": {}}, last)
    elif harm == "removed":
        last.unlink()
    else:
        half = data[: len(data) // 2]
        last.write_bytes({"cut": half, "empty": b"", "text": b"no checkpoint", "zeros": half + bytes(len(half))}[harm])
    done = checkpoint(ran / "runs/a", "best.ckpt")["inpaintlab"]["iterations"]
    sentence = refused(ran)
    assert "last.ckpt" in sentence
    assert f"best.ckpt (readable, after {done} batches)" in sentence
    assert ("last.ckpt (not readable)" in sentence) == (harm != "removed")
    assert "To go on from best.ckpt, copy it to last.ckpt; to begin anew, delete the folder" in sentence


def test_a_run_of_version_01_is_refused_whatever_its_settings_were_called(ran: Path) -> None:
    for path in (ran / "runs/a").glob("*.ckpt"):
        content = torch.load(path, weights_only=True)
        del content["inpaintlab"]["format"]
        torch.save(content, path)
    told = "last.ckpt was written by an earlier inpaintlab and cannot be read any more: train again."
    sentence = refused(ran)
    assert told in sentence
    assert "best.ckpt (not readable)" in sentence
    assert "To begin anew, delete the folder or give another name (name=...)." in sentence


def test_a_run_whose_settings_file_is_gone_or_edited_still_knows_its_settings(ran: Path) -> None:
    for seed, content in ((2, None), (3, "{}")):
        (ran / "runs/a/config.json").unlink(missing_ok=True)
        if content is not None:
            (ran / "runs/a/config.json").write_text(content)
        ended = train(ran, LONGER, f"seed={seed}")
        assert ended.returncode == 1
        assert f"holds a run with other settings: seed: 1 -> {seed}." in ended.stderr


def test_a_run_that_goes_on_from_its_best_checkpoint_ends_like_the_unbroken_one(
    ran: Path, unbroken: dict[str, Any]
) -> None:
    done = int(checkpoint(ran / "runs/a", "best.ckpt")["inpaintlab"]["iterations"])
    shutil.copy(ran / "runs/a/best.ckpt", ran / "runs/a/last.ckpt")
    ended = train(ran, LONGER)
    assert ended.returncode == 0, ended.stderr
    assert f"resuming after {done} of 8 batches" in ended.stdout
    assert same_weights(checkpoint(ran / "runs/a"), unbroken)


def test_a_run_of_which_only_its_progress_is_left_is_refused(ran: Path) -> None:
    for path in (ran / "runs/a").glob("*.ckpt"):
        path.unlink()
    assert "It has no other checkpoint. To begin anew, delete the folder" in refused(ran)
    (ran / "runs/a/progress.json").unlink()
    assert train(ran).returncode == 0


def test_a_damaged_best_checkpoint_is_told_before_training(ran: Path) -> None:
    (ran / "runs/a/best.ckpt").write_bytes(b"")
    before = (ran / "runs/a/last.ckpt").read_bytes()
    ended = train(ran, LONGER)
    assert ended.returncode == 1
    assert "best.ckpt cannot be read" in ended.stderr
    assert "Delete it: the next validation writes another." in ended.stderr
    assert (ran / "runs/a/last.ckpt").read_bytes() == before
    (ran / "runs/a/best.ckpt").unlink()
    assert train(ran, LONGER).returncode == 0
    assert (ran / "runs/a/best.ckpt").is_file()


# --- best.ckpt -------------------------------------------------------------------------------------------------------


def test_a_run_killed_before_a_validation_makes_up_for_it(ran: Path) -> None:
    noted = Progress.load(ran / "runs/a")
    assert noted is not None
    best = (ran / "runs/a/best.ckpt").read_bytes()
    assert set(noted.paces) == {"completion"}
    paces = {"joint": 1.5}  # of a phase that is over
    Progress(6, 6, noted.monitor, True, noted.validations[:2], 1.0, paces=paces).save(ran / "runs/a")
    ended = train(ran)
    assert ended.returncode == 0, ended.stderr
    again = Progress.load(ran / "runs/a")
    assert again is not None
    assert again.validations == noted.validations
    assert again.paces == paces
    assert (ran / "runs/a/best.ckpt").read_bytes() == best
    assert "is finished" in train(ran).stdout


def test_an_older_last_checkpoint_does_not_let_a_worse_one_become_the_best(
    ran: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_dir = ran / "runs/a"
    content = checkpoint(run_dir, "best.ckpt")
    # a best score that last.ckpt, which is older, never saw
    content["callbacks"]["Checkpoints"]["best"] = {"infinite": 0, "mean": 1000.0}
    torch.save(content, run_dir / "best.ckpt")
    before = (run_dir / "best.ckpt").read_bytes()
    assert checkpoint(run_dir)["callbacks"]["Checkpoints"]["best"]["mean"] < 1000
    assert train(ran, LONGER).returncode == 0
    assert (run_dir / "best.ckpt").read_bytes() == before
    assert score_of(run_dir / "best.ckpt") == (0, 1000)


def test_a_best_checkpoint_has_a_last_one_beside_it_from_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def look(self: Checkpoints, trainer: Any, name: str) -> None:
        seen.append((name, (self.folder / "last.ckpt").is_file()))
        untouched(self, trainer, name)

    untouched = Checkpoints.save_as
    monkeypatch.setattr(Checkpoints, "save_as", look)
    assert train(tmp_path, "every.checkpoint=1000").returncode == 0
    assert seen[:2] == [("last.ckpt", False), ("best.ckpt", True)]


# --- full disks ------------------------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 8 MB, where this user may mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = shutil.which("mount") and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)], capture_output=True
    )
    if not mounted or mounted.returncode:
        pytest.skip("this user may not mount a small disk")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(disk: Path, left: int) -> Path:
    """Fill a disk up to ``left`` bytes; the file that does."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        file.write(bytes(shutil.disk_usage(disk).free - left))
    return ballast


@pytest.mark.parametrize(
    ("left", "panels"),
    [
        pytest.param(4096 * 20, 100, id="in the middle of a checkpoint"),
        pytest.param(0, 1, id="in a panel"),
        pytest.param(4096 * 3, 100, id="at its beginning", marks=pytest.mark.endurance),
        pytest.param(0, 100, id="nothing left", marks=pytest.mark.endurance),
    ],
)
def test_a_full_disk_leaves_the_last_checkpoint_and_the_same_command_goes_on(
    whole: Path, small_disk: Path, monkeypatch: pytest.MonkeyPatch, left: int, panels: int
) -> None:
    ballast = small_disk / "ballast"

    def learn(self: GLCIC, *arguments: Any) -> Any:
        if self.schedule.iteration == 2 and not ballast.exists():
            fill(small_disk, left)
        return untouched(self, *arguments)

    untouched = GLCIC.learn
    monkeypatch.setattr(GLCIC, "learn", learn)
    run_dir = small_disk / "runs/a"
    full = train(small_disk, f"every.panel={panels}")
    assert full.returncode == 1, full.stdout
    assert "There is no space left for" in full.stderr
    assert "Make space, and the same command goes on." in full.stderr
    assert len(full.stderr.strip().splitlines()) == 1
    assert load_checkpoint(run_dir / "last.ckpt")["inpaintlab"]["iterations"] == 2
    assert load_checkpoint(run_dir / "best.ckpt")
    noted = Progress.load(run_dir)
    assert noted is not None
    assert noted.iterations == 2
    json.loads((run_dir / "config.json").read_text())
    for path in (run_dir / "panels").glob("*"):
        Image.open(path).verify()
    for path in run_dir.rglob("metrics.csv"):
        with path.open(newline="") as file:
            assert all(len(row) > 1 for row in csv.reader(file))
    assert not list(small_disk.rglob("*.partial"))

    ballast.unlink()
    monkeypatch.setattr(GLCIC, "learn", untouched)
    assert train(small_disk, f"every.panel={panels}").returncode == 0
    assert load_checkpoint(run_dir / "last.ckpt")["inpaintlab"]["iterations"] == 6
    assert same_weights(checkpoint(run_dir), checkpoint(whole / "runs/a"))


def test_a_checkpoint_that_finds_no_space_says_so_and_leaves_the_one_before(small_disk: Path) -> None:
    path = small_disk / "last.ckpt"
    WholeCheckpointIO().save_checkpoint({"a": torch.zeros(10)}, path)
    before = path.read_bytes()
    with pytest.raises(OSError, match="No space left"):
        WholeCheckpointIO().save_checkpoint({"a": torch.zeros(4, 1024, 1024)}, path)
    assert contents(small_disk) == {"last.ckpt": before}


def test_a_result_that_finds_no_space_is_not_there_by_half(small_disk: Path, whole: Path) -> None:
    evaluate = ["checkpoint=" + str(whole / "runs/a"), "manifest=" + str(whole / "runs/a/validation.json"), "label=a"]
    ballast = fill(small_disk, 4096 * 4)
    ended = run_here("evaluate", *evaluate, "trainer=cpu", cwd=small_disk)
    assert ended.returncode == 1
    assert "There is no space left for" in ended.stderr, ended.stderr
    assert len(ended.stderr.strip().splitlines()) == 1
    assert not (small_disk / "results/a").exists()
    ballast.unlink()
    again = run_here("evaluate", *evaluate, "trainer=cpu", cwd=small_disk)
    assert again.returncode == 0, again.stderr
    assert (small_disk / "results/a/result.json").is_file()


# --- settings that change --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("setting", "named"),
    [
        # one of each part of the settings in every run: one comparison goes over all of them
        ("model.learning_rate=0.5", "model.learning_rate"),
        ("mask=block", "mask"),
        ("data=toy data.source.count=7", "data.source.count"),
        ("accumulate=2", "accumulate"),
        ("monitor.name=val/mae", "monitor.name"),
        ("trainer.precision=64-true", "trained in 32-true so far and would go on in 64-true"),
        *(
            pytest.param(setting, setting.partition("=")[0], marks=pytest.mark.endurance)
            for setting in (
                *("hole_ratio=[0.1,0.4]", "data.batch_size=3", "data.flip=0.1", "seed=2", "model.width=0.125"),
                *("average=0.9", "clip_gradients=1.0", "validation_images=3"),
            )
        ),
    ],
)
def test_what_decides_a_result_does_not_change_in_the_middle_of_a_run(ran: Path, setting: str, named: str) -> None:
    noted = (ran / "runs/a/config.json").read_bytes()
    ended = train(ran, LONGER, *setting.split())
    assert ended.returncode == 1, ended.stdout
    assert named in ended.stderr
    assert "name=" in ended.stderr
    assert len(ended.stderr.strip().splitlines()) == 1
    assert checkpoint(ran / "runs/a")["inpaintlab"]["iterations"] == 6
    assert (ran / "runs/a/config.json").read_bytes() == noted


def test_another_number_of_processes_is_another_batch_and_refused(ran: Path) -> None:
    content = checkpoint(ran / "runs/a")
    assert content["inpaintlab"]["processes"] == 1
    content["inpaintlab"]["processes"] = 2
    torch.save(content, ran / "runs/a/last.ckpt")
    assert "was trained by 2 processes so far and would go on with 1" in refused(ran, LONGER)


@pytest.mark.parametrize(
    "setting",
    [
        "every.validation=3 every.checkpoint=1 every.panel=4 every.log=2 panel_images=1 health.batches=50",
        "data.workers=1 trainer=auto trainer.accelerator=cpu",
    ],
)
def test_what_only_looks_on_may_change_and_changes_nothing(ran: Path, unbroken: dict[str, Any], setting: str) -> None:
    ended = train(ran, LONGER, *setting.split())
    assert ended.returncode == 0, ended.stderr
    assert "resuming after 6 of 8 batches" in ended.stdout
    assert same_weights(checkpoint(ran / "runs/a"), unbroken)


# --- images ----------------------------------------------------------------------------------------------------------


def train_on_photos(folder: Path, *settings: str) -> subprocess.CompletedProcess[str]:
    """Train 12 batches on the pictures in ``photos``."""
    data = ["data=folder", f"data.root={folder / 'photos'}", "data.size=32", "data.batch_size=2", *settings]
    return train(folder, *data, "model.schedule.phases.completion.batches=12", "validation_images=1")


def write_photos(folder: Path) -> None:
    photos = folder / "photos"
    generator = np.random.default_rng(0)
    for split, count in {"train": 12, "val": 1}.items():
        (photos / split).mkdir(parents=True)
        for index in range(count):
            pixels = generator.integers(0, 255, (40, 40, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(photos / split / f"{index:02d}.png")


@pytest.fixture(scope="module")
def learnt(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The last checkpoint of an unbroken run on photos, with no worker."""
    folder = tmp_path_factory.mktemp("learnt")
    write_photos(folder)
    ended = train_on_photos(folder, "data.workers=0")
    assert ended.returncode == 0, ended.stderr
    return checkpoint(folder / "runs/a")


@pytest.mark.parametrize(
    ("harm", "workers"),
    [
        ("removed", 0),
        ("damaged", 1),
        pytest.param("removed", 1, marks=pytest.mark.endurance),
        pytest.param("damaged", 0, marks=pytest.mark.endurance),
    ],
)
def test_an_image_that_goes_while_training_is_named_and_the_run_goes_on_when_it_is_back(
    learnt: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, harm: str, workers: int
) -> None:
    photos = tmp_path / "photos"
    write_photos(tmp_path)
    kept = contents(photos)

    def learn(self: GLCIC, *arguments: Any) -> Any:
        if self.schedule.iteration == 2:
            for path in (photos / "train").iterdir():
                path.unlink() if harm == "removed" else path.write_bytes(path.read_bytes()[:100])
        return untouched(self, *arguments)

    untouched = GLCIC.learn
    monkeypatch.setattr(GLCIC, "learn", learn)
    broken = train_on_photos(tmp_path, f"data.workers={workers}")
    assert broken.returncode == 1, broken.stdout
    assert str(photos) in broken.stderr
    assert ".png" in broken.stderr
    assert len(broken.stderr.strip().splitlines()) == 1, broken.stderr
    assert load_checkpoint(tmp_path / "runs/a/last.ckpt")["inpaintlab"]["iterations"] >= 2

    for name, content in kept.items():
        (photos / name).write_bytes(content)
    monkeypatch.setattr(GLCIC, "learn", untouched)
    ended = train_on_photos(tmp_path, f"data.workers={workers}")
    assert ended.returncode == 0, ended.stderr
    assert same_weights(checkpoint(tmp_path / "runs/a"), learnt)
