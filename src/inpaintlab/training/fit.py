"""One training, from its settings to its last batch. The same settings again resume where it stopped."""

import os
from contextlib import nullcontext
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
    Compilation,
    Learner,
    Steps,
    build,
    chosen_compilation,
    chosen_precision,
    device_type,
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
from inpaintlab.metrics import SetMetric, divided, require_direction, require_enough, require_fitting
from inpaintlab.recipes import pictures_in_words, plain
from inpaintlab.runs import (
    configuration_of,
    debug_folder,
    debug_line,
    debug_settings,
    give_up,
    identity_of,
    keep_output,
    locked,
    mask_recipe,
    require_same_settings,
    run_folder,
    save_list,
    training_record,
)
from inpaintlab.settings import require_batch
from inpaintlab.survival import (
    EndsEarly,
    ending_together,
    missed_validation,
    note_finished,
    require_launcher,
    require_processes,
    require_same_cosines,
    require_same_steps,
    starting_point,
)
from inpaintlab.testsets import ManifestDataset
from inpaintlab.tracking import chosen_trackers, require_trackers
from inpaintlab.training.callbacks import callbacks
from inpaintlab.training.chosen import require_callbacks
from inpaintlab.training.identity import begin_from, run_record, trained_on
from inpaintlab.training.terminal import print_plan
from inpaintlab.training.trainer import flags_explained, profiler_of, quieten, report_profile, training_trainer
from inpaintlab.training.validation import notes_of_few, validation_manifest


