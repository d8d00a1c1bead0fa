"""Loggers of Lightning's beside our trackers: the same lines, the settings, the right end, and no harm if they fail."""

import csv
import io
from pathlib import Path
from typing import Any

import pytest
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.loggers.logger import Logger
from rich.console import Console

from inpaintlab.tracking import CsvTracker, LightningTracker, TensorboardTracker, chosen_trackers, require_trackers
from stand_ins.commands import run_here, tiny


class Noting(Logger):
    """A logger that notes what it is told, and fails where it is asked to."""

    def __init__(self, fails_at: str = "") -> None:
        super().__init__()
        self.fails_at = fails_at
        self.calls: list[Any] = []

    def note(self, what: str, *more: Any) -> None:
        self.calls.append((what, *more))
        if what == self.fails_at:
            raise LookupError("the service is\ngone")

    @property
    def name(self) -> str:
        return "noting"

    @property
    def version(self) -> str:
        return "1"

    def log_hyperparams(self, params: Any, *_: Any, **__: Any) -> None:  # type: ignore[override]
        self.note("settings", params)

    def log_metrics(self, metrics: Any, step: int | None = None) -> None:
        self.note("line", metrics, step)

    def save(self) -> None:
        self.note("save")

    def finalize(self, status: str) -> None:
        self.note("end", status)


class NoLogger:
    """What has nothing to do with logging."""


def not_a_class() -> NoLogger:
    return NoLogger()


def quiet() -> Console:
    return Console(file=io.StringIO(), width=400)


def used(logger: Noting, *, paused: bool = False, status: str = "success") -> list[str]:
    """A start, two lines and the end; what was printed meanwhile."""
    tracker = LightningTracker(Path("runs/a"), quiet(), logger, {"seed": 1})
    tracker.start()
    for step in range(2):
        tracker.log_metrics({"train/loss": 0.5}, step)
    tracker.save()
    if paused:
        tracker.pause()
    tracker.finalize(status)
    assert isinstance(tracker.console.file, io.StringIO)
    return tracker.console.file.getvalue().splitlines()


LINES = [("settings", {"seed": 1}), ("line", {"train/loss": 0.5}, 0), ("line", {"train/loss": 0.5}, 1), ("save",)]


@pytest.mark.parametrize(
    ("paused", "status", "ended"),
    [
        (False, "success", "success"),
        (False, "failed", "failed"),
        (True, "success", "failed"),
        (True, "failed", "failed"),
    ],
)
def test_a_logger_of_lightning_gets_what_our_trackers_get(paused: bool, status: str, ended: str) -> None:
    logger = Noting()
    assert used(logger, paused=paused, status=status) == []
    assert logger.calls == [*LINES, ("end", ended)]


def test_a_logger_that_fails_is_told_once_and_left_out() -> None:
    logger = Noting("line")
    assert used(logger) == [
        "Noting: it failed (the service is gone) and gets nothing more of this run, which goes on without it."
    ]
    assert logger.calls == LINES[:2]


def test_a_logger_that_takes_no_settings_gets_the_curves_all_the_same() -> None:
    logger = Noting("settings")
    assert used(logger) == ["Noting: it takes no settings (the service is gone)."]
    assert logger.calls == [*LINES, ("end", "success")]


def recipe(target: Any, **settings: Any) -> dict[str, Any]:
    name = target if isinstance(target, str) else f"{target.__module__}.{target.__qualname__}"
    return {"_target_": name, **settings}


def test_ours_and_lightnings_stand_beside_each_other_after_the_csv(tmp_path: Path) -> None:
    chosen = {
        "mine": recipe(CSVLogger, save_dir=str(tmp_path / "x")),
        "tensorboard": recipe("inpaintlab.tracking.TensorboardTracker", _partial_=True),
        "waiting": recipe(Noting, _partial_=True),
    }
    require_trackers(chosen)
    assert list(tmp_path.iterdir()) == []
    found = chosen_trackers(chosen, tmp_path, quiet(), {"seed": 1}, "notes")
    assert [type(tracker) for tracker in found] == [CsvTracker, LightningTracker, TensorboardTracker, LightningTracker]
    assert isinstance(found[1], LightningTracker)
    assert isinstance(found[1].logger, CSVLogger)
    assert [tracker.save_dir for tracker in found] == [str(tmp_path)] * 4
    assert [type(tracker) for tracker in chosen_trackers(None, tmp_path, quiet(), {}, None)] == [CsvTracker]


