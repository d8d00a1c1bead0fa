"""The log of a training: a line every few batches for all trackers, with how the time was spent."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, final

import torch
from lightning import Callback, LightningModule, Trainer

from inpaintlab.inpainting import Learner, learner_of
from inpaintlab.machine import commit
from inpaintlab.runs import Progress
from inpaintlab.tracking import trackers_of


@final
class StepTimer:
    """Times training and waiting for data between two lines of the log; the time of other callbacks does not count.

    Args:
        clock: returns seconds since a fixed moment.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self.clock = clock
        self.batch_start = 0.0
        self.wait_start: float | None = None
        self._clear()

    def begin_batch(self) -> None:
        """The batch has arrived: the time since ``begin_waiting`` was spent waiting for it."""
        self.batch_start = self.clock()
        if self.wait_start is not None:
            self.waited += self.batch_start - self.wait_start

    def end_batch(self, images: int) -> None:
        """The networks have learnt from a batch of this many images."""
        self.worked += self.clock() - self.batch_start
        self.images += images

    def begin_waiting(self) -> None:
        """All callbacks are done, and the next batch is requested."""
        self.wait_start = self.clock()

    def read_and_reset(self) -> dict[str, float]:
        """Images per second, and the share of time spent waiting, since the last call."""
        spent = max(self.waited + self.worked, 1e-9)
        speed = {"speed/images_per_second": self.images / spent, "speed/waiting_for_data": self.waited / spent}
        self._clear()
        return speed

    def _clear(self) -> None:
        self.waited, self.worked, self.images = 0.0, 0.0, 0


@final
class Logbook(Callback):
    """Writes a line to all trackers whenever the model logs a batch; at the end it hands them the checkpoints.

    If a training ends before its schedule does, without an error, it tells them that.

    The model logs losses, norms and health. To these the line adds:

    - ``rate/<network>``: the learning rate of each network that took a step;
    - ``speed/images_per_second``: of all processes, since the last line, while networks learnt or waited for data;
    - ``speed/waiting_for_data``: the share of that time in which the next batch was not there yet;
    - ``memory/allocated_peak_gib``, ``memory/reserved_gib``: of the first process's GPU, since it started.

    Writing a line waits for the device, because it reads the losses; batches without a line do not wait. This callback
    runs before those that take time of their own; ``OtherCallbacksDone`` marks their end.

    Args:
        folder: the run's folder.
        directions: whether higher is better, by the name of a metric that validation logs.
        panels_every: batches between two panels; 0 for none.
    """

    def __init__(self, folder: Path, directions: Mapping[str, bool], panels_every: int = 0) -> None:
        self.folder = folder
        self.directions = directions
        self.panels_every = panels_every
        self.timer = StepTimer()
        self.phase = ""
        self.paces: dict[str, float] = {}
        """By phase, the images a second of the last line, of one process and without waiting for data."""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Open the trackers at the iteration that the run starts from."""
        schedule = learner_of(pl_module).schedule
        panels = 0
        if self.panels_every and not schedule.finished:  # the last one is drawn at the end, due or not
            panels = -(-schedule.total // self.panels_every) - schedule.iteration // self.panels_every
        for tracker in trackers_of(trainer):
            tracker.start(schedule.iteration, self.directions, panels)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Start the time of the batch."""
        self.phase = learner_of(pl_module).schedule.phase.name
        self.timer.begin_batch()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """End the time of the batch, and write a line if the model logged it."""
        model = learner_of(pl_module)
        self.timer.end_batch(len(batch["name"]) * trainer.world_size)
        if not model.logged:
            return
        speed = self.timer.read_and_reset()
        working = max(1 - speed["speed/waiting_for_data"], 1e-9)
        self.paces[self.phase] = round(speed["speed/images_per_second"] / working / trainer.world_size, 3)
        line = model.logged | learning_rates(model) | speed | gpu_memory(model.device)
        for tracker in trackers_of(trainer):
            tracker.log_metrics(line, step=_iteration(pl_module) - 1)
            tracker.save()

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Hand the checkpoints of a finished run to the trackers; one that ends early does not come here."""
        if trainer.is_global_zero:
            files = {name: self.folder / f"{name}.ckpt" for name in ("best", "last")}  # W&B's `latest` is the last
            saved = {name: file for name, file in files.items() if file.is_file()}
            facts = checkpoint_facts(self.folder)
            for tracker in trackers_of(trainer):
                tracker.keep_checkpoints(saved, facts)


@final
class OtherCallbacksDone(Callback):
    """Tells a logbook's timer that all other callbacks have handled a batch or a validation; it runs after them.

    Args:
        logbook: the callback whose timer is told.
    """

    def __init__(self, logbook: Logbook) -> None:
        self.timer = logbook.timer

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """From here on the training waits for the next batch."""
        self.timer.begin_waiting()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """The time of a validation is not time spent waiting for data."""
        self.timer.begin_waiting()


def learning_rates(model: Learner) -> dict[str, float]:
    """The learning rate of each network that took a step in the logged batch, as ``rate/<network>``."""
    networks = {id(p): name.partition(".")[0] for name, p in model.named_parameters()}
    groups = [group for optimizer in model.trainer.optimizers for group in optimizer.param_groups]
    rates = {networks[id(group["params"][0])]: float(group["lr"]) for group in groups}
    return {f"rate/{name}": rate for name, rate in rates.items() if f"grad/{name}" in model.logged}


def gpu_memory(device: torch.device) -> dict[str, float]:
    """The peak memory of tensors on this GPU, and the memory reserved for them, in GiB; empty on other devices."""
    if device.type != "cuda":
        return {}
    allocated, reserved = torch.cuda.max_memory_allocated(device), torch.cuda.memory_reserved(device)
    return {"memory/allocated_peak_gib": allocated / 2**30, "memory/reserved_gib": reserved / 2**30}


def checkpoint_facts(folder: Path) -> dict[str, dict[str, Any]]:
    """Batch, monitored score and commit of a run's ``last.ckpt`` and ``best.ckpt``."""
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
