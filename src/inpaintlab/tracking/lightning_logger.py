"""The tracker for a logger of Lightning's, or one that is derived from it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, final

from lightning.fabric.loggers import Logger
from rich.console import Console

from inpaintlab.tracking.tracker import Metrics, Tracker


@final
class LightningTracker(Tracker):
    """Gives a logger of Lightning's the same lines as our trackers get; pictures, alerts and files are not its own.

    It gets the settings at each start of the run, because such a logger opens a version or run of its own then. If it
    takes no settings, that is told, and it gets the curves all the same.

    Args:
        run_dir: the folder of the run; where the logger writes is its own setting.
        console: where a failure is printed.
        logger: the logger, which other callbacks find as ``logger``.
        config: the settings, as plain values.
    """

    failures = (Exception,)  # of services and databases of all kinds, whose errors have no base in common

    def __init__(self, run_dir: Path, console: Console, logger: Logger, config: Mapping[str, Any]) -> None:
        super().__init__(run_dir, console)
        self.title = type(logger).__name__
        self.logger = logger
        self.config = config

    def _start(self, iteration: int) -> None:
        try:
            self.logger.log_hyperparams(dict(self.config))
        except self.failures as error:  # MLflow, for one, refuses a parameter that has changed
            self.report(f"it takes no settings ({' '.join(str(error).split()) or type(error).__name__}).")

    def _log(self, metrics: Metrics, step: int) -> None:
        self.logger.log_metrics(dict(metrics), step)

    def _save(self) -> None:
        self.logger.save()

    def _finish(self, succeeded: bool) -> None:
        self.logger.finalize("success" if succeeded else "failed")
