"""Which precision a run trains in, and the one loss scale that the optimizers of a step share in float16."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Callback, Trainer
from torch import Tensor

from inpaintlab.inpainting import Inpainter, Steps, chosen_precision, completing_precision, training_precision
from inpaintlab.inpainting.precision import StepScaler
from stand_ins.building import Builder, compose_train, state_of, toy_data, trainer_of
from stand_ins.commands import PHASES, checkpoint, run_here, same_weights, tiny

EDGE, PAINT = "edge_generator", "inpaint_generator"


# --- the choice ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("has_gpu", "has_bfloat16", "accelerator", "chosen"),
    [
        (True, True, "auto", "bf16-mixed"),
        (True, True, "gpu", "bf16-mixed"),
        (True, True, "cpu", "32-true"),
        (True, False, "auto", "32-true"),
        (False, True, "auto", "32-true"),
    ],
)
def test_without_a_wish_a_gpu_with_bfloat16_uses_it(
    monkeypatch: pytest.MonkeyPatch,
    has_gpu: bool,
    has_bfloat16: bool,
    accelerator: str,
    chosen: str,
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: has_gpu)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: has_bfloat16)
    assert chosen_precision(None, accelerator) == chosen
    assert chosen_precision("32-true", accelerator) == "32-true"


@pytest.mark.parametrize(
    ("settings", "precision"),
    [
        ([], None),
        (["precision=32-true"], "32-true"),
        (["precision=bf16-mixed"], "bf16-mixed"),
        (["precision=16-mixed"], "16-mixed"),
        (["trainer.precision=64-true"], "64-true"),
        (["precision=bf16-mixed", "trainer.precision=32"], 32),
        (["trainer=cpu"], None),
        (["trainer=ddp", "precision=32-true"], "32-true"),
    ],
)
def test_the_group_sets_the_trainers_precision_and_a_single_setting_wins(
    settings: list[str], precision: str | int | None
) -> None:
    assert compose_train(*settings).trainer.precision == precision


@pytest.mark.parametrize(("given", "name"), [(32, "32-true"), ("32", "32-true"), ("64", "64-true")])
def test_a_number_of_bits_is_enough(given: str | int, name: str) -> None:
    assert chosen_precision(given, "cpu") == name


def test_a_run_and_its_checkpoint_say_what_was_chosen(tmp_path: Path) -> None:
    settings = [*tiny("glcic", 1), "name=a"]
    done = run_here("train", *settings, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "CPUAccelerator x 1, 32-true" in done.stdout
    assert checkpoint(tmp_path / "runs/a")["inpaintlab"]["training"]["precision"] == "32-true"


@pytest.mark.parametrize(
    ("given", "name"),
    [("32-true", "32-true"), (32, "32-true"), ("bf16-mixed", "bf16-mixed"), (None, "32-true")],
)
def test_images_are_completed_in_float32_or_bfloat16(given: str | int | None, name: str) -> None:
    assert completing_precision(given, "cpu") == name
    for other in ("16-mixed", "64-true", "bf16-true", "fast"):
        with pytest.raises(ValueError, match=f"'{other}'; images are completed in '32-true' or 'bf16-mixed'"):
            completing_precision(other, "cpu")


def test_a_gpu_without_bfloat16_completes_in_float32_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: False)
    with pytest.raises(ValueError, match="this GPU has no bfloat16"):
        completing_precision("bf16-mixed", "auto")
    assert completing_precision("bf16-mixed", "cpu") == "bf16-mixed"
    assert completing_precision(None, "auto") == completing_precision("32-true", "auto") == "32-true"


# --- what mixed precision lays out and rounds ------------------------------------------------------------------------


class Layouts(Callback):
    """How the weights of convolutions and what Adam keeps of them lie in memory when the first batch begins."""

    def __init__(self, kept_before: torch.memory_format | None = None) -> None:
        self.kept_before = kept_before

    def on_fit_start(self, trainer: Trainer, pl_module: Any) -> None:
        """Put states of an older run into the optimizers, each element another number."""
        for optimizer in trainer.optimizers if self.kept_before else ():
            for parameter in optimizer.param_groups[0]["params"]:
                kept = torch.arange(parameter.numel(), dtype=torch.float32).view(parameter.shape) / parameter.numel()
                if kept.dim() == 4:
                    kept = kept.contiguous(memory_format=self.kept_before)
                optimizer.state[parameter] = {"step": torch.tensor(1.0), "exp_avg": kept, "exp_avg_sq": kept.clone()}

    def on_train_batch_start(self, trainer: Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        kept = {p: state for optimizer in trainer.optimizers for p, state in optimizer.state.items()}
        strides = [p.stride() for p in kept]
        assert [state[name].stride() for state in kept.values() for name in ("exp_avg", "exp_avg_sq")] == [
            stride for stride in strides for _ in range(2)
        ]
        self.turned = [
            p.is_contiguous(memory_format=torch.channels_last) and not p.is_contiguous()
            for p in pl_module.parameters()
            if p.dim() == 4 and p.shape[1] > 1 and p.shape[2] > 1
        ]


@pytest.mark.parametrize(("precision", "dtype"), [("32-true", torch.float32), ("bf16-mixed", torch.bfloat16)])
def test_mixed_precision_alone_turns_edgeconnects_weights_and_rounds_its_vgg_once(
    built: Builder, precision: str, dtype: torch.dtype
) -> None:
    model, layouts = built("edgeconnect", *lengths(inpaint=1)), Layouts()
    fit(model, precision, more=[layouts])
    assert len(layouts.turned) > 50
    assert set(layouts.turned) == {precision != "32-true"}
    assert {p.dtype for p in model.vgg[0].parameters()} == {dtype}
    assert {p.dtype for p in model.parameters()} == {torch.float32}


def test_adams_memory_of_a_run_is_turned_with_the_weights(built: Builder) -> None:
    """Its fused step walks through memory: laid out otherwise, elements would be taken for each other, unasked."""
    ends = []
    for layout in (torch.contiguous_format, torch.channels_last):
        model = built("edgeconnect", *lengths(inpaint=1), "model.learning_rate=1e-2")
        fit(model, "bf16-mixed", more=[Layouts(kept_before=layout)])
        ends.append(state_of(model))
    assert ends[0].keys() == ends[1].keys()
    for name, value in ends[0].items():
        assert torch.equal(value, ends[1][name]), name


# --- float16 ---------------------------------------------------------------------------------------------------------


class Gradients(Callback):
    """The gradient of each network at each of its steps, the loss scale of each batch, and all weights at the end."""

    def __init__(self) -> None:
        self.steps: list[dict[str, Tensor]] = []
        self.scales: list[float] = []

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: Any, optimizer: Any) -> None:
        mine = {id(p) for group in optimizer.param_groups for p in group["params"]}
        found = ((n, p.grad) for n, p in pl_module.named_parameters() if id(p) in mine)
        self.steps.append({name: gradient.clone() for name, gradient in found if gradient is not None})

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.scales.append(float(trainer.precision_plugin.state_dict().get("scale", 1.0)))


def fit(
    model: Inpainter, precision: str, start: float | None = None, grow: int = 2000, more: Sequence[Callback] = ()
) -> Gradients:
    """Train to the end; ``start`` and ``grow`` set the loss scale and the steps after which it doubles."""
    arguments, callbacks = training_precision(precision, "cpu")
    if start is not None:
        state = StepScaler("cpu", init_scale=start, growth_interval=grow).state_dict()
        arguments["plugins"][0].load_state_dict(state)
    seen = Gradients()
    trainer = trainer_of("trainer=cpu", callbacks=[*callbacks, *more, seen], **arguments)
    trainer.fit(model, datamodule=toy_data(), weights_only=True)
    return seen


def lengths(model: str = "edgeconnect", **batches: int) -> list[str]:
    return [f"model.schedule.phases.{phase}.batches={batches.get(phase, 0)}" for phase in PHASES[model]]


def cosine(one: dict[str, Tensor], other: dict[str, Tensor]) -> float:
    flat = [torch.cat([gradients[name].flatten().double() for name in one]) for gradients in (one, other)]
    return float(torch.cosine_similarity(*flat, dim=0))


def length(gradients: dict[str, Tensor]) -> float:
    return float(torch.cat([value.flatten().double() for value in gradients.values()]).norm())


@pytest.mark.parametrize(
    ("model", "phase", "steps"),
    [
        *(("edgeconnect", phase, 4 if phase == "joint" else 2) for phase in PHASES["edgeconnect"]),
        *(("glcic", phase, 2 if phase == "joint" else 1) for phase in PHASES["glcic"]),
        *(("partial_convolution", phase, 1) for phase in PHASES["partial_convolution"]),
    ],
)
def test_unscaled_gradients_in_float16_are_those_of_float32(built: Builder, model: str, phase: str, steps: int) -> None:
    exact = fit(built(model, *lengths(model, **{phase: 1})), "32-true").steps
    start = 16.0 if model == "partial_convolution" else 1024.0  # its style loss weighs 120: higher ones overflow
    rounded = fit(built(model, *lengths(model, **{phase: 1})), "16-mixed", start=start).steps
    assert len(exact) == len(rounded) == steps
    for one, other in zip(exact, rounded, strict=True):
        assert 0.98 < cosine(one, other) < 0.9999999  # rounded indeed
        assert 0.9 < length(other) / length(one) < 1.1


def test_the_scale_moves_between_steps_only(built: Builder) -> None:
    """It doubles after each step here, so an optimizer that met the next one's would have half its gradient."""
    settings = ["model.discriminator_ratio=1e-12", "model.learning_rate=1e-12", *lengths(joint=3)]
    exact = fit(built("edgeconnect", *settings), "32-true").steps
    moving = fit(built("edgeconnect", *settings), "16-mixed", start=64.0, grow=1)
    assert moving.scales == [128.0, 256.0, 512.0]
    assert len(moving.steps) == 12
    for one, other in zip(exact, moving.steps, strict=True):
        assert 0.9 < length(other) / length(one) < 1.1


