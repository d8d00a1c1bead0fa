"""The benchmark of the data prepares what training prepares, and its arithmetic is right."""

from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image
from rich.console import Console

from inpaintlab.data import (
    Folder,
    PictureFormat,
    PreparationTime,
    RandomCrop,
    Shards,
    Source,
    Toy,
    TrainingSet,
    measure_preparation,
    plan_shards,
    write_shards,
)
from inpaintlab.data.speed import _by_stages, _contents
from inpaintlab.masks import Rectangle
from inpaintlab.runs import Progress
from inpaintlab.verbs.bench import Pace, pace_of, report
from stand_ins.commands import run_here


def training_set(source: Source) -> TrainingSet:
    return TrainingSet(source, RandomCrop(16), Rectangle(height=(0.25, 0.5), width=(0.25, 0.5)), seed=3)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    (tmp_path / "train").mkdir()
    for number in range(3):
        Image.linear_gradient("L").rotate(90 * number).save(tmp_path / "train" / f"{number}.png")
    return Folder(str(tmp_path))


def shards(folder: Folder, tmp_path: Path) -> Shards:
    jobs = {"train": plan_shards(folder, "train", tmp_path / "out", PictureFormat(None, 90), 2, seed=0)}
    write_shards(jobs, tmp_path / "out")
    return Shards(str(tmp_path / "out"))


def test_cores_are_counted_up() -> None:
    cost = PreparationTime(images=50, whole=2.0)
    assert cost.images_per_second == 25
    assert [cost.cores(pace) for pace in (1, 25, 26, 100)] == [1, 1, 2, 4]
    cost.edges = 1.0  # 20 ms an image beside 40
    assert [cost.cores(pace, edges=True) for pace in (1, 16, 17, 100)] == [1, 1, 2, 6]


def test_the_report_says_what_a_training_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inpaintlab.verbs.bench.cores", lambda: 4)
    stream = StringIO()
    cost = PreparationTime(10, whole=0.1, stages={"decode": 0.03, "mask": 0.01}, edges=0.01)
    report(cost, Pace(250), 1, 3, Console(file=stream, width=100))
    lines = stream.getvalue().splitlines()
    cells = [[cell.strip() for cell in line.split("│")[1:4]] for line in lines]
    assert ["decode", "3.00", "75 %"] in cells
    assert ["whole sample", "10.00", ""] in cells
    assert ["Canny's edges, in the step", "1.00", ""] in cells
    expected = (
        "100 images per second on one core, from memory; a training at 250 images per second keeps 3 cores busy, with "
        "Canny's edges on the CPU 3 cores."
    )
    assert lines[-2:] == [expected, "data.workers is 3 for each GPU, which suffices."]
    report(cost, Pace(300, ", as runs/a in its phase 'joint',"), 8, 2, Console(file=stream, width=100))
    pace = "a training at 300 images per second, as runs/a in its phase 'joint',"
    assert stream.getvalue().splitlines()[-4:] == [
        f"100 images per second on one core, from memory; {pace} keeps 3 cores busy, with Canny's edges on the CPU 4 "
        "cores.",
        "On 8 GPUs, each at this pace: 24 cores, with the edges 32 cores.",
        "data.workers is 2 for each GPU, so the training waits for samples: give 3.",
        "That is more than this machine has: 4 cores.",
    ]


def test_the_pace_of_a_run_is_that_of_its_fastest_phase(tmp_path: Path) -> None:
    def pace(**given: Any) -> Pace:
        return pace_of(OmegaConf.create({"run": None, "images_per_second": None} | given))

    assert pace() == Pace(100)
    assert pace(images_per_second=7) == Pace(7)
    with pytest.raises(ValueError, match="give one of them"):
        pace(images_per_second=7, run=str(tmp_path))
    with pytest.raises(ValueError, match=r"has no progress\.json.*or images_per_second=N"):
        pace(run=str(tmp_path))
    progress = Progress(4, 4, "val/psnr_rgb", True, [], 1.0)
    progress.save(tmp_path)
    with pytest.raises(ValueError, match=r"has logged no speed.*every\.log"):
        pace(run=str(tmp_path))
    replace(progress, paces={"completion": 40.5, "discriminator": 90.25, "joint": 30.0}).save(tmp_path)
    assert pace(run=str(tmp_path)) == Pace(90.25, f", as {tmp_path} in its phase 'discriminator',")


@pytest.mark.parametrize("kind", ["folder", "shards", "toy"])
def test_the_stages_end_in_the_very_sample_that_training_gets(folder: Folder, tmp_path: Path, kind: str) -> None:
    source = {"folder": lambda: folder, "shards": lambda: shards(folder, tmp_path), "toy": lambda: Toy(3, 20)}[kind]()
    samples, cost = training_set(source), PreparationTime(8)
    for place in range(8):
        epoch, index = divmod(place, 3)
        made = _by_stages(samples, epoch, index, _contents(source), cost)
        expected = samples[epoch, index]
        assert torch.equal(made["image"], expected["image"])
        assert torch.equal(made["mask"], expected["mask"])
    first = ["read and decode"] if kind == "toy" else ["read", "decode"]
    assert list(cost.stages) == [*first, "crop and resize", "mask", "tensor and flip"]


def test_each_stage_and_the_whole_take_time(folder: Folder) -> None:
    cost = measure_preparation(training_set(folder), images=5, batch_size=2)
    assert cost.whole > 0
    assert cost.edges > 0
    assert list(cost.stages) == ["read", "decode", "crop and resize", "mask", "tensor and flip", "collate"]
    assert min(cost.stages.values()) > 0
    with pytest.raises(ValueError, match="images=0 measures nothing"):
        measure_preparation(training_set(folder), images=0, batch_size=2)


def test_the_command_measures_the_data_of_the_configuration(tmp_path: Path) -> None:
    done = run_here("bench", "data", "data=toy", "mask=strokes", "images=3", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "images per second on one core" in done.stdout
    wrong = run_here("bench", "model", cwd=tmp_path)
    assert (wrong.returncode, wrong.stderr) == (2, "inpaintlab bench: there is no 'model'. There is: data.\n")
