"""A batch with a loss that is not a finite number ends the run and is kept, or is left out and changes nothing."""

import csv
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Callback, Trainer
from rich.console import Console
from torch import Tensor

import inpaintlab.training.non_finite
from inpaintlab.data import TrainingSet
from inpaintlab.data.order import Part, Positions
from inpaintlab.inpainting import Learner, Steps, load_checkpoint
from inpaintlab.inpainting.checkpoints import rebuild
from inpaintlab.survival import Checkpoints
from inpaintlab.training.non_finite import NonFiniteBatches
from stand_ins.building import Builder, fit, state_of, toy_data, trainer_of
from stand_ins.commands import PHASES, checkpoint, run_here, tiny

EACH_PHASE = [(model, phase) for model in PHASES for phase in PHASES[model]]


def lengths(name: str, **batches: int) -> list[str]:
    return [f"model.schedule.phases.{phase}.batches={batches.get(phase, 0)}" for phase in PHASES[name]]


def poison(patch: pytest.MonkeyPatch, batch: int, rank: int = 0, processes: int = 1) -> None:
    """The pixels of a batch of toy data are NaN."""
    order = Positions(6, Part(2, seed=1, total=batch + 1, start=batch, rank=rank, world_size=processes))
    bad, whole = next(iter(order)), TrainingSet.__getitem__

    def sample(self: TrainingSet, position: tuple[int, int]) -> dict[str, Any]:
        item = whole(self, position)
        return item | {"image": torch.full(item["image"].shape, torch.nan)} if position in bad else item

    patch.setattr(TrainingSet, "__getitem__", sample)