def test_the_batches_of_a_step_share_a_scale(built: Builder) -> None:
    settings = ["model.discriminator_ratio=1e-12", "model.learning_rate=1e-12", *lengths(joint=4)]
    models = [built("edgeconnect", *settings, steps=Steps(accumulate=2)) for _ in range(2)]
    exact, moving = fit(models[0], "32-true").steps, fit(models[1], "16-mixed", start=64.0, grow=1)
    assert moving.scales == [64.0, 128.0, 128.0, 256.0]
    for one, other in zip(exact, moving.steps, strict=True):
        assert 0.9 < length(other) / length(one) < 1.1


def test_an_overflow_leaves_the_step_out_and_halves_the_scale(built: Builder) -> None:
    model = built("edgeconnect", *lengths(edge=3))
    before = state_of(model)
    seen = fit(model, "16-mixed", start=2.0**30)
    assert seen.scales == [2.0**29, 2.0**28, 2.0**27]
    assert not all(bool(v.isfinite().all()) for v in seen.steps[0].values())
    weights = [name for name, _ in model.named_parameters()]
    assert all(torch.equal(state_of(model)[name], before[name]) for name in weights)


def test_a_run_in_float16_resumes_as_the_unbroken_one(tmp_path: Path) -> None:
    settings = [*tiny("edgeconnect"), "precision=16-mixed"]
    joint = "model.schedule.phases.joint.batches"
    for name, batches in (("a", "0"), ("a", "2"), ("b", "2")):
        done = run_here("train", *settings, f"{joint}={batches}", f"name={name}", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert "CPUAccelerator x 1, 16-mixed" in done.stdout
    one, other = checkpoint(tmp_path / "runs/a"), checkpoint(tmp_path / "runs/b")
    assert same_weights(one, other)
    assert one["MixedPrecision"] == other["MixedPrecision"]
    assert {v.dtype for v in one["state_dict"].values() if isinstance(v, Tensor) and v.is_floating_point()} == {
        torch.float32
    }


def test_batches_of_bytes_come_in_the_precision_of_the_training(built: Builder) -> None:
    seen: list[torch.dtype] = []

    class Seeing(Callback):
        def on_train_batch_start(self, trainer: Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
            seen.extend(batch[name].dtype for name in ("image", "mask"))

    lengths = {"completion": 1, "discriminator": 0, "joint": 0}
    model = built("glcic", *(f"model.schedule.phases.{name}.batches={count}" for name, count in lengths.items()))
    trainer = trainer_of("trainer=cpu", "trainer.precision=64-true", callbacks=[Seeing()])
    trainer.fit(model, datamodule=toy_data())
    assert set(seen) == {torch.float64}
