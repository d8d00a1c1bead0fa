"""A line of the log holds losses, rates and speed of the same batch; what is no training is left out of the speed."""

from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Callback, Trainer
from rich.console import Console

from inpaintlab.data import Toy
from inpaintlab.runs import Progress
from inpaintlab.tracking import Tracker
from inpaintlab.tracking.tracker import Metrics
from inpaintlab.training.logbook import Logbook, OtherCallbacksDone, StepTimer, checkpoint_facts, gpu_memory
from stand_ins.building import Builder, fit, toy_data


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Kept(Tracker):
    """A tracker that keeps what it is told."""

    def __init__(self) -> None:
        super().__init__(Path("a"), Console())
        self.started: list[int] = []
        self.lines: list[tuple[int, dict[str, float]]] = []
        self.finished: list[bool] = []

    def _start(self, iteration: int) -> None:
        self.started.append(iteration)

    def _log(self, metrics: Metrics, step: int) -> None:
        self.lines.append((step, dict(metrics)))

    def _finish(self, succeeded: bool) -> None:
        self.finished.append(succeeded)


class Joined(Callback):
    """Gives a trainer a tracker and a pace: batches between two lines."""

    def __init__(self, tracker: Tracker, every: int) -> None:
        self.tracker = tracker
        self.every = every

    def setup(self, trainer: Trainer, pl_module: Any, stage: str) -> None:
        trainer.loggers = [self.tracker]
        trainer.log_every_n_steps = self.every  # type: ignore[attr-defined]


class Slow(Callback):
    """Takes 100 seconds after each batch, as panels and savings do."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    def on_train_batch_end(self, *_: Any) -> None:
        self.clock.now += 100


LENGTHS = [f"model.schedule.phases.{phase}.batches=2" for phase in ("completion", "discriminator", "joint")]


def logged(
    built: Builder, monkeypatch: pytest.MonkeyPatch, folder: Path, every: int, paces: dict[str, float] | None = None
) -> list[dict[str, float]]:
    """The lines of six batches of GLCIC; a picture takes half a second to read, a step two seconds.

    ``paces`` gets those that a journal would be given.
    """
    clock, tracker, model = Clock(), Kept(), built("glcic", *LENGTHS)
    read, learn = Toy.read, model.learn

    def slowly(*given: Any) -> Any:
        clock.now += 0.5
        return read(*given)

    def heavily(*given: Any) -> Any:
        clock.now += 2
        return learn(*given)

    monkeypatch.setattr(Toy, "read", slowly)
    monkeypatch.setattr(model, "learn", heavily)
    logbook = Logbook(folder, {})
    logbook.timer = StepTimer(clock)
    Progress(6, 6, "val/a", True, [], 0.0).save(folder)
    fit(model, Joined(tracker, every), logbook, Slow(clock), OtherCallbacksDone(logbook), data=toy_data())
    assert tracker.started == [0]
    assert tracker.finished == [True]
    assert [step for step, _ in tracker.lines] == list(range(every - 1, 6, every))
    if paces is not None:
        paces |= logbook.paces
    return [line for _, line in tracker.lines]


def test_the_speed_is_that_of_steps_and_waiting_alone(
    built: Builder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    lines = logged(built, monkeypatch, tmp_path, every=1)
    # two images in 2 s; then in 2 s and 1 s of waiting; the 100 s of other things are left out
    assert [line["speed/images_per_second"] for line in lines] == pytest.approx([1.0, *[2 / 3] * 5])
    assert [line["speed/waiting_for_data"] for line in lines] == pytest.approx([0.0, *[1 / 3] * 5])


def test_the_pace_of_a_phase_leaves_out_what_was_spent_waiting(
    built: Builder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    paces: dict[str, float] = {}
    logged(built, monkeypatch, tmp_path, every=2, paces=paces)
    assert paces == pytest.approx({"completion": 1.0, "discriminator": 1.0, "joint": 1.0})  # two images in 2 s


def test_a_line_speaks_of_all_batches_since_the_last_one(
    built: Builder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    lines = logged(built, monkeypatch, tmp_path, every=3)
    assert [line["speed/images_per_second"] for line in lines] == pytest.approx([6 / (6 + 2), 6 / (6 + 3)])
    assert [line["speed/waiting_for_data"] for line in lines] == pytest.approx([2 / 8, 3 / 9])


def test_the_rate_is_that_of_the_networks_that_took_a_step(
    built: Builder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    lines = logged(built, monkeypatch, tmp_path, every=1)
    rates = [{name: value for name, value in line.items() if name.startswith("rate/")} for line in lines]
    assert rates[::2] == [
        {"rate/completion": 1.0},
        {"rate/discriminator": 1.0},
        {"rate/completion": 1.0, "rate/discriminator": 1.0},
    ]


def test_the_rate_is_scaled_as_the_optimizer_is(built: Builder, tmp_path: Path) -> None:
    lengths = {"edge": 1, "inpaint": 0, "edge_inpaint": 0, "joint": 0}
    model = built("edgeconnect", *(f"model.schedule.phases.{phase}.batches={n}" for phase, n in lengths.items()))
    tracker = Kept()
    Progress(1, 1, "val/a", True, [], 0.0).save(tmp_path)  # as the journal does
    logbook = Logbook(tmp_path, {"val/a": True}, panels_every=2)
    fit(model, Joined(tracker, 1), logbook, OtherCallbacksDone(logbook))
    ((_, line),) = tracker.lines
    assert tracker.directions == {"val/a": True}
    assert tracker.pictures_to_come == 1
    rate = model.learning_rate
    assert line["rate/edge_generator"] == pytest.approx(rate)
    assert line["rate/edge_discriminator"] == pytest.approx(0.1 * rate)
    assert "rate/inpaint_generator" not in line


def test_the_memory_of_a_gpu_is_told_in_gib(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: 3 * 2**30)
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 2**29)
    assert gpu_memory(torch.device("cuda", 0)) == {"memory/allocated_peak_gib": 3.0, "memory/reserved_gib": 0.5}
    assert gpu_memory(torch.device("cpu")) == {}


def test_a_checkpoint_goes_with_its_batch_and_score(tmp_path: Path) -> None:
    Progress(9, 9, "val/mae", False, [(3, 0.5), (6, 0.25), (9, 0.5)], 1.0).save(tmp_path)
    facts = checkpoint_facts(tmp_path)
    assert (facts["last"]["iterations"], facts["last"]["score"]) == (9, 0.5)
    assert (facts["best"]["iterations"], facts["best"]["score"]) == (6, 0.25)
    assert all(entry["monitor"] == "val/mae" and entry["run"] == tmp_path.name for entry in facts.values())


def test_a_run_without_a_score_has_a_last_checkpoint_all_the_same(tmp_path: Path) -> None:
    Progress(9, 9, "val/mae", False, [(9, None)], 1.0).save(tmp_path)
    facts = checkpoint_facts(tmp_path)
    assert facts["last"]["score"] is None