class States(Callback):
    """Every tensor of the model and its optimizers after each batch, by number of batches done; 0: before the first."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder
        self.after: list[dict[str, Tensor]] = []

    def on_train_batch_start(self, trainer: Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if not self.after:
            self.after.append(whole_state(trainer, pl_module))

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.after.append(whole_state(trainer, pl_module))

    def on_train_end(self, trainer: Trainer, pl_module: Any) -> None:
        if self.folder is not None:
            torch.save(self.after, self.folder / f"{trainer.global_rank}.pt")


def whole_state(trainer: Trainer, model: Learner) -> dict[str, Tensor]:
    memory = {
        f"optimizer {place} {number} {name}": value.clone()
        for place, optimizer in enumerate(trainer.optimizers)
        for number, kept in optimizer.state_dict()["state"].items()
        for name, value in kept.items()
    }
    return state_of(model) | memory


def equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


def finite(state: dict[str, Tensor]) -> bool:
    return all(bool(tensor.isfinite().all()) for tensor in state.values())


def broken(folder: Path, skip: int = 0, check_every: tuple[int, ...] = (100,)) -> NonFiniteBatches:
    return NonFiniteBatches(Console(), folder, check_every, skip)


# --- the run ends ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "phase"), EACH_PHASE)
def test_the_first_broken_batch_is_named_and_kept(
    built: Builder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, phase: str
) -> None:
    poison(monkeypatch, batch=1)
    with pytest.raises(ValueError, match=r"Batch 2 .* has losses that are not finite") as error:
        fit(built(name, *lengths(name, **{phase: 4})), broken(tmp_path))
    kept = load_checkpoint(tmp_path / "broken.ckpt")["broken"]
    assert (kept["iteration"], kept["phase"], kept["rank"]) == (1, phase, 0)
    assert bool(kept["batch"]["image"].isnan().all())
    assert kept["batch"]["image"].shape == (2, 3, 32, 32)
    told = [loss for loss, value in kept["losses"].items() if value != value]
    assert told
    assert all(loss in str(error.value) for loss in told)
    assert f"phase '{phase}'" in str(error.value)
    assert ", ".join(kept["batch"]["name"]) in str(error.value)
    assert not list(tmp_path.glob(".*"))


def test_losses_are_read_only_where_something_is_due(
    built: Builder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, checks = inpaintlab.training.non_finite._first, []
    monkeypatch.setattr(inpaintlab.training.non_finite, "_first", lambda flags: checks.append(0) or read(flags))
    fit(built("glcic", *lengths("glcic", completion=11)), broken(tmp_path, check_every=(4, 6, 0)))
    assert len(checks) == 4  # after 4, 6, 8 batches and at the end
    assert not (tmp_path / "broken.ckpt").exists()


def test_no_checkpoint_follows_a_broken_batch(built: Builder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    poison(monkeypatch, batch=3)
    model = built("glcic", *lengths("glcic", completion=8))
    with pytest.raises(ValueError, match=r"last\.ckpt still holds the last sound state"):
        fit(model, broken(tmp_path, check_every=(2,)), Checkpoints(tmp_path, 2, 2, "val/psnr_rgb", True))
    assert checkpoint(tmp_path)["inpaintlab"]["iterations"] == 2
    assert all(bool(v.isfinite().all()) for v in checkpoint(tmp_path)["state_dict"].values() if isinstance(v, Tensor))


def test_the_kept_file_rebuilds_the_model(tmp_path: Path) -> None:
    done = run_here("train", *tiny("glcic", 3), "model.learning_rate=1e30", "every.log=2", "name=a", cwd=tmp_path)
    assert done.returncode == 1
    assert "broken.ckpt this batch" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    model, record = rebuild(tmp_path / "runs/a/broken.ckpt")
    assert type(model).__name__ == "GLCIC"
    assert record["training"]["size"] == 32


# --- the batch is left out -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [0, 2])
@pytest.mark.parametrize(("name", "phase"), EACH_PHASE)
def test_a_batch_that_is_left_out_changes_nothing(
    built: Builder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, phase: str, bad: int
) -> None:
    poison(monkeypatch, batch=bad)
    model, states = built(name, *lengths(name, **{phase: 4})), States()
    fit(model, broken(tmp_path, skip=3), states)
    moved = [not equal(before, after) for before, after in pairwise(states.after)]
    assert moved == [batch != bad for batch in range(4)]
    assert finite(states.after[-1])
    assert model.schedule.iteration == 4
    kept = load_checkpoint(tmp_path / "broken.ckpt")
    assert kept["broken"]["iteration"] == bad
    assert all(torch.equal(states.after[bad][k], v) for k, v in kept["state_dict"].items() if isinstance(v, Tensor))


def test_without_broken_batches_leaving_out_changes_no_bit(built: Builder, tmp_path: Path) -> None:
    every = lengths("edgeconnect", edge=2, inpaint=2, joint=2)
    watched, plain = built("edgeconnect", *every), built("edgeconnect", *every)
    fit(watched, broken(tmp_path, skip=1))
    fit(plain)
    assert equal(state_of(watched), state_of(plain))


def test_the_batches_of_a_step_are_left_out_together(
    built: Builder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    poison(monkeypatch, batch=2)
    model = built("glcic", *lengths("glcic", joint=6), steps=Steps(accumulate=2))
    states, guard = States(), broken(tmp_path, skip=2)
    fit(model, guard, states)
    assert guard.skipped == 2
    assert equal(states.after[2], states.after[4])
    assert not equal(states.after[4], states.after[6])
    assert finite(states.after[-1])
    assert load_checkpoint(tmp_path / "broken.ckpt")["broken"]["iteration"] == 2


def test_a_step_that_breaks_the_weights_with_a_finite_loss_is_taken_back(
    built: Builder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, states = built("glcic", *lengths("glcic", completion=3)), States()
    learn = model.learn

    def breaking(batch: Any, phase: Any) -> dict[str, Tensor]:
        losses = learn(batch, phase)
        if model.schedule.iteration == 1:
            with torch.no_grad():
                model.completion.layers[3][0].weight[0, 0, 0, 0] = torch.inf
        return losses

    monkeypatch.setattr(model, "learn", breaking)
    fit(model, broken(tmp_path, skip=1), states)
    assert equal(states.after[1], states.after[2])
    assert finite(states.after[3])


def test_more_than_may_be_left_out_end_the_run(built: Builder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = TrainingSet.__getitem__
    monkeypatch.setattr(TrainingSet, "__getitem__", lambda s, p: (i := whole(s, p)) | {"image": i["image"] * torch.nan})
    model, states = built("glcic", *lengths("glcic", completion=8)), States()
    with pytest.raises(ValueError, match=r"Batch 3 .* skip_broken=2 are used up"):
        fit(model, broken(tmp_path, skip=2), states)
    assert equal(states.after[0], states.after[-1])


def test_a_run_tells_and_logs_what_it_left_out_and_goes_on_counting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = [*tiny("glcic"), "data.source.count=6", "average=0.9", "name=a", "every.panel=100"]
    with pytest.MonkeyPatch.context() as patch:
        poison(patch, batch=4)
        stopped = run_here("train", *settings, cwd=tmp_path)
        assert stopped.returncode == 1
        assert "Batch 5 (phase 'joint')" in stopped.stderr
        assert checkpoint(tmp_path / "runs/a")["inpaintlab"]["iterations"] == 4
        done = run_here("train", *settings, "skip_broken=5", cwd=tmp_path)  # goes on in the same folder
    assert done.returncode == 0, done.stderr
    assert "Left out: 1 of at most 5 batches" in done.stdout
    assert "1 batches were left out" in done.stdout
    with (tmp_path / "runs/a/log/version_1/metrics.csv").open(newline="") as file:
        assert [(row["step"], float(row["train/skipped"])) for row in csv.DictReader(file) if row["train/skipped"]] == [
            ("4", 1.0)
        ]
    saved = checkpoint(tmp_path / "runs/a")
    assert [state["skipped"] for key, state in saved["callbacks"].items() if key.startswith("NonFiniteBatches")] == [1]
    assert finite({key: value for key, value in saved["state_dict"].items() if isinstance(value, Tensor)})


@pytest.mark.parametrize("value", ["-1", "1.5", "true", "null"])
def test_a_number_that_is_none_is_refused(tmp_path: Path, value: str) -> None:
    done = run_here("train", *tiny("glcic"), f"skip_broken={value}", cwd=tmp_path)
    assert done.returncode == 1
    assert "skip_broken is" in done.stderr


# --- two processes ---------------------------------------------------------------------------------------------------


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The port of the processes, which Lightning leaves in the environment, is taken away again."""
    for name in ("MASTER_ADDR", "MASTER_PORT", "NODE_RANK", "LOCAL_RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    return


def fit_two(model: Learner, *callbacks: Callback) -> None:
    settings = ["trainer=cpu", "trainer.devices=2", "trainer.strategy=ddp_fork_find_unused_parameters_true"]
    trainer = trainer_of(*settings, callbacks=callbacks)
    trainer.fit(model, datamodule=toy_data(), weights_only=True)


@pytest.mark.usefixtures("quiet")
@pytest.mark.filterwarnings("ignore:Grad strides do not match bucket view strides")  # of a convolution of one channel
@pytest.mark.parametrize(("name", "phase"), EACH_PHASE)
def test_processes_leave_out_the_same_step(
    built: Builder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, phase: str
) -> None:
    poison(monkeypatch, batch=1, rank=1, processes=2)
    fit_two(built(name, *lengths(name, **{phase: 3})), broken(tmp_path, skip=1), States(tmp_path))
    ranks = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2)]
    for after in ranks:
        assert [not equal(one, other) for one, other in pairwise(after)] == [True, False, True]
        assert finite(after[-1])
    weights = [key for key in ranks[0][-1] if "running" not in key and "num_batches" not in key]
    assert all(torch.equal(ranks[0][-1][key], ranks[1][-1][key]) for key in weights)
    kept = load_checkpoint(tmp_path / "broken.ckpt")["broken"]
    assert (kept["rank"], kept["iteration"]) == (1, 1)
    assert bool(kept["batch"]["image"].isnan().all())


@pytest.mark.usefixtures("quiet")
def test_processes_stop_together_at_one_batch(built: Builder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    poison(monkeypatch, batch=1, rank=1, processes=2)
    with pytest.raises(Exception, match=r"Batch 2|terminated with exit code 1"):
        fit_two(built("glcic", *lengths("glcic", joint=3)), broken(tmp_path))
    kept = load_checkpoint(tmp_path / "broken.ckpt")["broken"]
    assert (kept["rank"], kept["iteration"]) == (1, 1)
