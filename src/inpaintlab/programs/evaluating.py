"""Scoring a method on a frozen test set from a program, as `inpaintlab evaluate` does."""

import io
import logging
import multiprocessing
import os
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import torch
from lightning import seed_everything
from lightning.pytorch.utilities import rank_zero_only
from lightning.pytorch.utilities.seed import isolate_rng
from omegaconf import DictConfig
from rich.console import Console

from inpaintlab.evaluation import Plan, Result, plan_evaluation
from inpaintlab.evaluation import evaluate as run_evaluation
from inpaintlab.inpainting import WHOLE, CompileTimer, compile_generators, device_type
from inpaintlab.machine import INTERRUPTED, ending_tidily
from inpaintlab.programs.completing import Method
from inpaintlab.programs.composing import composed, in_one_sentence
from inpaintlab.programs.results import Evaluation
from inpaintlab.recipes import overrides
from inpaintlab.report import chosen_tracker, track_result
from inpaintlab.runs import lines_of_choice
from inpaintlab.survival import require_launcher
from inpaintlab.training import predicting_trainer, quieten
from inpaintlab.trust import trusted_by, trusting

_WORD = re.compile(r"(?!(?i:null|true|false|nan|inf)$)[A-Za-z_./][\w./-]*")
"""Text that Hydra's grammar takes as text."""

_SEEDS = ("PL_GLOBAL_SEED", "PL_SEED_WORKERS")
"""Lightning's variables, by which its workers are seeded."""


def evaluate(
    manifest: str | Path,
    method: Method | None = None,
    *,
    results: str | Path = "results",
    label: str | None = None,
    progress: bool = False,
    trust: Sequence[str] = (),
    **settings: Any,
) -> Evaluation:
    """Score a method on a frozen test set, and write its result folder; a result that is there already is read.

    It is what `inpaintlab evaluate` does with the same settings, in this process and on one device unless ``trainer``
    says otherwise. Random numbers, warnings, Hydra and the way processes are started are afterwards as they were.
    Images are completed whole: a method's ``memory`` takes no part, and one that was loaded with a number as ``window``
    is refused.

    Args:
        manifest: a frozen test set, see `inpaintlab manifest create`.
        method: from `inpaintlab.load` or `inpaintlab.method`; it is built anew from what named it. Or give
            ``checkpoint="runs/NAME"`` or ``model="telea"`` instead.
        results: the folder of all result folders; this one is called by its label.
        label: what tables call the method; None takes the method's own.
        progress: whether to show a bar and what the command prints.
        trust: packages of your own whose classes a checkpoint or a manifest may name.
        settings: of `inpaintlab evaluate`, such as ``metrics="edgeconnect_table1"``, ``blend=True``, ``batch_size=4``,
            ``workers=0``, ``overwrite=True``; those with a dot as in ``**{"model.radius": 5}``. Text is text: nothing
            in it is resolved.

    Returns:
        The result with its table and pictures.

    Raises:
        ValueError: what the command refuses, in one sentence.
        KeyboardInterrupt: it was stopped; the same call goes on from there.
    """
    given = _settings(manifest, method, results, label, settings)
    trusted = overrides({"trust": list(trust)}) if trust else []
    cfg = composed("evaluate", given, "inpaintlab.evaluate", trusted)
    command = ["inpaintlab", "evaluate", *_as_typed(given), *trusted]
    console = Console() if progress else Console(file=io.StringIO(), force_terminal=False, force_jupyter=False)
    with trusting(trusted_by(cfg)), in_one_sentence(), _as_it_was(), _stoppable():
        quieten()
        require_launcher()
        predicting_trainer(cfg.trainer, precision=None)  # what Lightning refuses is told before anything is made
        seed_everything(cfg.seed, workers=True, verbose=False)
        plan = score(cfg, cfg.hydra.runtime.choices.get("model"), overrides(given), console, command)
    folders = [*plan.finished, *(scores.folder for scores in plan.missing)]
    whole = sorted((Result.load(folder) for folder in folders), key=lambda one: one.post_processing is not None)
    blended = Evaluation(whole[1], cfg.root) if len(whole) > 1 else None
    return Evaluation(whole[0], cfg.root, blended)


def _settings(
    manifest: str | Path, method: Method | None, results: str | Path, label: str | None, settings: Mapping[str, Any]
) -> dict[str, Any]:
    """The settings of the command that stand for the arguments of a call."""
    if not isinstance(method, Method | None):
        raise ValueError(
            f"method is a {type(method).__name__}; give what inpaintlab.load or inpaintlab.method returns, or "
            "checkpoint='runs/NAME', or model='telea'."
        )
    settings = {key: str(value) if isinstance(value, Path) else value for key, value in settings.items()}
    given = {"manifest": str(manifest), "results": str(results)}
    if method is None:
        checkpoint = settings.get("checkpoint")
        changed = [key for key in settings if key.startswith(("model.", "model/"))]
        if checkpoint is not None:  # it holds the settings, and single ones override them
            settings = {f"+{key}" if key in changed else key: value for key, value in settings.items()}
        return given | ({} if label is None else {"label": label}) | settings
    if twice := [key for key in settings if key in ("checkpoint", "model", "which", "untrained", "seed")]:
        raise ValueError(
            f"inpaintlab.evaluate gets a method and {twice[0]}; the method says that already: leave it out."
        )
    if method.settings is None:
        raise ValueError(
            f"Nothing names {method.label} on a command line, so its result could not say what it was of; import its "
            "weights (inpaintlab weights import) and load the checkpoint."
        )
    of_device: dict[str, Any] = {}
    if method.inpainter.generators() and torch.cuda.is_available():
        of_device = (
            {"trainer": "cpu"} if method.device.type == "cpu" else {"trainer.devices": [method.device.index or 0]}
        )
    if isinstance(method.windowing.window, int):
        raise ValueError(
            f"{method.label} completes in windows (window={method.windowing.window}), and an evaluation is always of "
            "whole images; load the method without window."
        )
    of_kernels = {} if method.precision == WHOLE else {"precision": method.precision}
    of_fit = {} if method.fit == "refuse" else {"fit": method.fit}
    own = {**_from_here(method.settings), **of_device, **of_kernels, **of_fit, "label": label or method.label}
    return own | settings | given


