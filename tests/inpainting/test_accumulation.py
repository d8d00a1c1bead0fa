"""Several batches, or several processes, make one step: what is equal to one large batch, and what is not."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Callback, Trainer
from torch import Tensor

from inpaintlab.inpainting import Inpainter, Steps
from inpaintlab.masks import Rectangle
from inpaintlab.survival import Checkpoints
from stand_ins.building import Builder, Watch, fit, state_of, toy_data, trainer_of
from stand_ins.commands import checkpoint, run_here, same_weights, tiny
from stand_ins.models import PHASES, only

NETWORKS = {
    "glcic": ["completion", "discriminator"],
    "edgeconnect": ["edge_generator", "edge_discriminator", "inpaint_generator", "inpaint_discriminator"],
    "partial_convolution": ["network"],
    "contextual_attention": ["generator", "critics"],
    "context_encoder_random": ["generator", "discriminator"],
}
# Errors are divided by a batch's share of hole, so batches of equal holes are what a large batch can be equal to.
EQUAL_HOLES = Rectangle(height=(0.5, 0.5), width=(0.5, 0.5))
UNEQUAL_HOLES = Rectangle(height=(0.1, 0.7), width=(0.1, 0.7))

Gradients = dict[str, Tensor]


class Gathered(Callback):
    """The gradients of each optimizer step by parameter, and what stands in the parameters at the end of each batch.

    Args:
        folder: where each process leaves them; None keeps them here alone.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder
        self.steps: list[Gradients] = []
        self.left: list[Gradients] = []

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: Any, optimizer: Any) -> None:
        mine = {id(p) for group in optimizer.param_groups for p in group["params"]}
        self.steps.append(
            {n: p.grad.clone() for n, p in pl_module.named_parameters() if id(p) in mine and p.grad is not None}
        )

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.left.append({n: p.grad.clone() for n, p in pl_module.named_parameters() if p.grad is not None})

    def on_train_end(self, trainer: Trainer, pl_module: Any) -> None:
        if self.folder is not None:
            kept = {"steps": self.steps, "left": self.left, "weights": state_of(pl_module)}
            torch.save(kept, self.folder / f"{trainer.global_rank}.pt")


def lengths(name: str, **batches: int) -> list[str]:
    return [f"model.schedule.phases.{phase}.batches={batches.get(phase, 0)}" for phase in PHASES[name]]


def steps_of(
    model: Inpainter, batch_size: int, precision: str = "32-true", mask: Rectangle = EQUAL_HOLES
) -> list[Gradients]:
    """The gradients with which the optimizers step when ``model`` is trained to its end."""
    seen = Gathered()
    trainer = trainer_of("trainer=cpu", f"trainer.precision={precision}", callbacks=[seen])
    trainer.fit(model, datamodule=toy_data(batch_size=batch_size, mask=mask), weights_only=True)
    return seen.steps


def distance(one: Gradients, other: Gradients) -> float:
    """The norm of the difference in units of the norm."""
    assert one.keys() == other.keys()
    flat = [torch.cat([gradients[name].flatten() for name in one]) for gradients in (one, other)]
    return float((flat[0] - flat[1]).norm() / flat[0].norm())


# ----------------------------------------------------------------------------------------------------------- one step


@pytest.mark.parametrize("name", only("glcic", of=NETWORKS))
def test_weights_move_in_the_last_batch_of_each_group_alone(built: Builder, name: str) -> None:
    batches = lengths(name, **dict.fromkeys(PHASES[name], 3))
    model, watch = built(name, *batches, steps=Steps(accumulate=3)), Watch(NETWORKS[name])
    parameters = {part: {key for key, _ in getattr(model, part).named_parameters()} for part in NETWORKS[name]}
    fit(model, watch)
    moved = [any(batch.changed[part] & parameters[part] for part in parameters) for batch in watch.batches]
    assert moved == [False, False, True] * len(PHASES[name])
    assert [bool(batch.gradients_left) for batch in watch.batches] == [True, True, False] * len(PHASES[name])


