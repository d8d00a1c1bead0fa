"""The log of a training: a line every so many batches for all trackers, with where the time went."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, final

import torch
from lightning import Callback, LightningModule, Trainer

from inpaintlab.inpainting import Learner, learner_of
from inpaintlab.machine import commit
from inpaintlab.runs import Progress
from inpaintlab.tracking import trackers_of


@final
class Stopwatch:
    """The time between two lines of the log, without what is neither training nor waiting for it.

    Args:
        clock: seconds since any moment.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self.clock = clock
        self.began = 0.0
        self.rested: float | None = None
        self._clear()

    def begin(self) -> None:
        """A batch is there: what went by since ``rest`` was spent waiting for it."""
        self.began = self.clock()
        if self.rested is not None:
            self.waited += self.began - self.rested

    def end(self, images: int) -> None:
        """The networks have learnt from a batch of so many images."""
        self.worked += self.clock() - self.began
        self.images += images

    def rest(self) -> None:
        """All else that is done between two batches is over, and the next one is asked for."""
        self.rested = self.clock()

    def take(self) -> dict[str, float]:
        """Images per second and the share of time spent waiting since this was last asked."""
        spent = max(self.waited + self.worked, 1e-9)
        taken = {"speed/images_per_second": self.images / spent, "speed/waiting_for_data": self.waited / spent}
        self._clear()
        return taken

    def _clear(self) -> None:
        self.waited, self.worked, self.images = 0.0, 0.0, 0


@final
class Logbook(Callback):
    """Writes to all trackers what a batch in so many has to tell, and hands them the checkpoints at the end.

    To what the model reads of its batch (losses, norms, health) it adds:

    - ``rate/<network>``: the learning rate of each network that took a step;
    - ``speed/images_per_second``: of all processes, since the last line, while networks learnt or waited for data;
    - ``speed/waiting_for_data``: the share of that time in which the next batch was not there yet;
    - ``memory/allocated_peak_gib``, ``memory/reserved_gib``: of the first process's GPU, since it started.

    A line waits for the device anyway, because it reads the losses; nothing else here does. It stands before the
    callbacks that take time of their own, whose end ``OtherCallbacksDone`` tells.

    Args:
        folder: the run's folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.stopwatch = Stopwatch()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Open the trackers where the run stands."""
        for tracker in trackers_of(trainer):
            tracker.start(_iteration(pl_module))

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Note that the batch is there."""
        self.stopwatch.begin()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Write a line, where the model read one."""
        model = learner_of(pl_module)
        self.stopwatch.end(len(batch["name"]) * trainer.world_size)
        if not model.logged:
            return
        line = model.logged | learning_rates(model) | self.stopwatch.take() | gpu_memory(model.device)
        for tracker in trackers_of(trainer):
            tracker.log_metrics(line, step=_iteration(pl_module) - 1)
            tracker.save()

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Hand over the checkpoints of a run that is through."""
        if trainer.is_global_zero and learner_of(pl_module).schedule.finished:
            files = {name: self.folder / f"{name}.ckpt" for name in ("best", "last")}  # W&B's `latest` is the last
            there = {name: file for name, file in files.items() if file.is_file()}
            facts = checkpoint_facts(self.folder)
            for tracker in trackers_of(trainer):
                tracker.keep_checkpoints(there, facts)


@final
class OtherCallbacksDone(Callback):
    """Tells a logbook that the other callbacks are through with a batch or a validation; it stands behind them."""

    def __init__(self, logbook: Logbook) -> None:
        self.stopwatch = logbook.stopwatch

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """After a batch."""
        self.stopwatch.rest()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """After a validation."""
        self.stopwatch.rest()


def learning_rates(model: Learner) -> dict[str, float]:
    """The rate of each network that took a step in the batch that was read, as ``rate/<network>``."""
    networks = {id(p): name.partition(".")[0] for name, p in model.named_parameters()}
    groups = [group for optimizer in model.trainer.optimizers for group in optimizer.param_groups]
    rates = {networks[id(group["params"][0])]: float(group["lr"]) for group in groups}
    return {f"rate/{name}": rate for name, rate in rates.items() if f"grad/{name}" in model.logged}


def gpu_memory(device: torch.device) -> dict[str, float]:
    """The most that tensors took on this GPU and what is set aside for them, in GiB; nothing on another device."""
    if device.type != "cuda":
        return {}
    allocated, reserved = torch.cuda.max_memory_allocated(device), torch.cuda.memory_reserved(device)
    return {"memory/allocated_peak_gib": allocated / 2**30, "memory/reserved_gib": reserved / 2**30}


def checkpoint_facts(folder: Path) -> dict[str, dict[str, Any]]:
    """What can be said of ``last.ckpt`` and ``best.ckpt``: their batch, the monitored score, the commit."""
    progress = Progress.load(folder)
    assert progress is not None  # the journal writes it with each checkpoint
    shared = {"monitor": progress.monitor, "commit": commit(), "run": folder.name}
    best = next((entry for entry in progress.validations if entry[1] == progress.best), (None, None))
    last = dict(progress.validations).get(progress.iterations)
    return {
        "last": shared | {"iterations": progress.iterations, "score": last},
        "best": shared | {"iterations": best[0], "score": best[1]},
    }


def _iteration(module: LightningModule) -> int:
    return learner_of(module).schedule.iteration
