"""The callbacks of a training, in the order in which they run."""

from pathlib import Path
from typing import Any

from hydra.utils import instantiate
from lightning import Callback
from rich.console import Console
from torchmetrics import MetricCollection

from inpaintlab.inpainting import Compiling
from inpaintlab.machine import Request
from inpaintlab.metrics import divided
from inpaintlab.survival import Checkpoints, Journal, Preemption, SavingStates
from inpaintlab.training.averaging import Averaging
from inpaintlab.training.chosen import chosen_callbacks, keeps_state, require_different
from inpaintlab.training.health import Health
from inpaintlab.training.logbook import Logbook, OtherCallbacksDone
from inpaintlab.training.non_finite import NonFiniteBatches
from inpaintlab.training.panels import Panels
from inpaintlab.training.terminal import ProgressBar
from inpaintlab.training.trainer import seconds_of
from inpaintlab.training.validation import MissedValidation, Validation


def callbacks(
    cfg: dict[str, Any],
    run_dir: Path,
    console: Console,
    request: Request,
    *,
    scaling: list[Callback],
    compiled: bool,
    missed_validation: bool,
) -> list[Callback]:
    """All callbacks of a training. Where their order matters, a comment gives the reason; a test pins the order.

    Args:
        cfg: the settings of ``inpaintlab train``, resolved.
        run_dir: the run's folder.
        console: the terminal.
        request: whether a received signal asks this process to end.
        scaling: the callbacks that the precision needs.
        compiled: whether networks are compiled for learning.
        missed_validation: whether the run ended after a checkpoint and before the validation that was due there.

    Raises:
        ValueError: a callback of the settings cannot work here.
    """
    every, monitor = cfg["every"], (cfg["monitor"]["name"], cfg["monitor"]["higher_is_better"])
    checkpoints = Checkpoints(run_dir, every["checkpoint"], every["validation"], *monitor)
    kept, others = chosen_callbacks(cfg, run_dir, checkpoints)
    of_images, of_sets = divided(instantiate(cfg["metrics"], _convert_="all"))
    directions = {f"val/{name}": bool(metric.higher_is_better) for name, metric in (of_images | of_sets).items()}
    logbook = Logbook(run_dir, directions | dict([monitor]), every["panel"] if cfg["panel_images"] else 0)
    journal = Journal(run_dir, checkpoints, *monitor, logbook.paces)
    saved_every = [*every.values(), *(each.every or 0 for each in kept)]
    called: list[Callback] = [
        # the loss scale is updated before any other callback reads the model
        *scaling,
        # a non-finite step is undone before any other callback saves or shows its result
        NonFiniteBatches(console, run_dir, saved_every, cfg["skip_broken"]),
        # averages move before other callbacks read them, and their copies are made before networks are compiled
        Averaging(),
        *([Compiling(console, cfg["compile_limit"])] if compiled else []),
        # a step's time ends here: the callbacks below take time of their own
        logbook,
        # scores are computed before they decide which checkpoint is best
        Validation(MetricCollection(dict(of_images)), of_sets),
        # those of the setting `callbacks` see a step that stands, and the scores of a validation; what they make of a
        # batch is in the checkpoint of that batch, and when one of them ends the training, all below still follows
        *others,
        # what is due after a batch is kept before last.ckpt says that the batch is done
        *kept,
        # a checkpoint is saved before the journal notes it
        checkpoints,
        journal,
        Panels(run_dir, every["panel"], cfg["panel_images"]),
        Health(console, every["log"], **cfg["health"]),
        ProgressBar(console),
        # last.ckpt holds what a validation left in the callbacks above; until then the validation counts as missed
        *([SavingStates(checkpoints)] if any(map(keeps_state, others)) else []),
        # a process ends when all other callbacks have handled the batch
        Preemption(
            request,
            checkpoints,
            journal,
            console,
            seconds_of(cfg["trainer"].get("max_time")),
            kept=not cfg.get("debug"),
        ),
        # from here on the training waits for the next batch
        OtherCallbacksDone(logbook),
        # all other callbacks have started before the missed validation runs, so they handle it as any other
        *([MissedValidation()] if missed_validation else []),
    ]
    require_different(called)
    return called
