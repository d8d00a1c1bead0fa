"""One training, from its settings to its last batch. The same settings again resume where it stopped."""

import logging
import os
import warnings
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from hydra.utils import instantiate
from lightning import Trainer, seed_everything
from lightning.pytorch.plugins.environments import LightningEnvironment
from lightning.pytorch.utilities import rank_zero_only
from omegaconf import DictConfig
from rich.console import Console

from inpaintlab.data import DataModule
from inpaintlab.inpainting import (
    Learner,
    Steps,
    build,
    checked_steps,
    chosen_precision,
    device_type,
    is_number,
    load_checkpoint,
    load_weights,
    require_compiler,
    training_precision,
)
from inpaintlab.machine import (
    PARENT,
    Request,
    commit,
    end_with_first,
    end_with_parent,
    full_disk_named,
    keep_freed_memory,
    loading_explained,
    remove_partials,
    versions,
    write_json,
)
from inpaintlab.metrics import require_fitting
from inpaintlab.recipes import plain
from inpaintlab.runs import (
    identity_of,
    keep_output,
    locked,
    mask_recipe,
    require_same_settings,
    run_folder,
    save_list,
    training_record,
)
from inpaintlab.survival import (
    ending_together,
    missed_validation,
    note_finished,
    require_launcher,
    require_processes,
    require_same_steps,
    starting_point,
)
from inpaintlab.testsets import Manifest, ManifestDataset
from inpaintlab.tracking import CsvTracker, Tracker
from inpaintlab.training.callbacks import callbacks
from inpaintlab.training.identity import run_record, trained_on
from inpaintlab.training.terminal import print_plan


def train(
    cfg: dict[str, Any],
    model: Learner,
    data: DataModule,
    build_trainer: Callable[..., Trainer],
    run_dir: Path,
    before: dict[str, Any] | None,
    stood: int | None,
    request: Request,
) -> None:
    """Fit ``model`` in ``run_dir``, from its last checkpoint if there is one.

    Args:
        cfg: the settings of ``inpaintlab train``, resolved.
        model: with its weights drawn, not yet on a device.
        data: the training data; its validation set is set here.
        build_trainer: makes the Lightning trainer from callbacks, trackers and the precision's arguments.
        run_dir: the run's folder; it is made.
        before: the record in its last checkpoint; None at the beginning.
        stood: the time of that checkpoint when it was about to be read (see `time_of`).
        request: ends the training early, after a checkpoint, when a signal was received.

    Raises:
        ValueError: the run cannot go on with these settings or files, is damaged, or another process trains it.
    """
    first = is_first()
    console = Console(quiet=not first)
    last = run_dir / "last.ckpt"
    if first:  # of a million files one process is enough to look at
        files = trained_on(cfg, data)
        model.run_record = run_record(cfg, run_dir, before, files, console)
    done = before["iterations"] if before else 0
    missed = done > 0 and missed_validation(run_dir, done, cfg["every"]["validation"])
    if done >= model.schedule.total and not missed:
        if first:
            note_finished(run_dir, model.schedule.total, cfg["monitor"]["name"], cfg["monitor"]["higher_is_better"])
        console.print(f"{run_dir} is finished: all {model.schedule.total:,} batches are done.")
        return
    if cfg["init"] and not before:
        load_weights(model, load_checkpoint(Path(cfg["init"]).expanduser()), cfg["init"])
    data.validation = ManifestDataset(validation_manifest(cfg, run_dir))
    if first:
        run_dir.mkdir(parents=True, exist_ok=True)
    with locked(run_dir) if first else nullcontext():  # before the first file is written, or two would mix theirs
        if first and stood != time_of(last):
            raise ValueError(
                f"{run_dir} was trained by another process a moment ago: the same command goes on from there."
            )
        if first:
            save_list(run_dir, files)
        _fit(cfg, model, data, build_trainer, run_dir, request, console, before, missed=missed)
    console.print(f"done: {last}")


