"""Trackers log the metrics, pictures and alerts of a run. A failure in one of them never ends a training."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, final

from lightning import Trainer
from lightning.pytorch.loggers import CSVLogger, Logger
from lightning.pytorch.utilities import rank_zero_only
from PIL import Image
from rich.console import Console

Metrics = Mapping[str, float]


class Tracker(Logger, ABC):
    """Logs a run, in its first process.

    A tracker that fails, because its disk is full or its server is gone, says so once and is not called again. Before
    ``start`` and after ``finalize`` it logs nothing.

    Args:
        run_dir: the folder of the run.
        console: where a failure is printed.
    """

    title = ""
    """Its name in messages."""

    failures: tuple[type[Exception], ...] = (OSError,)
    """The errors of a disk, a network or a service, which are not this program's fault."""

    def __init__(self, run_dir: Path, console: Console) -> None:
        super().__init__()
        self.run_dir = run_dir
        self.console = console
        self.running = False
        self.paused = False
        """Whether the run ends before its schedule does, to be resumed."""
        self.directions: Mapping[str, bool] = {}
        """Whether higher is better, by the name of a metric, where that is known."""
        self.pictures_to_come = 0
        """How many panels the rest of the run draws."""

    # --- what a tracker defines -----------------------------------------------------------------------------------

    @abstractmethod
    def _start(self, iteration: int) -> None:
        """Open a run that has done ``iteration`` batches so far."""

    @abstractmethod
    def _log(self, metrics: Metrics, step: int) -> None:
        """Log metrics of the batch ``step``."""

    @abstractmethod
    def _finish(self, succeeded: bool) -> None:
        """Write or upload what is left, and close; a run that is ``paused`` has not succeeded."""

    def _save(self) -> None:
        """Write what is buffered to the disk; nothing by default."""

    def _picture(self, name: str, picture: Image.Image, step: int, caption: str) -> None:
        """Log a picture; nothing by default."""

    def _alert(self, title: str, sentence: str, step: int) -> None:
        """Send an alert; nothing by default."""

    def _keep_checkpoints(self, files: Mapping[str, Path], facts: Mapping[str, dict[str, Any]]) -> None:
        """Upload checkpoints, each with its metadata; nothing by default."""

    def _pause(self) -> None:
        """Mark the run as one that ends before its schedule does and will be resumed; nothing by default."""

    # --- what a run calls -----------------------------------------------------------------------------------------

    def start(
        self, iteration: int = 0, directions: Mapping[str, bool] | None = None, pictures_to_come: int = 0
    ) -> None:
        """Open a run.

        Args:
            iteration: batches that it has done so far.
            directions: whether higher is better, by the name of a metric, where that is known.
            pictures_to_come: how many panels the rest of it draws.

        Raises:
            ValueError: the tracker refuses its settings.
        """
        self.paused = False
        self.directions = directions or {}
        self.pictures_to_come = pictures_to_come
        if rank_zero_only.rank == 0:  # type: ignore[attr-defined]  # Lightning sets it
            self.running = self._survives(lambda: self._start(iteration))

    def log_metrics(self, metrics: Metrics, step: int | None = None) -> None:
        """Log metrics.

        Args:
            metrics: values by name.
            step: the batch after which they were measured; required, although Lightning's interface has a default.
        """
        assert step is not None
        self._try(lambda: self._log({name: float(value) for name, value in metrics.items()}, step))

    def save(self) -> None:
        """Write what is buffered to the disk."""
        self._try(self._save)

    def picture(self, name: str, picture: Image.Image, step: int, caption: str) -> None:
        """Log a picture, if this tracker takes pictures.

        Args:
            name: the panel's name, the same at every step.
            picture: in RGB.
            step: the batch after which it was made.
            caption: a line of text below it.
        """
        self._try(lambda: self._picture(name, picture, step, caption))

    def alert(self, title: str, sentence: str, step: int) -> None:
        """Send an alert to a person who does not look at the terminal, if this tracker sends any."""
        self._try(lambda: self._alert(title, sentence, step))

    def keep_checkpoints(self, files: Mapping[str, Path], facts: Mapping[str, dict[str, Any]]) -> None:
        """Upload checkpoints, if this tracker takes files.

        Args:
            files: by alias, ``best`` or ``last``.
            facts: metadata of each, by the same aliases.
        """
        self._try(lambda: self._keep_checkpoints(files, facts))

    def pause(self) -> None:
        """Mark the run as one that ends before its schedule does and will be resumed.

        Whatever ``finalize`` is told afterwards, the run then has neither succeeded nor failed. Any number of calls are
        as one; after ``finalize`` a call does nothing.
        """
        if self.running and not self.paused:
            self.paused = True
            self._try(self._pause)

    def finalize(self, status: str) -> None:
        """Close at the end of a training: ``success`` or ``failed``."""
        if status in ("success", "failed"):
            self._try(lambda: self._finish(status == "success" and not self.paused))
            self.running = False

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """Nothing: each tracker is built with the settings of its run."""

    @property
    def name(self) -> str:
        """The run's name."""
        return self.run_dir.name

    @property
    def save_dir(self) -> str:
        """The folder of the run, where profilers and other callbacks look for one."""
        return str(self.run_dir)

    @property
    def version(self) -> str:
        """Nothing: a tracker has one run."""
        return ""

    def report(self, sentence: str) -> None:
        """Print a sentence about this tracker."""
        self.console.print(f"{self.title}: {sentence}", markup=False, highlight=False, soft_wrap=True)

    def _try(self, action: Callable[[], None]) -> None:
        if self.running:
            self.running = self._survives(action)

    def _survives(self, action: Callable[[], None]) -> bool:
        """Run an action; print what fails in it, and return whether nothing did."""
        try:
            action()
        except self.failures as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            self.report(f"it failed ({reason}) and gets nothing more of this run, which goes on without it.")
            return False
        return True


def trackers_of(trainer: Trainer) -> list[Tracker]:
    """The trackers among a trainer's loggers, in their order."""
    return [logger for logger in trainer.loggers if isinstance(logger, Tracker)]


@final
class CsvTracker(Tracker):
    """``log/version_N/metrics.csv`` in the run's folder: each start has its own, so none is overwritten."""

    title = "CSV"

    def _start(self, iteration: int) -> None:
        self.file = CSVLogger(self.run_dir, name="log", flush_logs_every_n_steps=10)

    def _log(self, metrics: Metrics, step: int) -> None:
        self.file.log_metrics(dict(metrics), step)

    def _save(self) -> None:
        self.file.save()

    def _finish(self, succeeded: bool) -> None:
        self.file.save()
