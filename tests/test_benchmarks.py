"""The benchmark compares equal work, counts right, and writes what it measured; how fast anything is, is not tested."""

from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Callback, Trainer
from torch import Tensor, nn
from torch.optim import Optimizer

from benchmarks import photographs, settings, sides
from benchmarks.sides import Batch, Case
from inpaintlab.inpainter import Inpainter

SIZE, COUNT, WIDTH = 32, 2, 0.0625
STEPS = [Case(model, phase, SIZE, COUNT) for model, phases in sides.PHASES.items() for phase in phases]

Gradients = list[list[Tensor]]


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The benchmark's photographs, small."""
    return photographs.write(tmp_path_factory.mktemp("photographs") / "root", side=40)


@pytest.fixture(scope="session")
def batch(pictures: Path) -> Batch:
    return photographs.batch(pictures, SIZE, COUNT)


# ---------------------------------------------------------------------------------------------------- equal work


class Seen(Callback):
    """Losses of a training's batches, and the gradients with which each of its optimizers steps."""

    def __init__(self) -> None:
        self.losses: list[dict[str, float]] = []
        self.gradients: Gradients = []

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        for optimizer in trainer.optimizers:
            watch(optimizer, self.gradients)

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.losses.append({name: float(loss) for name, loss in outputs.items()})


def watch(optimizer: Optimizer, gradients: Gradients) -> None:
    """Keep the gradients of each step of an optimizer."""

    def keep(stepping: Optimizer, *_: Any) -> None:
        parameters = (p for group in stepping.param_groups for p in group["params"] if p.grad is not None)
        gradients.append([p.grad.detach().clone() for p in parameters])

    optimizer.register_step_pre_hook(keep)


def both(case: Case, batch: Batch, rates: dict[str, float], settled: bool) -> tuple[Seen, Seen]:
    """What our step and the plain one do from the same weights on the same batch, in float64.

    ``settled``: spectral norm's power iterations have converged before, so that one more changes nothing.
    """
    chosen = settings.read(["device=cpu", f"width={WIDTH}"])
    more = [f"model.{name}={value}" for name, value in rates.items()]
    ours, build_trainer = sides.build_ours(case, chosen, "float32", 1, "trainer.precision=64-true", *more)
    ours.double().setup("fit")
    for vgg in getattr(ours, "vgg", ()):
        vgg.double()
    if settled:
        settle(ours)
    plain = sides.build_plain(case, WIDTH, **rates).double()
    sides.copy_weights(ours, plain)
    plain.prepare()
    theirs, seen = Seen(), Seen()
    for optimizer in plain.optimizers.values():
        watch(optimizer, theirs.gradients)
    doubled = {name: value.double() if isinstance(value, Tensor) else value for name, value in batch.items()}
    theirs.losses.append(plain.step(case.phase, doubled))
    sides.fit(ours, build_trainer, doubled, SIZE, seen)
    return seen, theirs


@torch.no_grad()
def settle(model: Inpainter) -> None:
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d) and hasattr(layer, "parametrizations"):
            for _ in range(500):
                _ = layer.weight  # each look is a power iteration


def distance(one: list[Tensor], other: list[Tensor]) -> float:
    """The norm of the difference in units of the norm."""
    first, second = (torch.cat([gradient.flatten() for gradient in gradients]) for gradients in (one, other))
    return float((first - second).norm() / first.norm())


@pytest.mark.parametrize("case", STEPS, ids=lambda case: case.name)
def test_a_plain_step_has_our_losses_and_gradients(case: Case, batch: Batch) -> None:
    rates = {"discriminator_ratio": 0.0} if case.model == "edgeconnect" else {}
    ours, plain = both(case, batch, rates, settled=True)
    assert ours.losses[0] == pytest.approx(plain.losses[0], rel=1e-6)
    assert len(ours.gradients) == len(plain.gradients) > 0
    for one, other in zip(ours.gradients, plain.gradients, strict=True):
        assert [gradient.shape for gradient in one] == [gradient.shape for gradient in other]
        assert distance(one, other) < 1e-5


@pytest.mark.parametrize("case", [case for case in STEPS if case.model == "edgeconnect"], ids=lambda case: case.name)
def test_a_third_power_iteration_and_older_features_move_the_plain_step_little(case: Case, batch: Batch) -> None:
    ours, plain = both(case, batch, {}, settled=False)
    assert ours.losses[0] == pytest.approx(plain.losses[0], rel=2e-2)
    assert ours.losses[0] != plain.losses[0]


def test_the_plain_networks_have_the_papers_numbers_of_weights() -> None:
    plain = sides.build_plain(Case("edgeconnect", "joint", 256, 1), 1.0)
    counts = {name: sum(p.numel() for p in network.parameters()) for name, network in plain.networks()}
    assert counts == {
        "edge_generator": 10_761_089,
        "edge_discriminator": 2_762_752,
        "inpaint_generator": 10_774_595,
        "inpaint_discriminator": 2_763_776,
    }
    glcic = sides.build_plain(Case("glcic", "joint", 256, 1), 1.0)
    assert [sum(p.numel() for p in network.parameters()) for _, network in glcic.networks()] == [6_072_131, 45_063_681]