def _fit(
    cfg: dict[str, Any],
    model: Learner,
    data: DataModule,
    build_trainer: Callable[..., Trainer],
    run_dir: Path,
    request: Request,
    console: Console,
    before: dict[str, Any] | None,
    *,
    missed: bool,
) -> None:
    """Write what the run is, then fit (see `train`).

    Args:
        console: quiet in all processes but the first.
        before: the record of the checkpoint that the run resumes from.
        missed: whether the validation that was due there is to be made up for.
    """
    assert isinstance(data.validation, ManifestDataset)
    first, last = is_first(), run_dir / "last.ckpt"
    if first:
        remove_partials(run_dir, below=True)
        data.validation.manifest.save(run_dir / "validation.json")
    precision, scaling = training_precision(cfg["trainer"]["precision"], cfg["trainer"]["accelerator"])
    called = callbacks(
        cfg,
        run_dir,
        console,
        request,
        scaling=scaling,
        compiled=model.steps.compiled,
        missed_validation=missed,
    )
    for sentence in data.left_out():
        console.print(f"note: {sentence}", markup=False, highlight=False, soft_wrap=True)
    recorded = cfg | {"commit": commit(), "versions": versions()}
    trainer = build_trainer(callbacks=called, logger=trackers(recorded, run_dir, console), **precision)
    if before:
        require_same_steps(before, trainer.world_size, cfg["trainer"]["precision"])
    if first:
        code = {"commit": recorded["commit"], "versions": recorded["versions"]}
        keep_output(run_dir, batches_done=before["iterations"] if before else 0, **code)
        write_json(run_dir / "config.json", recorded)
        print_plan(console, model, facts(model, data, trainer, run_dir), data.batch_size * trainer.world_size)
    elif isinstance(trainer.strategy.cluster_environment, LightningEnvironment):  # type: ignore[attr-defined]
        end_with_first()
    with ending_together(trainer.world_size, last, trainer.strategy.launcher):
        loading_explained(
            lambda: trainer.fit(model, datamodule=data, ckpt_path=last if before else None, weights_only=True),
            "data.workers",
            "data.batch_size",
        )


def is_first() -> bool:
    """Whether this is the first process of its run, from the environment: there may be no trainer yet."""
    return bool(rank_zero_only.rank == 0)  # type: ignore[attr-defined]  # Lightning sets it


def time_of(path: Path) -> int | None:
    """When a file was last written, in nanoseconds; None if there is none."""
    return path.stat().st_mtime_ns if path.is_file() else None


def facts(model: Learner, data: DataModule, trainer: Trainer, run_dir: Path) -> dict[str, str]:
    """The lines of the printed plan below its phases and losses, by their names."""
    assert isinstance(data.validation, ManifestDataset)
    return {
        "parameters": f"{sum(p.numel() for p in model.parameters()):,}",
        "data": f"{len(data.training_set()):,} training photographs, {len(data.validation):,} for validation",
        "device": f"{trainer.accelerator.__class__.__name__} x {trainer.world_size}, {trainer.precision}",
        "run": str(run_dir),
    }


def trackers(cfg: dict[str, Any], run_dir: Path, console: Console) -> list[Tracker]:
    """The CSV tracker, which every run has, then the trackers of the setting ``logger``."""
    builders = instantiate(cfg.get("logger") or {}, _convert_="all").values()
    return [CsvTracker(run_dir, console), *(build(run_dir, console, cfg, cfg["notes"]) for build in builders)]


def validation_manifest(cfg: dict[str, Any], run_dir: Path) -> Manifest:
    """The run's small frozen test set: the first validation images, with holes like those of training.

    A run that is resumed keeps the one that it started with, unless other files were accepted and it is not sound with
    them: scores before and after are of other images then.

    Raises:
        ValueError: the validation images cannot be read, or the saved manifest is damaged.
    """
    path = run_dir / "validation.json"
    if path.is_file() and (run_dir / "last.ckpt").is_file():
        frozen = Manifest.load(path)  # by a run of these settings; its files may lie elsewhere by now
        frozen = replace(frozen, source=cfg["data"]["source"], bins={"training holes": mask_recipe(cfg)})
        if cfg["data_changed"] != "accept" or not any(ManifestDataset(frozen).faults()):
            return frozen
    return Manifest.create(
        source=cfg["data"]["source"],
        crop=cfg["data"]["crop"],
        bins={"training holes": mask_recipe(cfg)},
        split="val",
        size=cfg["data"]["size"],
        seed=0,
        images=cfg["validation_images"],
    )