@pytest.mark.parametrize("name", only("glcic", of=NETWORKS))
def test_a_network_that_rests_in_a_phase_gathers_no_gradient(built: Builder, name: str) -> None:
    batches = lengths(name, **dict.fromkeys(PHASES[name], 2))
    model, watch = built(name, *batches, steps=Steps(accumulate=2)), Watch(NETWORKS[name])
    fit(model, watch)
    for first, second in zip(watch.batches[::2], watch.batches[1::2], strict=True):
        stepped = {part for step in watch.steps if step.phase == first.phase for part in step.stepped}
        assert first.gradients_left == stepped
        assert not second.gradients_left


@pytest.mark.parametrize("phase", only("inpaint", of=PHASES["edgeconnect"]))
def test_batches_add_up_to_the_gradient_of_one_large_batch(built: Builder, phase: str) -> None:
    # Without spectral norm, whose power iteration goes on in each batch, and with a discriminator that does not move,
    # because the generator's loss passes the updated one in the last batch of a group alone.
    settings = ["model.spectral_norm=[]", "model.discriminator_ratio=1e-12"]
    large = steps_of(built("edgeconnect", *settings, *lengths("edgeconnect", **{phase: 1})), 6)
    small = steps_of(
        built("edgeconnect", *settings, *lengths("edgeconnect", **{phase: 3}), steps=Steps(accumulate=3)), 2
    )
    assert len(large) == len(small) == (4 if phase == "joint" else 2)
    for one, other in zip(large, small, strict=True):
        assert distance(one, other) < 1e-5


def test_the_discriminator_of_a_moving_pair_is_equal_too_and_its_generator_almost(built: Builder) -> None:
    settings = ["model.spectral_norm=[]", "model.discriminator_ratio=1.0"]
    large = steps_of(built("edgeconnect", *settings, *lengths("edgeconnect", inpaint=1)), 6)
    small = steps_of(built("edgeconnect", *settings, *lengths("edgeconnect", inpaint=3), steps=Steps(accumulate=3)), 2)
    assert distance(large[0], small[0]) < 1e-5
    assert 1e-6 < distance(large[1], small[1]) < 1e-2


def test_batch_norm_sees_each_batch_alone(built: Builder) -> None:
    large = steps_of(built("glcic", *lengths("glcic", completion=1)), 6)
    small = steps_of(built("glcic", *lengths("glcic", completion=3), steps=Steps(accumulate=3)), 2)
    assert distance(large[0], small[0]) > 1e-2


PCONV = "partial_convolution"
STANDING = ["model.learning_rate=1e-12", "model.schedule.phases.finetune.learning_rate=1e-12"]


@pytest.mark.parametrize("phase", only("finetune", of=PHASES[PCONV]))
def test_partial_convolutions_step_by_the_mean_of_what_each_batch_says_alone(built: Builder, phase: str) -> None:
    """Batch norm sees each batch alone; a network that stands still shows what a single one says."""
    alone = steps_of(built(PCONV, *STANDING, *lengths(PCONV, **{phase: 3})), 2, "64-true", UNEQUAL_HOLES)
    (mean,) = steps_of(
        built(PCONV, *STANDING, *lengths(PCONV, **{phase: 3}), steps=Steps(accumulate=3)), 2, "64-true", UNEQUAL_HOLES
    )
    assert distance({name: sum(step[name] for step in alone) / 3 for name in mean}, mean) < 1e-6
    assert distance(alone[0], mean) > 1e-2


@pytest.mark.filterwarnings("ignore:Found .* in eval mode")
def test_with_frozen_batch_norm_partial_convolutions_step_like_one_large_batch_of_any_holes(built: Builder) -> None:
    """Its errors are averages over all elements, so batches need no equal share of hole."""
    steps = []
    for batch_size, accumulate in ((6, 1), (2, 3)):
        model = built(PCONV, *lengths(PCONV, finetune=accumulate), steps=Steps(accumulate=accumulate))
        model.network.decoder.eval()  # the phase freezes the encoder's; Lightning leaves modes as they are
        steps += steps_of(model, batch_size, "64-true", UNEQUAL_HOLES)
    large, small = steps
    assert distance(large, small) < 1e-6