def _from_here(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that name a method, with a checkpoint below the working folder as seen from there."""
    file = settings.get("checkpoint")
    if file is None or not Path(file).is_absolute() or not Path(file).is_relative_to(Path.cwd()):
        return dict(settings)
    return {**settings, "checkpoint": str(Path(file).relative_to(Path.cwd()))}


def _as_typed(settings: Mapping[str, Any]) -> list[str]:
    """Settings as people type them, without quotes around a plain word."""
    plain = {key: isinstance(value, str) and bool(_WORD.fullmatch(value)) for key, value in settings.items()}
    return [f"{key}={value}" if plain[key] else overrides({key: value})[0] for key, value in settings.items()]


def score(
    cfg: DictConfig, named: str | None, given: Sequence[str], console: Console, command: Sequence[str] | None = None
) -> Plan:
    """Build a method, score it on a test set, and write the result folders that are missing.

    Args:
        cfg: the settings of ``inpaintlab evaluate``.
        named: the chosen file of conf/model, see `build_method`.
        given: the settings on the command line.
        console: shows the progress and where results are.
        command: see `inpaintlab.evaluation.evaluate`.

    Returns:
        The plan that was carried out.

    Raises:
        ValueError: see `plan_evaluation` and `inpaintlab.evaluation.evaluate`.
    """
    build = chosen_tracker(cfg.logger, "an evaluation") if cfg.get("logger") else None
    plan = plan_evaluation(cfg, named, given)
    if plan.compiled and plan.missing:
        compile_generators(plan.model, device_type(cfg.trainer.accelerator))
    first = rank_zero_only.rank == 0  # type: ignore[attr-defined]  # Lightning sets it in each process
    for line in lines_of_choice(cfg.checkpoint, plan.checkpoint) if first else ():
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    with plan.reserved() if first and plan.missing else nullcontext():
        for folder in plan.finished:
            message = f"{folder.name}: {folder} is there already and is of the same inputs"
            console.print(message, markup=False, highlight=False)
        wrote = bool(plan.missing) and _score_missing(cfg, plan, console, command)
    for result in plan.missing if wrote else []:
        message = f"{result.folder.name}: {len(plan.manifest.items)} images -> {result.folder}"
        console.print(message, markup=False, highlight=False)
        if build is not None:
            track_result(build, Result.load(result.folder))
    return plan


def _score_missing(cfg: DictConfig, plan: Plan, console: Console, command: Sequence[str] | None) -> bool:
    """Score the missing results; whether this process wrote them."""
    Path(cfg.results).mkdir(parents=True, exist_ok=True)
    with ending_tidily(), CompileTimer() if plan.compiled else nullcontext() as watch:
        wrote = run_evaluation(
            plan.model,
            plan.manifest,
            plan.set_metrics,
            partial(predicting_trainer, cfg.trainer, precision=plan.precision),
            plan.missing,
            root=cfg.root,
            mask_root=cfg.mask_root,
            batch_size=cfg.batch_size,
            workers=cfg.workers,
            cache=Path(cfg.cache),
            resamples=cfg.resamples,
            console=console,
            command=command,
        )
    if watch and wrote:
        console.print(f"compiled the networks: {watch.taken():.1f} s", highlight=False)
    return wrote


@contextmanager
def _as_it_was() -> Iterator[None]:
    """Leave random numbers, warnings, Lightning's log and its seeds, and how processes start, as a program had them."""
    start = multiprocessing.get_start_method(allow_none=True)
    log, seeds = logging.getLogger("lightning.pytorch"), {name: os.environ.get(name) for name in _SEEDS}
    level = log.level
    with isolate_rng(), warnings.catch_warnings():
        try:
            yield
        finally:
            log.setLevel(level)
            multiprocessing.set_start_method(start, force=True)  # Lightning asks for it, by which Python chooses one
            for name, value in seeds.items():
                os.environ.pop(name, None)
                os.environ.update({} if value is None else {name: value})


@contextmanager
def _stoppable() -> Iterator[None]:
    """Raise the KeyboardInterrupt of which Lightning makes the end of the process."""
    try:
        yield
    except SystemExit as stop:
        if stop.code != INTERRUPTED:  # a request to end the program
            raise
        raise KeyboardInterrupt("stopped; the same call goes on from here") from stop