def build_and_fit(cfg: DictConfig, choices: dict[str, str | None], request: Request) -> None:
    """Build everything from the configuration, then fit.

    Args:
        cfg: the settings of ``inpaintlab train``.
        choices: the chosen file of each group of settings, as Hydra names them.
        request: see `train`.

    Raises:
        ValueError: settings that cannot be met; raised before anything is written.
    """
    _quieten()
    require_launcher()
    settings = plain(cfg)
    if PARENT in os.environ:
        end_with_parent()
    run_dir = run_folder(settings, choices)
    stood = time_of(run_dir / "last.ckpt")
    before = starting_point(run_dir)
    if before:
        require_same_settings(run_dir, before["run"]["settings"], identity_of(settings))
    seed_everything(cfg.seed, workers=True, verbose=False)  # before the networks draw their weights
    model = build(cfg.model, chosen_steps(settings))
    if not isinstance(model, Learner):
        raise ValueError(f"{type(model).__name__} does not learn; score it with: inpaintlab evaluate model=...")
    precision = chosen_precision(cfg.trainer.precision, cfg.trainer.accelerator)
    settings["trainer"]["precision"] = precision
    model.training_record = training_record(settings) | {"precision": precision}
    require_processes(model, settings["trainer"])
    if model.steps.compiled:
        require_compiler(device_type(cfg.trainer.accelerator))
    data = instantiate(cfg.datamodule, mask=mask_recipe(settings))
    data.check()
    require_fitting(instantiate(cfg.metrics, _convert_="all"), cfg.data.size)
    torch.set_float32_matmul_precision("high")
    if device_type(cfg.trainer.accelerator) == "cpu":
        keep_freed_memory()
    with full_disk_named(run_dir):
        train(settings, model, data, instantiate(cfg.trainer), run_dir, before, stood, request)


def _quieten() -> None:
    """Hide advice of Lightning and torch that does not apply here."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    for message in (
        ".*your dataloader is not resumable.*",  # our sampler resumes by itself
        ".*does not have many workers.*",  # a single one may suffice
        ".*smaller than the logging interval.*",  # the log has its own: every.log
        ".*treespec, LeafSpec.*",  # Lightning 2.6 on torch 2.13
        # torch 2.13's compiler looks at its inputs, such as a generated image, while it traces
        ".*grad attribute of a Tensor that is not a leaf.*",
    ):
        warnings.filterwarnings("ignore", message=message)


def chosen_steps(cfg: dict[str, Any]) -> Steps:
    """The optimization settings of a run.

    Checkpoints and validations stand between two optimizer steps, never between the batches that one step accumulates.
    So a checkpoint needs no gradients, which differ between processes. The model checks the same of its phases.

    Args:
        cfg: the settings of ``inpaintlab train``, resolved.

    Raises:
        ValueError: a checkpoint or validation would divide a step, or a setting has a value that it cannot have.
    """
    chosen = checked_steps(cfg["seed"], cfg["accumulate"], cfg["clip_gradients"], cfg["average"], cfg["compile"])
    if cfg["data_changed"] not in ("refuse", "accept"):
        raise ValueError(f"data_changed is {cfg['data_changed']}; it is refuse or accept.")
    if not is_number(cfg["skip_broken"], int) or cfg["skip_broken"] < 0:
        raise ValueError(f"skip_broken is {cfg['skip_broken']}; give how many batches may be left out, 0 for none.")
    for key in ("checkpoint", "validation"):
        if cfg["every"][key] % chosen.accumulate:
            raise ValueError(
                f"every.{key} is {cfg['every'][key]}, which is no multiple of accumulate={chosen.accumulate}; give "
                "one, because between them the gradients of a step are not complete."
            )
    return chosen
