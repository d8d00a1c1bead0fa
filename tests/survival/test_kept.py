"""The best few checkpoints are the best few, the periodic ones stay, and no kill loses or leaves any."""

from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Trainer
from torch import Tensor

from inpaintlab.survival import Checkpoints, Kept
from stand_ins.building import Builder


class Killed(BaseException):
    """A kill, at a place that a test chooses."""


class Stage(Trainer):
    """A trainer whose validations give what they are told."""

    def __init__(self) -> None:
        super().__init__(accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False)
        self.scores: dict[str, Tensor] = {}

    @property
    def callback_metrics(self) -> dict[str, Tensor]:
        return self.scores


class Run:
    """A run whose checkpoints hold the number of their batch; it validates as it is told."""

    def __init__(self, folder: Path, model: Any, monkeypatch: pytest.MonkeyPatch, **settings: Any) -> None:
        self.folder, self.model, self.settings = folder, model, settings
        self.trainer = Stage()
        monkeypatch.setattr(Checkpoints, "save_as", self.save_as)
        self.resume()

    def save_as(self, trainer: Any, name: str) -> None:
        (self.folder / name).write_text(str(self.model.schedule.iteration))

    def resume(self, **changes: Any) -> None:
        settings = {"best": 2, "every": None, "higher": True} | self.settings | changes
        higher = settings.pop("higher")
        self.kept = Kept(self.folder, Checkpoints(self.folder, 1, 1, "val/psnr_rgb", higher), **settings)
        self.kept.on_train_start(self.trainer, self.model)

    def batch(self, iteration: int) -> None:
        self.model.schedule.iteration = iteration
        self.kept.on_train_batch_end(self.trainer, self.model, None, None, 0)

    def validate(self, iteration: int, score: float, exact: int = 0) -> None:
        self.model.schedule.iteration = iteration
        scores = {"val/psnr_rgb": score, "val/psnr_rgb_infinite": float(exact)}
        self.trainer.scores = {name: torch.tensor(value) for name, value in scores.items()}
        self.kept.on_validation_end(self.trainer, self.model)

    @property
    def files(self) -> dict[str, str]:
        return {path.name: path.read_text() for path in sorted(self.folder.glob("kept/*.ckpt"))}


@pytest.fixture
def model(built: Builder) -> Any:
    return built("glcic")


@pytest.mark.parametrize(
    ("higher", "scores", "expected"),
    [
        (True, [1.0, 3.0, 2.0, 2.5], {"0000002-psnr_rgb-3.ckpt": "2", "0000004-psnr_rgb-2.5.ckpt": "4"}),
        (False, [0.5, 0.25, 4.0], {"0000001-psnr_rgb-0.5.ckpt": "1", "0000002-psnr_rgb-0.25.ckpt": "2"}),
        (True, [1.0, 1.0, 1.0], {"0000001-psnr_rgb-1.ckpt": "1", "0000002-psnr_rgb-1.ckpt": "2"}),
        (True, [float("nan"), -1.5], {"0000002-psnr_rgb--1.5.ckpt": "2"}),
        (False, [1e-7, 12345678.0], {"0000001-psnr_rgb-1e-07.ckpt": "1", "0000002-psnr_rgb-1.23457e+07.ckpt": "2"}),
    ],
)
def test_the_best_are_kept_with_their_batch_and_score(
    tmp_path: Path,
    model: Any,
    monkeypatch: pytest.MonkeyPatch,
    higher: bool,
    scores: list[float],
    expected: dict[str, str],
) -> None:
    run = Run(tmp_path, model, monkeypatch, higher=higher)
    for iteration, score in enumerate(scores, 1):
        run.validate(iteration, score)
        run.resume()  # the files are all that it needs
    assert run.files == expected


