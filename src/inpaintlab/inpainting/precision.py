"""The numbers that networks compute in: which ones fit a model and a device, and the loss scale of float16."""

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
    """The precision to train in; of None the fastest that the device has.

    Raises:
        ValueError: there is no such one.
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
    """The precision to complete images in; of None the fastest that the device has.

    A CPU computes in bfloat16 whether or not it has instructions for it.

    Raises:
        ValueError: images are not completed in this one, or the GPU lacks bfloat16.
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
    """A while in which networks compute in ``precision``, one of ``COMPLETING``.

    As Lightning lets them, which keeps no rounded weights; compiled networks would be compiled again for another state.
    """
    if precision != "bf16-mixed":
        return nullcontext()
    return torch.autocast(device.type, torch.bfloat16, cache_enabled=False)


def training_precision(precision: str, accelerator: str) -> tuple[dict[str, Any], list[Callback]]:
    """What the trainer is given for a precision: its arguments, and the callbacks that belong to it."""
    if precision != "16-mixed":
        return {"precision": precision}, []
    scaler = StepScaler(device_type(accelerator))
    plugin = MixedPrecision("16-mixed", device_type(accelerator), scaler)
    return {"precision": None, "plugins": [plugin]}, [LossScale(scaler)]


@final
class StepScaler(torch.amp.GradScaler):
    """A loss scale that stays as it is until all optimizers of a step are done.

    Lightning asks for another one after each optimizer. A generator's gradient, or that of an earlier batch of the
    step, would then be divided by another number than its loss was multiplied by.
    """

    def update(self, new_scale: float | torch.Tensor | None = None) -> None:
        """Wait for the end of the step."""

    def end_step(self) -> None:
        """Halve the scale if a gradient of the step overflowed, double it after 2000 steps without."""
        super().update()


@final
class LossScale(Callback):
    """Moves the loss scale between two steps. An optimizer whose gradient overflowed has left its step out."""

    def __init__(self, scaler: StepScaler) -> None:
        self.scaler = scaler

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Divide gradients by the scale before their norms are noted and clipped, where a fused step would after."""
        for optimizer in trainer.optimizers:
            optimizer._step_supports_amp_scaling = False  # type: ignore[attr-defined]

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """End the step with its last batch."""
        model = learner_of(pl_module)
        if model.schedule.iteration % model.steps.accumulate == 0:
            self.scaler.end_step()
