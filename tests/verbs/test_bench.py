"""The benchmark of the data prepares what training prepares, and its arithmetic is right."""

from io import StringIO
from pathlib import Path

import pytest
import torch
from PIL import Image
from rich.console import Console

from inpaintlab.bench import report
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


def test_the_report_says_what_a_training_needs() -> None:
    stream = StringIO()
    cost = PreparationTime(10, whole=0.1, stages={"decode": 0.03, "mask": 0.01}, edges=0.01)
    report(cost, 250, 1, Console(file=stream, width=100))
    lines = stream.getvalue().splitlines()
    cells = [[cell.strip() for cell in line.split("│")[1:4]] for line in lines]
    assert ["decode", "3.00", "75 %"] in cells
    assert ["whole sample", "10.00", ""] in cells
    assert ["Canny's edges, in the step", "1.00", ""] in cells
    expected = (
        "100 images per second on one core, from memory; a training at 250 images per second keeps 3 cores busy, with "
        "Canny's edges on the CPU 3 cores."
    )
    assert lines[-1] == expected
    report(cost, 300, 8, Console(file=stream, width=100))
    assert stream.getvalue().splitlines()[-2].endswith("keeps 3 cores busy, with Canny's edges on the CPU 4 cores.")
    assert stream.getvalue().splitlines()[-1] == "On 8 GPUs, each at this pace: 24 cores, with the edges 32 cores."


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
