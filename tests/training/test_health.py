"""Gradients are clipped and logged as they are; a discriminator that wins or loses for long is told of, once."""

import csv
import io
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Callback, Trainer
from rich.console import Console
from torch import Tensor

from inpaintlab.inpainting import Learner, Steps
from inpaintlab.tracking import Tracker
from inpaintlab.tracking.tracker import Metrics
from inpaintlab.training.health import Health
from stand_ins.building import Builder, compose_train, fit, state_of
from stand_ins.commands import run_here, tiny
from stand_ins.models import PHASES, only

MODELS = sorted(PHASES)
LAST = {name: phases[-1] for name, phases in PHASES.items()}
"""Of each model the phase in which most learns."""


def short(name: str, **batches: int) -> list[str]:
    return [f"model.schedule.phases.{phase}.batches={batches.get(phase, 0)}" for phase in PHASES[name]]


class Norms(Callback):
    """The norm of each step's gradient by network, before it is clipped and after."""

    def __init__(self) -> None:
        self.before: list[tuple[str, float]] = []
        self.after: list[tuple[str, float]] = []

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: Any, optimizer: Any) -> None:
        self.before.append(self.norm(pl_module, optimizer))

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        for optimizer in trainer.optimizers:
            optimizer.register_step_post_hook(lambda stepped, *_: self.after.append(self.norm(pl_module, stepped)))

    def norm(self, module: Any, optimizer: Any) -> tuple[str, float]:
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        name = next(n for n, child in module.named_children() if any(p is parameters[0] for p in child.parameters()))
        return name, math.sqrt(sum(float(p.grad.double().square().sum()) for p in parameters if p.grad is not None))


# ----------------------------------------------------------------------------------------------------------- clipping


@pytest.mark.parametrize(
    ("name", "accumulate"),
    [
        ("glcic", 1),
        ("glcic", 2),
        *(pytest.param(name, 1, marks=pytest.mark.endurance) for name in MODELS if name != "glcic"),
    ],
)
def test_a_gradient_is_scaled_down_to_the_limit_and_a_smaller_one_left_alone(
    built: Builder, name: str, accumulate: int
) -> None:
    batches = short(name, **{LAST[name]: 2})
    free, norms = built(name, *batches, steps=Steps(accumulate=accumulate)), Norms()
    trainer = fit(free, norms)
    assert norms.after == norms.before
    first = norms.before[: max(2, len(trainer.optimizers))]
    limit = sorted(norm for _, norm in first)[len(first) // 2] * 0.99  # between them, so that one is above

    steps = Steps(accumulate=accumulate, gradient_limit=limit)
    model, clipped = built(name, *batches, steps=steps), Norms()
    fit(model, clipped)
    assert {norm > limit for _, norm in clipped.before} == {True, False}
    for (network, before), (same, after) in zip(clipped.before, clipped.after, strict=True):
        assert network == same
        assert after == before if before < limit else math.isclose(after, limit, rel_tol=1e-4)


def test_the_direction_of_a_clipped_gradient_is_its_own(built: Builder) -> None:
    model = built("glcic", steps=Steps(gradient_limit=0.5))
    parameters = list(model.completion.parameters())
    for seed, parameter in enumerate(parameters):
        parameter.grad = torch.randn(parameter.shape, generator=torch.Generator().manual_seed(seed))
    before = torch.cat([p.grad.flatten() for p in parameters if p.grad is not None])
    model.on_before_optimizer_step(torch.optim.SGD(parameters, lr=1.0))
    after = torch.cat([p.grad.flatten() for p in parameters if p.grad is not None])
    torch.testing.assert_close(after, before * (0.5 / before.norm()))


@pytest.mark.parametrize("limit", ["0", "-1", "true", "much"])
def test_a_limit_that_is_none_is_refused(tmp_path: Path, limit: str) -> None:
    done = run_here("train", *tiny("glcic"), f"clip_gradients={limit}", cwd=tmp_path)
    assert done.returncode == 1
    assert f"clip_gradients is {limit.capitalize() if limit == 'true' else limit}" in done.stderr.replace("'", "")
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "runs").exists()


# ------------------------------------------------------------------------------------------------------------ the log


class Kept(Callback):
    """What is logged of each batch, with a line of the log every so many."""

    def __init__(self, every: int = 1) -> None:
        self.every = every
        self.logged: list[dict[str, float]] = []

    def on_fit_start(self, trainer: Trainer, pl_module: Any) -> None:
        trainer.log_every_n_steps = self.every

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, *rest: Any) -> None:
        self.logged.append(pl_module.logged)


def health(every: int = 1, **settings: Any) -> Health:
    return Health(Console(file=io.StringIO()), every, **({"wins": 0.9, "loses": 0.1, "batches": 4} | settings))


