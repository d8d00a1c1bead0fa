"""What a person sees of a run: the plan before it starts, the progress while it runs."""

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
    """Phases with their budget, losses with their weights, and what else decides the run, before it starts."""
    schedule = model.schedule
    phases = Table("phase", "batches", "images seen", "learning rate", title="Phases", title_justify="left")
    for phase in schedule.phases:
        rate = model.learning_rate if phase.learning_rate is None else phase.learning_rate
        batches = f"{phase.batches:,}" if phase.batches else "0 (skipped)"
        phases.add_row(phase.name, batches, f"{phase.batches * images_per_batch:,}", f"{rate:g}")
    phases.add_row("total", f"{schedule.total:,}", f"{schedule.total * images_per_batch:,}", "", style="bold")
    losses = Table("trains", "loss", "weight", title="Losses", title_justify="left")
    for name, weights in model.loss_weights().items():
        for loss, weight in weights.items():
            losses.add_row(name, loss, f"{weight:g}")
    console.print(phases, losses)
    for name, choice in model.switches().items():
        console.print(f"{name + ':':<16} {choice}", highlight=False, soft_wrap=True)
    for name, fact in facts.items():
        console.print(f"{name + ':':<16} {fact}", highlight=False, soft_wrap=True)


class ProgressBar(Callback):
    """One bar over the whole schedule, with phase, losses, images per second and time left.

    Losses are read from the device about once a second, not per step. Where the output is not a terminal, a line is
    printed every ``line_every`` seconds instead.
    """

    def __init__(self, console: Console, line_every: float = 15.0) -> None:
        self.console = console
        self.line_every = line_every if not console.is_terminal else 1.0
        self.bar: Bar | None = None
        self.task = TaskID(0)
        self.shown_at = 0.0
        self.shown_iteration = 0
        self.scores = ""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Open the bar at the schedule's position."""
        schedule = learner_of(pl_module).schedule
        self.shown_at, self.shown_iteration = time.monotonic(), schedule.iteration
        if schedule.iteration:
            self.console.print(f"resuming after {schedule.iteration:,} of {schedule.total:,} batches")
        if trainer.is_global_zero and self.console.is_terminal:
            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
            self.bar = Bar(*columns, TextColumn("{task.fields[news]}"), console=self.console)
            self.task = self.bar.add_task("", total=schedule.total, completed=schedule.iteration, news="")
            self.bar.start()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Tell the news when it is time."""
        now, schedule = time.monotonic(), learner_of(pl_module).schedule
        if not trainer.is_global_zero or (now - self.shown_at < self.line_every and not schedule.finished):
            return
        per_second = (schedule.iteration - self.shown_iteration) / max(now - self.shown_at, 1e-9)
        images = per_second * len(batch["name"]) * trainer.world_size
        left = (schedule.total - schedule.iteration) / per_second
        news = f"{_losses(outputs)}  {images:.1f} images/s  {duration(left)} left  {self.scores}"
        if self.bar is not None:
            self.bar.update(self.task, completed=schedule.iteration, description=schedule.phase.name, news=news)
        else:
            position = f"{schedule.iteration:,}/{schedule.total:,}"
            self.console.print(f"{schedule.phase.name} {position}  {news}", highlight=False, soft_wrap=True)
        self.shown_at, self.shown_iteration = now, schedule.iteration

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keep the scores for the next news; validation's time is not training's."""
        values = {name: value for name, value in trainer.callback_metrics.items() if name.startswith("val/")}
        self.scores = "  ".join(f"{name} {float(value):.4g}" for name, value in values.items())
        self.shown_at, self.shown_iteration = time.monotonic(), learner_of(pl_module).schedule.iteration

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Leave the terminal as it was, whatever ended the run."""
        if self.bar is not None:
            self.bar.stop()
            self.bar = None

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Leave the terminal as it was."""
        self.teardown(trainer, pl_module, "fit")


def _losses(outputs: dict[str, Tensor]) -> str:
    return "  ".join(f"{name} {float(loss):.4g}" for name, loss in outputs.items())
