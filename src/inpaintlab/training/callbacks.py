"""What goes on beside the steps of a training, in the order in which it is called."""

from pathlib import Path
from typing import Any

from hydra.utils import instantiate
from lightning import Callback
from rich.console import Console
from torchmetrics import MetricCollection

from inpaintlab.inpainting import Compiling
from inpaintlab.machine import Request
from inpaintlab.survival import Checkpoints, Journal, Preemption
from inpaintlab.training.averaging import Averaging
from inpaintlab.training.health import Health
from inpaintlab.training.logbook import Logbook, OtherCallbacksDone
from inpaintlab.training.non_finite import NonFiniteBatches
from inpaintlab.training.panels import Panels
from inpaintlab.training.terminal import ProgressBar
from inpaintlab.training.validation import MissedValidation, Validation


def callbacks(
    cfg: dict[str, Any],
    run_dir: Path,
    console: Console,
    request: Request,
    *,
    scaling: list[Callback],
    compiled: bool,
    owes_validation: bool,
) -> list[Callback]:
    """All callbacks of a training. Their order matters where a reason says so; `tests/training` holds it.

    Args:
        cfg: the settings of ``inpaintlab train``, resolved.
        run_dir: the run's folder.
        console: where a person reads.
        request: what this process is asked from outside.
        scaling: what belongs to the precision.
        compiled: whether networks are compiled for learning.
        owes_validation: whether the run was ended before it had validated where it stands.
    """
    every, monitor = cfg["every"], (cfg["monitor"]["name"], cfg["monitor"]["higher_is_better"])
    checkpoints = Checkpoints(run_dir, every["checkpoint"], every["validation"], *monitor)
    journal = Journal(run_dir, checkpoints, *monitor)
    logbook = Logbook(run_dir)
    return [
        # a step's loss scale moves before anything looks at what the step left
        *scaling,
        # a step that is taken back is taken back before anything keeps or shows what it left
        NonFiniteBatches(console, run_dir, every.values(), cfg["skip_broken"]),
        # averages move before anything looks at them, and are copied before networks are compiled
        Averaging(),
        *([Compiling(console)] if compiled else []),
        # the time of a step ends before what takes time of its own
        logbook,
        # scores are there before they decide which checkpoint is best
        Validation(MetricCollection(instantiate(cfg["metrics"], _convert_="all"))),
        # the journal tells of checkpoints that are saved
        checkpoints,
        journal,
        Panels(run_dir, every["panel"], cfg["panel_images"]),
        Health(console, every["log"], **cfg["health"]),
        ProgressBar(console),
        # a process leaves when all else of the batch is done
        Preemption(request, checkpoints, journal, console),
        # what follows is the wait for the next batch
        OtherCallbacksDone(logbook),
        # a validation that is made up for is seen by all of them
        *([MissedValidation()] if owes_validation else []),
    ]