@pytest.mark.parametrize(
    ("logger", "sentence"),
    [
        (recipe(NoLogger), "logger.mine is .*NoLogger, which is neither a tracker of inpaintlab nor a logger of Light"),
        (recipe("torch.nn.ReLU"), "logger.mine is .*ReLU, which is neither"),
        (recipe("lightning.pytorch.callbacks.Timer"), "logger.mine is .*Timer, which is neither"),
        ("lightning.pytorch.loggers.CSVLogger", "logger.mine names no class"),
        ({"save_dir": "x"}, "logger.mine names no class"),
        (recipe(CSVLogger), "logger.mine: .*CSVLogger missing a required argument: 'save_dir'"),
        (recipe(CSVLogger, save_dir="x", folder="y"), "logger.mine: .* got an unexpected keyword argument 'folder'"),
        (recipe("inpaintlab.tracking.TensorboardTracker", _partial_=True, a=1), "unexpected keyword argument 'a'"),
        (recipe("pytorch_lightning.loggers.CSVLogger", save_dir="x"), "name the class lightning.pytorch.loggers.CSVL"),
        (recipe("lightning.pytorch.loggers.WandbLogger", log_model="all"), "logger.wandb.artifacts=true uploads"),
    ],
)
def test_what_is_no_logger_or_lacks_a_setting_is_refused_in_a_sentence(logger: Any, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        require_trackers({"mine": logger})


def test_what_a_function_makes_and_what_cannot_be_made_is_refused_too(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"logger.mine is .*NoLogger, which is neither"):
        chosen_trackers({"mine": recipe(not_a_class)}, tmp_path, quiet(), {}, None)
    with pytest.raises(
        ValueError, match=r"logger.mine: lightning.pytorch.loggers.mlflow.MLFlowLogger cannot be made \("
    ):
        chosen_trackers({"mine": recipe("lightning.pytorch.loggers.MLFlowLogger")}, tmp_path, quiet(), {}, None)


def test_a_training_tells_lightnings_csv_what_it_tells_ours(tmp_path: Path) -> None:
    """Also what a callback logs by itself, through the trainer's loggers or through `self.log`."""
    told = ["logger=csv", f"+logger.mine._target_={CSVLogger.__module__}.CSVLogger", "+logger.mine.save_dir=x"]
    told += ["+callbacks.rates._target_=lightning.pytorch.callbacks.LearningRateMonitor"]
    told += ["+callbacks.count._target_=stand_ins.callbacks.Counting"]
    done = run_here("train", *tiny("glcic", 1), *told, "every.validation=1", "name=a", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    ours, theirs = (
        list(csv.DictReader((tmp_path / file).read_text().splitlines()))
        for file in ("runs/a/log/version_0/metrics.csv", "x/lightning_logs/version_0/metrics.csv")
    )
    assert ours == theirs
    points = {name: [int(row["step"]) for row in ours if row[name]] for name in ours[0]}
    assert points["val/mae"] == points["speed/images_per_second"] == points["counted"] == [0, 1, 2]
    assert {"lr-Adadelta", "lr-Adadelta-1"} <= points.keys()
    assert "seed: 1" in (tmp_path / "x/lightning_logs/version_0/hparams.yaml").read_text()


def test_what_is_no_logger_is_refused_before_a_folder_is_made(tmp_path: Path) -> None:
    told = ("logger=csv", "+logger.mine._target_=torch.nn.ReLU", "name=a")
    done = run_here("train", *tiny("glcic", 1), *told, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith(
        "inpaintlab train: logger.mine is torch.nn.modules.activation.ReLU, which is neither "
    )
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "runs").exists()