# ---------------------------------------------------------------------------------------------------------- processes


def parallel(folder: Path, model: Inpainter, batch_size: int) -> list[dict[str, Any]]:
    """What two processes see when they train ``model`` together."""
    settings = ["trainer=cpu", "trainer.devices=2", "trainer.strategy=ddp_fork_find_unused_parameters_true"]
    trainer = trainer_of(*settings, callbacks=[Gathered(folder)])
    trainer.fit(model, datamodule=toy_data(batch_size=batch_size, mask=EQUAL_HOLES), weights_only=True)
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(2)]


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The port of the processes, which Lightning leaves in the environment, is taken away again."""
    for name in ("MASTER_ADDR", "MASTER_PORT", "NODE_RANK", "LOCAL_RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    return


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("phase", only("inpaint", of=PHASES["edgeconnect"]))
def test_two_processes_step_like_one_with_the_whole_batch(tmp_path: Path, built: Builder, phase: str) -> None:
    settings = lengths("edgeconnect", **{phase: 1})
    alone = steps_of(built("edgeconnect", *settings), 4)
    ranks = parallel(tmp_path, built("edgeconnect", *settings), 2)
    for rank in ranks:
        assert len(rank["steps"]) == len(alone)
        for one, other in zip(alone, rank["steps"], strict=True):
            assert distance(one, other) < 1e-5
    assert all(torch.equal(ranks[0]["weights"][key], value) for key, value in ranks[1]["weights"].items())


@pytest.mark.usefixtures("quiet")
def test_two_processes_exchange_gradients_in_the_last_batch_of_a_group(tmp_path: Path, built: Builder) -> None:
    settings = lengths("edgeconnect", joint=4)
    alone = steps_of(built("edgeconnect", *settings, steps=Steps(accumulate=2)), 4)
    ranks = parallel(tmp_path, built("edgeconnect", *settings, steps=Steps(accumulate=2)), 2)
    for rank in ranks:
        assert len(rank["steps"]) == len(alone) == 8
        for one, other in zip(alone[:4], rank["steps"][:4], strict=True):
            assert distance(one, other) < 1e-5
    assert [len(left) > 0 for left in ranks[0]["left"]] == [True, False, True, False]
    assert distance(ranks[0]["left"][0], ranks[1]["left"][0]) > 1e-3
    assert all(torch.equal(ranks[0]["weights"][key], value) for key, value in ranks[1]["weights"].items())


# ------------------------------------------------------------------------------------------------------------- resume


@pytest.mark.filterwarnings("ignore:.*your dataloader is not resumable.*")
@pytest.mark.parametrize("name", only("glcic", of=NETWORKS))
def test_a_run_that_stopped_between_two_groups_continues_as_the_unbroken_one(
    built: Builder, tmp_path: Path, name: str
) -> None:
    class Kept(Checkpoints):
        def on_train_batch_end(self, *hook: Any, **named: Any) -> None:
            super().on_train_batch_end(*hook, **named)
            last = self.folder / "last.ckpt"
            if last.is_file() and not (self.folder / "kept.ckpt").is_file():
                last.rename(self.folder / "kept.ckpt")

    count = 2 if len(PHASES[name]) > 1 else 4
    batches = lengths(name, **dict.fromkeys(PHASES[name], count))
    unbroken, resumed = (built(name, *batches, steps=Steps(accumulate=2)) for _ in range(2))
    saving = Kept(tmp_path, 2, 100, "val/psnr_rgb", True)
    fit(unbroken, saving)
    fit(resumed, saving, ckpt_path=tmp_path / "kept.ckpt")
    assert resumed.schedule.iteration == count * len(PHASES[name])
    now, before = state_of(resumed), state_of(unbroken)
    assert all(torch.equal(now[key], value) for key, value in before.items())


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        (["accumulate=2", "every.checkpoint=3"], "every.checkpoint is 3"),
        (["accumulate=2", "every.checkpoint=2", "every.validation=3"], "every.validation is 3"),
        (["accumulate=4", "every.checkpoint=4", "every.validation=4"], "'completion' has 2 batches"),
        (["accumulate=0"], "accumulate is 0"),
        (["accumulate=1.5"], "accumulate is 1.5"),
    ],
)
def test_lengths_that_would_cut_a_group_are_refused(tmp_path: Path, changes: list[str], named: str) -> None:
    done = run_here("train", *tiny("glcic"), *changes, cwd=tmp_path)
    assert done.returncode == 1
    assert named in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "runs").exists()


def test_the_command_accumulates(tmp_path: Path) -> None:
    settings = [*tiny("edgeconnect"), "every.checkpoint=2"]
    for accumulate in (1, 2):
        done = run_here("train", *settings, f"accumulate={accumulate}", f"name=of{accumulate}", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    one, two = (checkpoint(tmp_path / f"runs/of{accumulate}") for accumulate in (1, 2))
    assert not same_weights(one, two)
    assert one["global_step"] == 2 * two["global_step"]
    assert one["inpaintlab"]["iterations"] == two["inpaintlab"]["iterations"]


# ---------------------------------------------------------------------------------------------------------- precision


@pytest.mark.parametrize("phase", only("inpaint", of=PHASES["edgeconnect"]))
def test_gradients_of_edgeconnect_keep_their_direction_in_bfloat16(built: Builder, phase: str) -> None:
    """At a sixteenth of the width, where they suffer most; the wider, the less."""
    settings = lengths("edgeconnect", **{phase: 1})
    exact = steps_of(built("edgeconnect", *settings), 2)
    rounded = steps_of(built("edgeconnect", *settings), 2, precision="bf16-mixed")
    for one, other in zip(exact, rounded, strict=True):
        flat = [torch.cat([gradients[name].flatten().double() for name in one]) for gradients in (one, other)]
        assert 0.95 < float(torch.cosine_similarity(*flat, dim=0)) < 0.99999


@pytest.mark.parametrize("phase", only("joint", of=PHASES["glcic"]))
def test_gradients_of_glcic_keep_their_direction_in_bfloat16(built: Builder, phase: str) -> None:
    """C's second gradient goes through a D that has all but stood still.

    D's first step of ADADELTA has the same size in every parameter, so the signs of its least gradients would decide.
    """
    settings = [*lengths("glcic", **{phase: 1}), "model.learning_rate=1e-9"]
    exact = steps_of(built("glcic", *settings), 2)
    rounded = steps_of(built("glcic", *settings), 2, precision="bf16-mixed")
    assert len(exact) == len(rounded) == (2 if phase == "joint" else 1)
    for one, other in zip(exact, rounded, strict=True):
        flat = [torch.cat([gradients[name].flatten().double() for name in one]) for gradients in (one, other)]
        assert 0.999 < float(torch.cosine_similarity(*flat, dim=0)) < 0.999999


@pytest.mark.parametrize("model", only("glcic", of=PHASES))
def test_a_run_in_bfloat16_has_finite_losses_and_float32_weights(tmp_path: Path, model: str) -> None:
    done = run_here("train", *tiny(model), "trainer.precision=bf16-mixed", "name=a", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    saved = checkpoint(tmp_path / "runs/a")["state_dict"].values()
    assert {value.dtype for value in saved if isinstance(value, Tensor) and value.is_floating_point()} == {
        torch.float32
    }
    assert "nan" not in (tmp_path / "runs/a/log/version_0/metrics.csv").read_text()


@pytest.mark.parametrize(
    ("model", "precision", "named"),
    [
        ("glcic", "bf16-true", "it can be '32-true' or '64-true' or 'bf16-mixed' or '16-mixed'"),
        ("edgeconnect", "bf16-true", "it can be '32-true' or '64-true' or 'bf16-mixed' or '16-mixed'"),
    ],
)
def test_a_precision_that_does_not_fit_is_refused(tmp_path: Path, model: str, precision: str, named: str) -> None:
    done = run_here("train", *tiny(model), f"trainer.precision={precision}", cwd=tmp_path)
    assert done.returncode == 1
    assert named in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "runs").exists()