def train(
    cfg: dict[str, Any],
    model: Learner,
    data: DataModule,
    run_dir: Path,
    before: dict[str, Any] | None,
    stood: int | None,
    request: Request,
    compilation: Compilation,
) -> None:
    """Fit ``model`` in ``run_dir``, from its last checkpoint if there is one.

    Args:
        cfg: the settings of ``inpaintlab train``, resolved.
        model: with its weights drawn, not yet on a device.
        data: the training data; its validation set is set here.
        run_dir: the run's folder; it is made.
        before: the record in its last checkpoint; None at the beginning.
        stood: the time of that checkpoint when it was about to be read (see `time_of`).
        request: ends the training early, after a checkpoint, when a signal was received.
        compilation: whether the networks are compiled.

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
    missed = before is not None and done > 0 and missed_validation(run_dir, before, cfg["every"]["validation"])
    if done >= model.schedule.total and not missed:
        if first:
            note_finished(run_dir, model.schedule.total, cfg["monitor"]["name"], cfg["monitor"]["higher_is_better"])
        console.print(f"{run_dir} is finished: all {model.schedule.total:,} batches are done.")
        return
    if not before:
        begin_from(cfg["init"], cfg["which"], model, console)
    data.validation = ManifestDataset(validation_manifest(cfg, run_dir))
    require_enough(_set_metrics(cfg), len(data.validation))
    if first:
        run_dir.mkdir(parents=True, exist_ok=True)
    with locked(run_dir) if first else nullcontext():  # before the first file is written, or two would mix theirs
        if first and stood != time_of(last):
            raise ValueError(
                f"{run_dir} was trained by another process a moment ago: the same command goes on from there."
            )
        if first:
            save_list(run_dir, files)
        _fit(cfg, model, data, run_dir, request, console, before, compilation, missed=missed)


def _fit(
    cfg: dict[str, Any],
    model: Learner,
    data: DataModule,
    run_dir: Path,
    request: Request,
    console: Console,
    before: dict[str, Any] | None,
    compilation: Compilation,
    *,
    missed: bool,
) -> None:
    """Write what the run is, then fit (see `train`).

    Args:
        console: quiet in all processes but the first.
        before: the record of the checkpoint that the run resumes from.
        compilation: whether the networks are compiled.
        missed: whether the validation that was due there is to be made up for.
    """
    assert isinstance(data.validation, ManifestDataset)
    first, last = is_first(), run_dir / "last.ckpt"
    if first:
        remove_partials(run_dir, below=True)
        data.validation.manifest.save(run_dir / "validation.json")
    flags, kept = cfg["trainer"], not cfg.get("debug")
    precision, scaling = training_precision(flags["precision"], flags["accelerator"])
    called = callbacks(
        cfg,
        run_dir,
        console,
        request,
        scaling=scaling,
        compiled=compilation.on,
        missed_validation=missed,
    )
    for sentence in (*data.left_out(), *notes_of_few(_set_metrics(cfg), len(data.validation))):
        console.print(f"note: {sentence}", markup=False, highlight=False, soft_wrap=True)
    recorded = cfg | {"commit": commit(), "versions": versions()}
    if model.run_record is not None:  # in the first process, which alone tracks
        recorded["configuration"] = configuration_of(model.run_record["settings"], model.run_record["trained_on"])
    trackers = chosen_trackers(cfg.get("logger"), run_dir, console, recorded, cfg["notes"])
    trainer = training_trainer(flags, cfg["every"], called, trackers, **precision)
    profiler_of(trainer).dirpath = profiler_of(trainer).dirpath or run_dir / "profile"
    if before:
        require_same_steps(before, trainer.world_size, flags["precision"])
    if first:
        if kept:
            code = {"commit": recorded["commit"], "versions": recorded["versions"]}
            keep_output(run_dir, batches_done=before["iterations"] if before else 0, **code)
        write_json(run_dir / "config.json", recorded)
        told = facts(model, data, trainer, run_dir) | {"compile": str(compilation)}
        print_plan(console, model, told, data.batch_size * trainer.world_size)
    elif isinstance(trainer.strategy.cluster_environment, LightningEnvironment):  # type: ignore[attr-defined]
        end_with_first()
    ended = None
    try:
        with ending_together(trainer.world_size, last, trainer.strategy.launcher), flags_explained(flags):
            loading_explained(
                lambda: trainer.fit(model, datamodule=data, ckpt_path=last if before else None, weights_only=True),
                "data.workers",
                "data.batch_size",
            )
    except EndsEarly as end:
        ended = end
    report_profile(trainer, run_dir, console, kept=kept)
    if ended is not None:
        if ended.for_good and first and PARENT in os.environ:  # a job of a sweep, which would start it again
            give_up(run_dir, f"{ended.sentence}.")
        raise ended
    assert model.schedule.finished, "the trainer's loop ended before the schedule did"
    if kept:
        console.print(f"done: {last}")


def is_first() -> bool:
    """Whether this is the first process of its run, from the environment: there may be no trainer yet."""
    return bool(rank_zero_only.rank == 0)  # type: ignore[attr-defined]  # Lightning sets it


def _set_metrics(cfg: dict[str, Any]) -> dict[str, SetMetric]:
    """The metrics of the settings that are of the whole validation set, by name."""
    return divided(instantiate(cfg["metrics"], _convert_="all"))[1]


def time_of(path: Path) -> int | None:
    """When a file was last written, in nanoseconds; None if there is none."""
    return path.stat().st_mtime_ns if path.is_file() else None


def facts(model: Learner, data: DataModule, trainer: Trainer, run_dir: Path) -> dict[str, str]:
    """The lines of the printed plan below its phases and losses, by their names."""
    assert isinstance(data.validation, ManifestDataset)
    return {
        "parameters": f"{sum(p.numel() for p in model.parameters()):,}",
        "data": f"{pictures_in_words(data.validation.manifest.source)}: "
        f"{len(data.training_set()):,} training photographs, {len(data.validation):,} for validation",
        "device": f"{trainer.accelerator.__class__.__name__} x {trainer.world_size}, {trainer.precision}",
        "run": str(run_dir),
    }


def build_and_fit(cfg: DictConfig, choices: dict[str, str | None], request: Request) -> None:
    """Build everything from the configuration, then fit; a debug run in little, in a folder that is deleted.

    Args:
        cfg: the settings of ``inpaintlab train``.
        choices: the chosen file of each group of settings, as Hydra names them.
        request: see `train`.

    Raises:
        ValueError: settings that cannot be met; raised before anything is written.
    """
    quieten()
    require_launcher()
    if PARENT in os.environ:
        end_with_parent()
    if not cfg.get("debug"):
        _build_and_fit(cfg, run_folder(plain(cfg), choices), request)
        return
    short = debug_settings(cfg)
    with debug_folder() as folder:
        _build_and_fit(short, folder, request)
        if is_first():
            print(debug_line(folder, cfg, short))


def _build_and_fit(cfg: DictConfig, run_dir: Path, request: Request) -> None:
    """See `build_and_fit`.

    Args:
        run_dir: the run's folder.
    """
    settings = plain(cfg)
    # what Lightning refuses is told before anything is made; the precision is chosen below
    training_trainer(cfg.trainer, settings["every"], precision=None)
    stood = time_of(run_dir / "last.ckpt")
    before = starting_point(run_dir)
    if before:
        settings_before, settings_now = before["run"]["settings"], identity_of(settings)
        require_same_settings(run_dir, settings_before, settings_now)
        require_same_cosines(run_dir, settings_before, settings_now, before["iterations"])
    seed_everything(cfg.seed, workers=True, verbose=False)  # before the networks draw their weights
    model = build(cfg.model, chosen_steps(settings))
    if not isinstance(model, Learner):
        raise ValueError(f"{type(model).__name__} does not learn; score it with: inpaintlab evaluate model=...")
    require_batch(model, settings)
    model.require_size(settings["data"]["size"])
    precision = chosen_precision(cfg.trainer.precision, cfg.trainer.accelerator)
    settings["trainer"]["precision"] = precision
    model.training_record = training_record(settings) | {"precision": precision}
    require_processes(model, settings["trainer"])
    compilation = chosen_compilation(cfg.compile, device_type(cfg.trainer.accelerator), model.schedule.total)
    same_batch = settings.get("debug", {}).get("same_batch", False)
    data = instantiate(cfg.datamodule, mask=mask_recipe(settings), same_batch=same_batch)
    data.check()
    model.require()
    require_edge_maps(model, data)
    metrics = instantiate(cfg.metrics, _convert_="all")
    require_fitting(metrics, cfg.data.size)
    require_direction(cfg.monitor.name, cfg.monitor.higher_is_better, metrics)
    require_trackers(settings.get("logger"))
    require_callbacks(settings)
    torch.set_float32_matmul_precision("high")
    if device_type(cfg.trainer.accelerator) == "cpu":
        keep_freed_memory()
    with full_disk_named(run_dir):
        train(settings, model, data, run_dir, before, stood, request, compilation)


def require_edge_maps(model: Learner, data: DataModule) -> None:
    """Check that the data have edge maps where the model reads them; one that learns from other edges refuses them.

    Raises:
        ValueError: they are missing, or would be ignored.
    """
    if model.reads_edges is None:
        return
    there = data.source.edges_at("train", 0) is not None
    if model.reads_edges and not there:
        raise ValueError("model.edges reads an edge map for each picture; give data.source.edges=DIR.")
    if there and not model.reads_edges:
        raise ValueError(
            "The pictures have edge maps (data.source.edges), which model.edges would ignore; give model/edges=files, "
            "or leave the maps out."
        )


def chosen_steps(cfg: dict[str, Any]) -> Steps:
    """The optimization settings of a run, from the resolved settings of ``inpaintlab train``."""
    return Steps(cfg["seed"], cfg["accumulate"], cfg["clip_gradients"], cfg["average"])
