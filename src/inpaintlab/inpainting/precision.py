"""Precisions: which of them a device has, and the loss scale of float16."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any, final

import torch
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.plugins import MixedPrecision

from inpaintlab.inpainting.learner import learner_of

PRECISIONS = ("32-true", "64-true", "bf16-mixed", "16-mixed")
WHOLE = "32-true"
COMPLETING = ("32-true", "bf16-mixed")
_NAMES = {"32": "32-true", "64": "64-true"}


def device_type(accelerator: str) -> str:
    """'cuda' or 'cpu', as Lightning will choose for ``trainer.accelerator``."""
    on_gpu = accelerator in ("gpu", "cuda") or (accelerator == "auto" and torch.cuda.is_available())
    return "cuda" if on_gpu else "cpu"


def chosen_precision(precision: str | int | None, accelerator: str) -> str:
    """The precision to train in.

    Args:
        precision: as for Lightning's trainer; None takes the fastest that the device has.
        accelerator: as for Lightning's trainer.

    Raises:
        ValueError: there is no such precision.
    """
    if precision is None:
        bfloat16 = device_type(accelerator) == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
        return "bf16-mixed" if bfloat16 else "32-true"
    name = _NAMES.get(str(precision), str(precision))
    if name not in PRECISIONS:
        raise ValueError(
            f"trainer.precision is '{precision}'; it can be {' or '.join(repr(name) for name in PRECISIONS)}, or null "
            "to let the device decide."
        )
    return name


def completing_precision(precision: str | int | None, accelerator: str) -> str:
    """The precision to complete images in.

    A CPU computes in bfloat16 whether or not it has instructions for it.

    Args:
        precision: one of ``COMPLETING``; None takes the fastest that the device has.
        accelerator: as for Lightning's trainer.

    Raises:
        ValueError: it is another precision, or the GPU lacks bfloat16.
    """
    if precision is None:
        return chosen_precision(None, accelerator)
    name = _NAMES.get(str(precision), str(precision))
    if name not in COMPLETING:
        raise ValueError(
            f"precision is '{precision}'; images are completed in {' or '.join(repr(name) for name in COMPLETING)}."
        )
    on_gpu = device_type(accelerator) == "cuda"
    if name == "bf16-mixed" and on_gpu and not torch.cuda.is_bf16_supported(including_emulation=False):
        raise ValueError("precision is 'bf16-mixed', but this GPU has no bfloat16; give '32-true'.")
    return name


def computing(precision: str, device: torch.device) -> AbstractContextManager[None]:
    """Let networks compute in a precision while the context lasts.

    As in Lightning, rounded weights are not cached: with another cache setting, compiled networks would be compiled
    again.

    Args:
        precision: one of ``COMPLETING``.
        device: of the networks.
    """
    if precision != "bf16-mixed":
        return nullcontext()
    return torch.autocast(device.type, torch.bfloat16, cache_enabled=False)


def training_precision(precision: str, accelerator: str) -> tuple[dict[str, Any], list[Callback]]:
    """The trainer's arguments and the callbacks for a precision."""
    if precision != "16-mixed":
        return {"precision": precision}, []
    scaler = StepScaler(device_type(accelerator))
    plugin = MixedPrecision("16-mixed", device_type(accelerator), scaler)
    return {"precision": None, "plugins": [plugin]}, [LossScale(scaler)]


@final
class StepScaler(torch.amp.GradScaler):
    """A loss scale that stays the same until all optimizers of a step are done.

    Lightning updates it after each optimizer. The gradient of a generator, or of an earlier batch of the step, would
    then be divided by another number than its loss was multiplied by.
    """

    def update(self, new_scale: float | torch.Tensor | None = None) -> None:
        """Do nothing; ``end_step`` updates the scale."""

    def end_step(self) -> None:
        """Halve the scale if a gradient of the step overflowed; double it after 2000 steps without overflow."""
        super().update()


@final
class LossScale(Callback):
    """Updates the loss scale between two steps. An optimizer whose gradient overflowed has skipped its step."""

    def __init__(self, scaler: StepScaler) -> None:
        self.scaler = scaler

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Divide gradients by the scale before their norms are noted and clipped; a fused step would do it after."""
        for optimizer in trainer.optimizers:
            optimizer._step_supports_amp_scaling = False  # type: ignore[attr-defined]

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Update the scale after the last batch of the step."""
        if learner_of(pl_module).between_steps:
            self.scaler.end_step()