@pytest.mark.parametrize("name", only("glcic", of=MODELS))
def test_what_is_logged_is_what_was(built: Builder, name: str) -> None:
    model, norms, kept = built(name, *short(name, **{LAST[name]: 1})), Norms(), Kept()
    verdicts: dict[str, tuple[Tensor, Tensor]] = {}
    note = model.note_verdicts

    def watched(discriminator: Any, real: Tensor, fake: Tensor) -> None:
        network = next(n for n, child in model.named_children() if child is discriminator)
        verdicts[network] = real.detach(), fake.detach()
        note(discriminator, real, fake)

    model.note_verdicts = watched
    fit(model, norms, kept)
    (logged,) = kept.logged
    for network, norm in norms.before:
        assert math.isclose(logged[f"grad/{network}"], norm, rel_tol=1e-5)
    wasserstein = name == "contextual_attention"  # a number without bounds has no accuracy
    assert verdicts.keys() == (set() if wasserstein else model.adversaries.keys())
    for network, (real, fake) in verdicts.items():
        right = [sum(float(x) > 0 for x in real.flatten()), sum(float(x) < 0 for x in fake.flatten())]
        sure = sum(1 / (1 + math.exp(-abs(float(x)))) > 0.99 for x in torch.cat([real, fake]).flatten())
        assert math.isclose(logged[f"health/{network}_accuracy_real"], right[0] / real.numel(), rel_tol=1e-6)
        assert math.isclose(logged[f"health/{network}_accuracy_fake"], right[1] / fake.numel(), rel_tol=1e-6)
        assert math.isclose(logged[f"health/{network}_saturated"], sure / (2 * real.numel()), rel_tol=1e-6)
        ratio = dict(norms.before)[network] / dict(norms.before)[model.adversaries[network]]
        assert math.isclose(logged[f"health/{network}_gradient_ratio"], ratio, rel_tol=1e-5)


def test_shares_and_saturation_are_counted_by_hand(built: Builder) -> None:
    model = built("glcic")
    real, fake = torch.tensor([[3.0], [-1.0], [5.0], [0.5]]), torch.tensor([[-4.5], [-4.7], [2.0], [-0.1]])
    model.note_verdicts(model.discriminator, real, fake)
    assert not model.notes
    model.noting = True
    model.note_verdicts(model.discriminator, real, fake)
    assert {name: float(value) for name, value in model.notes.items()} == {
        "health/discriminator_accuracy_real": 0.75,
        "health/discriminator_accuracy_fake": 0.75,
        "health/discriminator_saturated": 0.25,  # 5.0 and -4.7: the bound is log(99) = 4.595
    }


@pytest.mark.parametrize(
    ("every", "accumulate", "noted"), [(3, 1, [2, 5]), (4, 2, [2, 3, 6, 7]), (3, 2, [1, 2, 4, 5, 7])]
)
def test_only_the_step_before_a_line_of_the_log_is_looked_at(
    built: Builder, every: int, accumulate: int, noted: list[int]
) -> None:
    class Noting(Callback):
        def on_train_batch_end(self, trainer: Trainer, pl_module: Any, *rest: Any) -> None:
            looked.append(pl_module.noting)

    looked: list[bool] = []
    model, kept = built("glcic", *short("glcic", joint=8), steps=Steps(accumulate=accumulate)), Kept(every)
    fit(model, Noting(), kept)
    assert [batch for batch, at in enumerate(looked) if at] == noted
    assert [bool(line) for line in kept.logged] == [batch % every == 0 for batch in range(1, 9)]
    assert {name for name in kept.logged[every - 1] if not name.startswith("train/")} == {
        *(f"grad/{network}" for network in ("completion", "discriminator")),
        *(f"health/discriminator_{what}" for what in ("accuracy_real", "accuracy_fake", "saturated", "gradient_ratio")),
    }


def test_a_loss_is_logged_in_its_own_phases_alone(built: Builder) -> None:
    model, kept = built("glcic", *short("glcic", completion=1, discriminator=1, joint=1)), Kept()
    fit(model, kept)
    completion, discriminator, joint = (
        {name.removeprefix("train/") for name in line if name.startswith("train/")} for line in kept.logged
    )
    assert completion == {"reconstruction"}
    assert discriminator == {"discriminator_real", "discriminator_fake"}
    assert joint == completion | discriminator | {"adversarial"}


@pytest.mark.parametrize("name", only("glcic", of=MODELS))
def test_looking_changes_nothing_of_the_training(built: Builder, name: str) -> None:
    watched, alone = (built(name, *short(name, **dict.fromkeys(PHASES[name], 2))) for _ in range(2))
    fit(watched, Kept())
    fit(alone)
    now, before = state_of(watched), state_of(alone)
    assert all(torch.equal(now[key], value) for key, value in before.items())


