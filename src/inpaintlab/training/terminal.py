"""The output of a training on the terminal: the plan before it starts, the progress while it runs."""

import time
from typing import Any

from lightning import Callback, LightningModule, Trainer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar
from rich.table import Table
from torch import Tensor

from inpaintlab.inpainting import Learner, learner_of
from inpaintlab.runs import duration


def print_plan(console: Console, model: Learner, facts: dict[str, str], images_per_batch: int) -> None:
    """Print the phases with their batches, the losses with their weights, the model's switches and further facts.

    Args:
        console: the terminal.
        model: the model that will be trained.
        facts: further lines, name to text.
        images_per_batch: of all processes together.
    """
    schedule = model.schedule
    phases = Table("phase", "batches", "images seen", "learning rate", title="Phases", title_justify="left")
    for phase in schedule.phases:
        batches = f"{phase.batches:,}" if phase.batches else "0 (skipped)"
        rate = phase.in_words(schedule.peak_of(phase, model.learning_rate))
        phases.add_row(phase.name, batches, f"{phase.batches * images_per_batch:,}", rate)
    phases.add_row("total", f"{schedule.total:,}", f"{schedule.total * images_per_batch:,}", "", style="bold")
    losses = Table("trains", "loss", "weight", title="Losses", title_justify="left")
    for name, weights in model.weights.items():
        for loss, weight in weights.items():
            losses.add_row(name, loss, f"{weight:g}")
    console.print(phases, losses)
    for name, choice in model.switches().items():
        console.print(f"{name + ':':<16} {choice}", highlight=False, soft_wrap=True)
    for name, fact in facts.items():
        console.print(f"{name + ':':<16} {fact}", highlight=False, soft_wrap=True)


class ProgressBar(Callback):
    """One bar over the whole schedule, with phase, losses, images per second and time left.

    Losses are read from the device about once a second, not at each step.

    Args:
        console: the terminal.
        line_every: seconds between two lines, which replace the bar where the output is not a terminal.
    """

    def __init__(self, console: Console, line_every: float = 15.0) -> None:
        self.console = console
        self.line_every = line_every if not console.is_terminal else 1.0
        self.bar: Bar | None = None
        self.task = TaskID(0)
        self.printed_at = 0.0
        self.printed_iteration = 0
        self.scores = ""
        self.plateaus = 0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Open the bar at the schedule's position."""
        schedule = learner_of(pl_module).schedule
        self.printed_at, self.printed_iteration = time.monotonic(), schedule.iteration
        self.plateaus = schedule.plateaus
        if schedule.iteration:
            self.console.print(f"resuming after {schedule.iteration:,} of {schedule.total:,} batches")
        if trainer.is_global_zero and self.console.is_terminal:
            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
            self.bar = Bar(*columns, TextColumn("{task.fields[status]}"), console=self.console)
            self.task = self.bar.add_task("", total=schedule.total, completed=schedule.iteration, status="")
            self.bar.start()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Update the bar, or print a line, when one is due."""
        now, schedule = time.monotonic(), learner_of(pl_module).schedule
        lowered, self.plateaus = schedule.plateaus > self.plateaus, schedule.plateaus
        if lowered and not schedule.between_phases:
            rate = schedule.rate(learner_of(pl_module).learning_rate)
            sentence = f"a plateau of the losses: the learning rate is {rate:g} after batch {schedule.iteration:,}"
            self.console.print(sentence, markup=False, highlight=False, soft_wrap=True)
        if not trainer.is_global_zero or (now - self.printed_at < self.line_every and not schedule.finished):
            return
        per_second = (schedule.iteration - self.printed_iteration) / max(now - self.printed_at, 1e-9)
        images = per_second * len(batch["name"]) * trainer.world_size
        left = (schedule.total - schedule.iteration) / per_second
        status = f"{_losses(outputs)}  {images:.1f} images/s  {duration(left)} left  {self.scores}"
        if self.bar is not None:
            self.bar.update(self.task, completed=schedule.iteration, description=schedule.phase.name, status=status)
        else:
            position = f"{schedule.iteration:,}/{schedule.total:,}"
            self.console.print(f"{schedule.phase.name} {position}  {status}", highlight=False, soft_wrap=True)
        self.printed_at, self.printed_iteration = now, schedule.iteration

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keep the scores for the next update; the time of validation does not count as training."""
        values = {name: value for name, value in trainer.callback_metrics.items() if name.startswith("val/")}
        self.scores = "  ".join(f"{name} {float(value):.4g}" for name, value in values.items())
        self.printed_at, self.printed_iteration = time.monotonic(), learner_of(pl_module).schedule.iteration

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Close the bar, so that the terminal is as before, however the run ended."""
        if self.bar is not None:
            self.bar.stop()
            self.bar = None

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Close the bar: after an exception Lightning does not call `teardown`."""
        self.teardown(trainer, pl_module, "fit")


def _losses(outputs: dict[str, Tensor]) -> str:
    return "  ".join(f"{name} {float(loss):.4g}" for name, loss in outputs.items())
