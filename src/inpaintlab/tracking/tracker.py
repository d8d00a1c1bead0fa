"""Trackers: where the numbers, pictures and alerts of a run go. What fails in one of them never ends a training."""

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
    """Takes what a run tells, in its first process.

    A tracker that fails, because its disk is full or its server gone, says so once and is left out from then on. Before
    ``start`` and after the end it takes nothing.

    Args:
        run_dir: the folder of the run.
        console: where a failure is told.
    """

    title = ""
    """What sentences call it."""

    failures: tuple[type[Exception], ...] = (OSError,)
    """What goes wrong outside this program: a disk, a network, a service."""

    def __init__(self, run_dir: Path, console: Console) -> None:
        super().__init__()
        self.run_dir = run_dir
        self.console = console
        self.running = False

    # --- what a tracker defines -----------------------------------------------------------------------------------

    @abstractmethod
    def _start(self, iteration: int) -> None:
        """Open a run that has done ``iteration`` batches so far."""

    @abstractmethod
    def _log(self, metrics: Metrics, step: int) -> None:
        """Keep numbers of the batch ``step``."""

    @abstractmethod
    def _finish(self, succeeded: bool) -> None:
        """Bring everything to where it belongs, and close."""

    def _save(self) -> None:
        """Bring to the disk what can be brought there at once; nothing by default."""

    def _picture(self, name: str, picture: Image.Image, step: int, caption: str) -> None:
        """Show a picture; a tracker that cannot does nothing."""

    def _alert(self, title: str, sentence: str, step: int) -> None:
        """Tell what a person should know; a tracker that cannot does nothing."""

    def _keep_checkpoints(self, files: Mapping[str, Path], facts: Mapping[str, dict[str, Any]]) -> None:
        """Keep files by what they are called, each with facts about it; a tracker that cannot does nothing."""

    def _pause(self) -> None:
        """Note that the run ends because it was asked to and goes on later; a tracker that cannot does nothing."""

    # --- what a run calls -----------------------------------------------------------------------------------------

    def start(self, iteration: int = 0) -> None:
        """Open a run that has done ``iteration`` batches so far.

        Raises:
            ValueError: the tracker refuses its settings.
        """
        if rank_zero_only.rank == 0:  # type: ignore[attr-defined]  # Lightning sets it
            self.running = self._survives(lambda: self._start(iteration))

    def log_metrics(self, metrics: Metrics, step: int | None = None) -> None:
        """Keep numbers of the batch ``step``."""
        assert step is not None
        self._try(lambda: self._log({name: float(value) for name, value in metrics.items()}, step))

    def save(self) -> None:
        """Bring to the disk what can be brought there at once."""
        self._try(self._save)

    def picture(self, name: str, picture: Image.Image, step: int, caption: str) -> None:
        """Show a picture of the state after batch ``step``, where that can be shown."""
        self._try(lambda: self._picture(name, picture, step, caption))

    def alert(self, title: str, sentence: str, step: int) -> None:
        """Tell what a person should know who does not look at the terminal, where that can be told."""
        self._try(lambda: self._alert(title, sentence, step))

    def keep_checkpoints(self, files: Mapping[str, Path], facts: Mapping[str, dict[str, Any]]) -> None:
        """Keep checkpoints by what they are called (``best``, ``last``), where files are kept."""
        self._try(lambda: self._keep_checkpoints(files, facts))

    def pause(self) -> None:
        """Note that the run is about to end because it was asked to, and goes on later."""
        self._try(self._pause)

    def finalize(self, status: str) -> None:
        """Close at the end of a training: ``success`` or ``failed``."""
        if status in ("success", "failed"):
            self._try(lambda: self._finish(status == "success"))
            self.running = False

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """Nothing: each tracker is built with the settings of its run."""

    @property
    def name(self) -> str:
        """The run's name."""
        return self.run_dir.name

    @property
    def version(self) -> str:
        """Nothing: a tracker has one run."""
        return ""

    def tell(self, sentence: str) -> None:
        """Print a sentence about this tracker."""
        self.console.print(f"{self.title}: {sentence}", markup=False, highlight=False, soft_wrap=True)

    def _try(self, action: Callable[[], None]) -> None:
        if self.running:
            self.running = self._survives(action)

    def _survives(self, action: Callable[[], None]) -> bool:
        """Whether nothing went wrong; what did is told."""
        try:
            action()
        except self.failures as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            self.tell(f"it failed ({reason}) and gets nothing more of this run, which goes on without it.")
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