def test_the_command_logs_them_beside_the_losses(tmp_path: Path) -> None:
    settings = [*tiny("glcic"), "every.log=2", "clip_gradients=1e-3", "name=a"]
    done = run_here("train", *settings, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    with (tmp_path / "runs/a/log/version_0/metrics.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["train/reconstruction"] or row["train/discriminator_real"]]
    networks = {row["step"]: {name for name in ("completion", "discriminator") if row[f"grad/{name}"]} for row in rows}
    assert networks == {"1": {"completion"}, "3": {"discriminator"}, "5": {"completion", "discriminator"}}
    assert [row["step"] for row in rows if row["health/discriminator_gradient_ratio"]] == ["5"]
    assert [row["step"] for row in rows if row["health/discriminator_accuracy_fake"]] == ["3", "5"]


# ------------------------------------------------------------------------------------------------------------- alerts


class Alerted(Tracker):
    """A tracker that keeps its alerts."""

    def __init__(self) -> None:
        super().__init__(Path("a"), Console())
        self.alerts: list[tuple[str, str, int]] = []
        self.start()

    def _start(self, iteration: int) -> None: ...

    def _log(self, metrics: Metrics, step: int) -> None: ...

    def _finish(self, succeeded: bool) -> None: ...

    def _alert(self, title: str, sentence: str, step: int) -> None:
        self.alerts.append((title, sentence, step))


@pytest.fixture
def model(built: Builder) -> Learner:
    return built("glcic")


def watch(
    model: Learner, callback: Health, accuracies: list[float], tracker: Tracker | None = None, both: bool = True
) -> str:
    """What is printed while D is right on these shares of real and of generated samples, one a look."""
    trainer = Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False)
    trainer.loggers = [tracker] if tracker else []
    for accuracy in accuracies:
        model.schedule.iteration += callback.every
        model.logged = {"health/discriminator_gradient_ratio": 1.0} if both else {}
        model.logged |= {
            "health/discriminator_accuracy_real": accuracy + 0.03,
            "health/discriminator_accuracy_fake": accuracy - 0.03,
        }
        callback.on_train_batch_end(trainer, model, None, None, 0)
        model.logged = {}
        callback.on_train_batch_end(trainer, model, None, None, 0)
    assert isinstance(callback.console.file, io.StringIO)
    return callback.console.file.getvalue()


def test_a_discriminator_that_wins_for_long_is_told_of_once(model: Learner) -> None:
    callback = health(every=10, batches=40)
    assert watch(model, callback, [1.0, 1.0, 1.0]) == ""
    told = watch(model, callback, [0.8, 0.8, 0.8])  # the mean of the last four: 0.95, 0.9, 0.85
    assert told == (
        "health: discriminator wins: over 40 batches up to 40 it is right on 95.0% of what it sees, so its generator "
        "gets little to learn from; a smaller rate for the discriminator gives it room.\n"
    )
    assert watch(model, callback, [1.0] * 9).count("wins") == 2


def test_a_discriminator_that_loses_for_long_is_told_of(model: Learner) -> None:
    callback = health(batches=2, loses=0.51)
    assert watch(model, callback, [0.2, 0.9, 0.6]) == ""
    assert "loses: over 2 batches up to 4 it is right on 50.0%" in watch(model, callback, [0.4])


def test_a_discriminator_of_a_fixed_generator_may_win(model: Learner) -> None:
    assert watch(model, health(batches=2), [1.0] * 5, both=False) == ""


def test_trackers_are_told_the_same_at_the_batch_where_it_shows(model: Learner) -> None:
    tracker = Alerted()
    told = watch(model, health(batches=2), [1.0] * 5, tracker)
    ((title, sentence, step),) = tracker.alerts
    assert title == "discriminator wins"
    assert told == f"health: {sentence}\n"
    assert step == 1  # the second batch


def test_a_resumed_run_remembers_the_stretch(model: Learner) -> None:
    first, second = health(batches=3), health(batches=3)
    watch(model, first, [1.0, 1.0])
    second.load_state_dict(first.state_dict())
    assert "wins" in watch(model, second, [1.0])
    third = health(batches=3)
    third.load_state_dict(second.state_dict())
    assert watch(model, third, [1.0, 1.0]) == ""


@pytest.mark.parametrize(
    ("settings", "named"),
    [({"wins": 1.5}, "wins is 1.5"), ({"loses": 0.95}, "loses is 0.95"), ({"batches": 0}, "health.batches is 0")],
)
def test_bounds_that_mean_nothing_are_refused(settings: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        health(**settings)


def test_the_defaults_are_bounds() -> None:
    bounds = compose_train().health
    assert 0.5 < bounds.loses < bounds.wins < 1
    assert Health(Console(), 50, **bounds).state_dict() is not None  # it refuses what are none
