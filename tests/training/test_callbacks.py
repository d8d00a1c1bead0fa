"""The best checkpoint is the best; a panel shows what it says and nothing of the hole."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning import Trainer
from torch import Tensor

from inpaintlab.inpainting import CHECKPOINT_FORMAT
from inpaintlab.survival import Checkpoints
from inpaintlab.training.panels import draw_panel, overlay, panel_columns
from stand_ins.building import Builder


class Stage(Trainer):
    """A trainer that validates as it is told, and saves the scores in place of networks."""

    def __init__(self, module: Any, saving: Checkpoints) -> None:
        super().__init__(accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False)
        self.strategy.connect(module)
        self.saving = saving
        self.scores: dict[str, Tensor] = {}

    @property
    def callback_metrics(self) -> dict[str, Tensor]:
        return self.scores

    def save_checkpoint(self, filepath: Any, *args: Any, **kwargs: Any) -> None:
        parts = {
            "inpaintlab": {"format": CHECKPOINT_FORMAT, "model": {}, "iterations": 1, "images_seen": 1},
            "state_dict": {},
            "callbacks": {"Checkpoints": self.saving.state_dict()},
        }
        torch.save(parts | {"scores": {name: float(score) for name, score in self.scores.items()}}, filepath)


def validated(callback: Checkpoints, module: Any, scores: list[float]) -> None:
    stage = Stage(module, callback)
    callback.on_train_start(stage, module)
    for score in scores:
        stage.scores = {"val/a": torch.tensor(score), "val/b": torch.tensor(0.0)}
        callback.on_validation_end(stage, module)


def learner(built: Builder) -> Any:
    """A model that has a schedule."""
    return built("glcic")


def best(folder: Path) -> float:
    return float(torch.load(folder / "best.ckpt", weights_only=True)["scores"]["val/a"])


@pytest.mark.parametrize(
    ("higher", "scores", "expected"),
    [
        (True, [1.0, 3.0, 2.0], 3.0),
        (False, [3.0, 1.0, 2.0], 1.0),
        (True, [-2.0, -1.0], -1.0),
        (False, [-1.0, -2.0], -2.0),
        (True, [float("nan"), 1.0, float("nan")], 1.0),
        (False, [2.0, float("inf"), 1.0], 1.0),
    ],
)
def test_the_best_checkpoint_follows_the_monitor(
    tmp_path: Path, built: Builder, higher: bool, scores: list[float], expected: float
) -> None:
    validated(Checkpoints(tmp_path, 1, 1, "val/a", higher), learner(built), scores)
    assert best(tmp_path) == expected
    assert [path.name for path in tmp_path.iterdir()] == ["best.ckpt"]


def test_more_exact_images_are_better_whatever_the_mean_of_the_others(tmp_path: Path, built: Builder) -> None:
    """An image that becomes exact leaves the mean of the others, which may sink."""
    callback = Checkpoints(tmp_path, 1, 1, "val/a", True)
    stage = Stage(learner(built), callback)
    callback.on_train_start(stage, stage.lightning_module)
    for exact, score in [(0, 50.0), (1, 30.0), (1, 31.0), (0, 60.0), (1, 29.0)]:
        stage.scores = {"val/a": torch.tensor(score), "val/a_infinite": torch.tensor(float(exact))}
        callback.on_validation_end(stage, stage.lightning_module)
    assert best(tmp_path) == 31.0
    again = stage.saving = Checkpoints(tmp_path, 1, 1, "val/a", True)
    again.on_train_start(stage, stage.lightning_module)
    assert again.best == (1, 31.0)
    stage.scores = {"val/a": torch.tensor(float("inf")), "val/a_infinite": torch.tensor(2.0)}
    again.on_validation_end(stage, stage.lightning_module)
    assert best(tmp_path) == float("inf")
    again.on_train_start(stage, stage.lightning_module)
    assert again.best == (2, float("inf"))


@pytest.mark.parametrize(("higher", "worse", "better"), [(True, 4.0, 6.0), (False, 6.0, 4.0)])
def test_a_resumed_run_holds_new_scores_against_that_of_the_best_checkpoint(
    tmp_path: Path, built: Builder, higher: bool, worse: float, better: float
) -> None:
    model = learner(built)
    validated(Checkpoints(tmp_path, 1, 1, "val/a", higher), model, [5.0])
    second = Checkpoints(tmp_path, 1, 1, "val/a", higher)
    validated(second, model, [worse])
    assert best(tmp_path) == 5.0
    validated(second, model, [better])
    assert best(tmp_path) == better


def test_an_equal_score_keeps_the_earlier_checkpoint(tmp_path: Path, built: Builder) -> None:
    callback = Checkpoints(tmp_path, 1, 1, "val/a", True)
    validated(callback, learner(built), [1.0])
    before = (tmp_path / "best.ckpt").stat().st_mtime_ns
    validated(callback, learner(built), [1.0])
    assert (tmp_path / "best.ckpt").stat().st_mtime_ns == before


def test_an_unknown_monitor_is_answered_with_what_there_is(tmp_path: Path, built: Builder) -> None:
    with pytest.raises(ValueError, match=r"'val/c', which validation does not give; it gives val/a, val/b\."):
        validated(Checkpoints(tmp_path, 1, 1, "val/c", True), learner(built), [1.0])


def test_the_overlay_shows_nothing_of_the_hole() -> None:
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(2, 3, 8, 8, generator=generator)
    mask = (torch.rand(2, 1, 8, 8, generator=generator) > 0.5).float()
    secret = torch.where(mask > 0.5, float("nan"), image)
    shown = overlay(image, mask)
    assert torch.equal(shown, overlay(secret, mask))
    hole = mask.expand_as(image) > 0.5
    assert torch.equal(shown[~hole], image[~hole])
    assert shown[hole].unique().numel() == 3  # one colour


def test_a_panel_has_a_row_an_image_and_a_column_a_picture() -> None:
    generator = torch.Generator().manual_seed(0)
    columns = {name: torch.rand(3, 3, 8, 12, generator=generator) for name in ("input", "completed")}
    sheet = draw_panel(columns)
    assert sheet.dtype == np.uint8
    assert sheet.shape == (16 + 3 * (8 + 4) + 4, 2 * (12 + 4) + 4, 3)
    for column, pictures in enumerate(columns.values()):
        for row in range(3):
            top, left = 16 + row * 12, 4 + column * 16
            expected = (pictures[row].permute(1, 2, 0) * 255).round().byte().numpy()
            np.testing.assert_array_equal(sheet[top : top + 8, left : left + 12], expected)
    assert (sheet[16:, :4] == 255).all()
    assert (sheet[-4:] == 255).all()


def test_values_outside_the_range_are_clipped_in_a_panel() -> None:
    sheet = draw_panel({"a": torch.full((1, 3, 4, 4), 1.5), "b": torch.full((1, 3, 4, 4), -0.5)})
    assert (sheet[16:20, 4:8] == 255).all()
    assert (sheet[16:20, 12:16] == 0).all()


@pytest.mark.parametrize(("name", "inside"), [("glcic", []), ("edgeconnect", ["edges"]), ("mean_colour", [])])
def test_the_columns_go_from_input_to_original(built: Builder, name: str, inside: list[str]) -> None:
    generator = torch.Generator().manual_seed(0)
    image, mask = torch.rand(2, 3, 32, 32, generator=generator), torch.zeros(2, 1, 32, 32)
    mask[..., 8:24, 8:24] = 1
    columns = panel_columns(built(name), image, mask)
    assert list(columns) == ["input", *inside, "raw output", "completed", "original"]
    assert all(picture.shape == image.shape for picture in columns.values())
    assert torch.equal(columns["original"], image)
    hole = mask.expand_as(image) > 0.5
    assert torch.equal(columns["completed"][~hole], image[~hole])
    assert torch.equal(columns["completed"][hole], columns["raw output"][hole])