def test_scores_rank_as_for_the_best_checkpoint(tmp_path: Path, model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of exact images first: an image that becomes exact leaves the mean of the others, which may sink."""
    run = Run(tmp_path, model, monkeypatch)
    for iteration, (exact, score) in enumerate([(0, 50.0), (1, 30.0), (2, float("inf")), (0, 60.0)], 1):
        run.validate(iteration, score, exact)
        run.resume()
    assert list(run.files) == ["0000002-psnr_rgb-1exact-30.ckpt", "0000003-psnr_rgb-2exact-inf.ckpt"]


def test_periodic_checkpoints_are_kept_for_good(tmp_path: Path, model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run(tmp_path, model, monkeypatch, best=0, every=2)
    for iteration in range(1, 6):
        run.batch(iteration)
        run.validate(iteration, float(iteration))
    assert run.files == {"0000002.ckpt": "2", "0000004.ckpt": "4"}


@pytest.mark.parametrize("place", ["save", "list", "delete"])
def test_a_kill_loses_none_of_the_best_and_leaves_nothing(
    tmp_path: Path, model: Any, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """The validation that was killed is repeated, because the journal had not noted it yet."""
    run = Run(tmp_path, model, monkeypatch)
    run.validate(1, 1.0)
    run.validate(2, 2.0)
    with monkeypatch.context() as patch:

        def kill(*_: Any) -> None:
            raise Killed

        if place == "save":
            patch.setattr(Checkpoints, "save_as", kill)
        elif place == "list":
            patch.setattr("inpaintlab.survival.kept.write_json", kill)
        else:
            patch.setattr(Kept, "_delete", kill)
        with pytest.raises(Killed):
            run.validate(3, 3.0)
    assert "0000002-psnr_rgb-2.ckpt" in run.files
    run.resume()
    run.validate(3, 3.0)
    assert run.files == {"0000002-psnr_rgb-2.ckpt": "2", "0000003-psnr_rgb-3.ckpt": "3"}
    run.resume()
    run.validate(4, 0.5)
    assert list(run.files) == ["0000002-psnr_rgb-2.ckpt", "0000003-psnr_rgb-3.ckpt"]


def test_a_kill_before_the_deletion_is_made_up_for_when_the_run_goes_on(
    tmp_path: Path, model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run(tmp_path, model, monkeypatch, best=1)
    run.validate(1, 1.0)
    with monkeypatch.context() as patch:
        patch.setattr(Kept, "_delete", lambda *_: None)
        run.validate(2, 2.0)
    assert len(run.files) == 2
    run.resume()
    assert list(run.files) == ["0000002-psnr_rgb-2.ckpt"]


def test_a_repeated_validation_counts_once_and_a_smaller_number_keeps_the_best(
    tmp_path: Path, model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run(tmp_path, model, monkeypatch, best=3)
    for iteration in (1, 2, 3, 3):
        run.validate(iteration, float(iteration))
    assert len(run.files) == 3
    run.resume(best=1)
    run.validate(4, 0.0)
    assert list(run.files) == ["0000003-psnr_rgb-3.ckpt"]


def test_a_file_that_was_taken_away_leaves_its_place(
    tmp_path: Path, model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run(tmp_path, model, monkeypatch)
    run.validate(1, 9.0)
    run.validate(2, 8.0)
    (tmp_path / "kept/0000001-psnr_rgb-9.ckpt").unlink()
    run.resume()
    run.validate(3, 1.0)
    assert list(run.files) == ["0000002-psnr_rgb-8.ckpt", "0000003-psnr_rgb-1.ckpt"]


@pytest.mark.parametrize(
    "content",
    [
        "{",
        '{"best": 3, "leaving": []}',
        '{"best": [], "leaving": ["../last.ckpt"]}',
        '{"best": [], "leaving": ["best.ckpt"]}',
        '{"best": [{"name": "/etc/x.ckpt", "iteration": 1, "infinite": 0, "mean": 1.0}], "leaving": []}',
    ],
)
def test_a_list_that_was_edited_is_refused_and_nothing_deleted(
    tmp_path: Path, model: Any, monkeypatch: pytest.MonkeyPatch, content: str
) -> None:
    run = Run(tmp_path, model, monkeypatch)
    run.validate(1, 9.0)
    (tmp_path / "last.ckpt").touch()
    (tmp_path / "kept/kept.json").write_text(content)
    with pytest.raises(ValueError, match=r"kept.json.*delete it: the checkpoints beside it stay"):
        run.resume()
    assert (tmp_path / "last.ckpt").exists()
    assert len(run.files) == 1


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"best": -1}, "callbacks.checkpoints.best is -1"),
        ({"best": True}, "callbacks.checkpoints.best is True"),
        ({"best": "all"}, "callbacks.checkpoints.best is all"),
        ({"every": 0}, "callbacks.checkpoints.every is 0"),
        ({"every": 1.5}, "callbacks.checkpoints.every is 1.5"),
        ({"best": 0}, "callbacks.checkpoints keeps nothing"),
    ],
)
def test_what_cannot_be_kept_is_refused(tmp_path: Path, settings: dict[str, Any], sentence: str) -> None:
    checkpoints = Checkpoints(tmp_path, 1, 1, "val/a", True)
    with pytest.raises(ValueError, match=sentence):
        Kept(tmp_path, checkpoints, **({"best": 1, "every": None} | settings))
