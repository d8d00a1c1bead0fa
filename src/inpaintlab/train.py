"""Train a model: compose, seed, build, fit. The same command again resumes where it stopped."""

import hashlib
import json
import logging
import os
import warnings
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from hydra.utils import instantiate
from lightning import Trainer, seed_everything
from omegaconf import DictConfig
from rich.console import Console
from torchmetrics import MetricCollection

from inpaintlab.averaging import Averaging
from inpaintlab.callbacks import Checkpoints, Panels, Validation
from inpaintlab.config import FREE_TO_CHANGE, command, plain
from inpaintlab.data import DataModule
from inpaintlab.health import Health
from inpaintlab.inpainter import Inpainter, load_checkpoint, load_weights
from inpaintlab.jobs import PARENT, end_with_parent, held
from inpaintlab.journal import Journal, note_finished
from inpaintlab.metrics import require_fitting
from inpaintlab.progress import Progress, print_plan
from inpaintlab.provenance import commit, versions
from inpaintlab.results import write_json
from inpaintlab.testset import Manifest, ManifestDataset
from inpaintlab.tracking import csv_logger

PRECISIONS = ("32-true", "64-true", "bf16-mixed")


def train(
    cfg: dict[str, Any], model: Inpainter, data: DataModule, build_trainer: Callable[..., Trainer], run_dir: Path
) -> None:
    """Fit ``model`` in ``run_dir``, from its last checkpoint if there is one."""
    assert model.schedule is not None
    console = Console()
    last = run_dir / "last.ckpt"
    if last.is_file() and load_checkpoint(last)["inpaintlab"]["iterations"] >= model.schedule.total:
        note_finished(run_dir, model.schedule.total, cfg["monitor"]["name"], cfg["monitor"]["higher_is_better"])
        console.print(f"{run_dir} is finished: all {model.schedule.total:,} batches are done.")
        return
    if cfg["init"] and not last.is_file():
        load_weights(model, load_checkpoint(Path(cfg["init"])), cfg["init"])
    run_dir.mkdir(parents=True, exist_ok=True)
    write_json(run_dir / "config.json", cfg | {"commit": commit(), "versions": versions()})
    data.validation = ManifestDataset(validation_manifest(cfg, run_dir))

    every = cfg["every"]
    callbacks = [
        Averaging(),  # before all that looks at the averages
        Validation(MetricCollection(instantiate(cfg["metrics"], _convert_="all"))),
        Checkpoints(run_dir, every["checkpoint"], cfg["monitor"]["name"], cfg["monitor"]["higher_is_better"]),
        Journal(run_dir, every["checkpoint"], cfg["monitor"]["name"], cfg["monitor"]["higher_is_better"]),
        Panels(run_dir, every["panel"], cfg["panel_images"]),
        Health(console, every["log"], **cfg["health"]),
        Progress(console),
    ]
    loggers = [csv_logger(run_dir)]
    if cfg["logger"]:
        loggers.append(instantiate(cfg["logger"], _convert_="all")(run_dir=run_dir, config=cfg | {"commit": commit()}))
    trainer = build_trainer(callbacks=callbacks, logger=loggers)
    if trainer.is_global_zero:
        facts = {
            "parameters": f"{sum(p.numel() for p in model.parameters()):,}",
            "data": f"{len(data.training_set()):,} training photographs, {len(data.validation):,} for validation",
            "device": f"{trainer.accelerator.__class__.__name__} x {trainer.world_size}, {trainer.precision}",
            "run": str(run_dir),
        }
        print_plan(console, model, facts, data.batch_size * trainer.world_size)
    with held(run_dir) if trainer.is_global_zero else nullcontext():
        trainer.fit(model, datamodule=data, ckpt_path=last if last.is_file() else None, weights_only=True)
    if trainer.is_global_zero:
        console.print(f"done: {last}")


def validation_manifest(cfg: dict[str, Any], run_dir: Path) -> Manifest:
    """The run's small frozen test set: the first validation images with holes like those of training."""
    path = run_dir / "validation.json"
    if path.is_file() and (run_dir / "last.ckpt").is_file():
        return Manifest.load(path)
    manifest = Manifest.create(
        source=cfg["data"]["source"],
        crop=cfg["data"]["crop"],
        bins={"training holes": mask_recipe(cfg)},
        split="val",
        size=cfg["data"]["size"],
        seed=0,
        images=cfg["validation_images"],
    )
    manifest.save(path)
    return manifest


def mask_recipe(cfg: dict[str, Any]) -> dict[str, Any]:
    """The chosen mask, held to the hole ratio where one is asked for."""
    if cfg["hole_ratio"] is None:
        return cfg["mask"]
    low, high = cfg["hole_ratio"]
    return {"_target_": "inpaintlab.masks.WithHoleRatio", "mask": cfg["mask"], "low": low, "high": high}


def training_record(cfg: dict[str, Any]) -> dict[str, Any]:
    """What a checkpoint says of how it came about, for reports on it."""
    data = {"data": cfg["data"]["source"], **{key: cfg["data"][key] for key in ("crop", "size", "flip", "batch_size")}}
    return data | {"mask": mask_recipe(cfg), "seed": cfg["seed"], "init": cfg["init"]}


def set_steps(model: Inpainter, cfg: dict[str, Any]) -> None:
    """Tell the model how its batches become steps, and whether its generators are averaged.

    No phase, saving or validation may cut the batches of a step apart. So a checkpoint always stands between two steps
    and needs no gradients, which differ from process to process.

    Raises:
        ValueError: one does, or a setting is no number that it can be.
    """
    group, limit, average = cfg["accumulate"], cfg["clip_gradients"], cfg["average"]
    if not _is_number(group, int) or group < 1:
        raise ValueError(f"accumulate is {group}; give the whole number of batches that make a step, 1 for each.")
    if limit is not None and not (_is_number(limit, int | float) and limit > 0):
        raise ValueError(f"clip_gradients is {limit}; give the largest norm, a positive number, or null for none.")
    if average is not None and not (_is_number(average, float) and 0 < average < 1):
        raise ValueError(f"average is {average}; give a decay between 0 and 1, such as 0.999, or null for none.")
    assert model.schedule is not None
    for key in ("checkpoint", "validation"):
        if cfg["every"][key] % group:
            raise ValueError(
                f"every.{key} is {cfg['every'][key]}, which is no multiple of accumulate={group}; give one, because "
                "between them the gradients of a step are not complete."
            )
    for phase in model.schedule.phases:
        if phase.batches % group:
            raise ValueError(
                f"Phase '{phase.name}' has {phase.batches} batches, which is no multiple of accumulate={group}; give "
                "one, because a step belongs to one phase."
            )
    model.accumulate, model.gradient_limit, model.average = group, limit, average


def require_precision(model: Inpainter, precision: str) -> None:
    """See that the gradients survive the precision of training.

    Raises:
        ValueError: they do not, or it is one that nothing here was made for.
    """
    if precision == "bf16-mixed" and not model.survives_bfloat16:
        raise ValueError(
            f"trainer.precision is 'bf16-mixed', in which the gradients of {type(model).__name__} lose their direction "
            "while it is young; give trainer.precision=32-true."
        )
    if precision not in PRECISIONS:
        raise ValueError(
            f"trainer.precision is '{precision}'; it can be {' or '.join(repr(name) for name in PRECISIONS)}, because "
            "float16 needs a scale of the loss, which the optimizers of one batch would change under each other."
        )


def _is_number(value: object, kind: Any) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)


def run_folder(cfg: dict[str, Any], choices: dict[str, str | None]) -> Path:
    """``runs/<name>``; without a name, one that follows from everything that decides the result.

    So the same command finds its own folder again, and another setting finds another. A name that was given may meet
    a run of other settings: that is an error, because continuing it would mix two experiments.

    Raises:
        ValueError: the named run was started with other settings.
    """
    identity = {key: value for key, value in cfg.items() if key not in FREE_TO_CHANGE}
    identity["data"] = {key: value for key, value in cfg["data"].items() if key != "workers"}
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:8]
    folder = Path(cfg["runs"]) / (cfg["name"] or f"{choices['model']}-{choices['data']}-{digest}")
    saved = folder / "config.json"
    if saved.is_file() and (folder / "last.ckpt").is_file():  # a start that failed has no claim on the name
        before = {key: value for key, value in json.loads(saved.read_text()).items() if key in identity}
        before["data"].pop("workers", None)
        changed = differences(_without_lengths(before), _without_lengths(identity))
        if changed:
            raise ValueError(
                f"{folder} holds a run with other settings: {'; '.join(changed[:3])}. Give this one another name "
                "(name=...), or repeat the first one's settings to continue it."
            )
    return folder


def differences(before: Any, now: Any, key: str = "") -> list[str]:
    """Each setting that changed, as 'key: before -> now'."""
    if isinstance(before, dict) and isinstance(now, dict):
        keys = sorted(before.keys() | now.keys())
        return [d for k in keys for d in differences(before.get(k), now.get(k), f"{key}.{k}" if key else k)]
    return [] if before == now else [f"{key}: {before} -> {now}"]


def _without_lengths(cfg: dict[str, Any]) -> dict[str, Any]:
    """The settings without the phases' lengths: a run may be continued for longer."""
    cfg = json.loads(json.dumps(cfg))
    for phase in cfg.get("model", {}).get("schedule", {}).get("phases", {}).values():
        phase.pop("batches", None)
    return cfg


@command("train")
def main(cfg: DictConfig) -> None:
    """Build everything from the configuration and fit."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    # Our sampler resumes by itself, and one worker can be right, whatever Lightning advises.
    warnings.filterwarnings("ignore", message=".*your dataloader is not resumable.*")
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
    warnings.filterwarnings("ignore", message=".*treespec, LeafSpec.*")  # Lightning 2.6 on torch 2.13
    settings = plain(cfg)
    if HydraConfig.get().mode == RunMode.MULTIRUN:
        raise ValueError("A sweep trains each job in a process of its own; use hydra/sweeper=grid, list or optuna.")
    if PARENT in os.environ:
        end_with_parent()
    run_dir = run_folder(settings, dict(HydraConfig.get().runtime.choices))
    seed_everything(cfg.seed, workers=True, verbose=False)  # before the networks draw their weights
    model = instantiate(cfg.model)
    if not isinstance(model, Inpainter) or model.schedule is None:
        raise ValueError(f"{type(model).__name__} does not learn; score it with: inpaintlab evaluate model=...")
    model.recipe, model.seed = settings["model"], cfg.seed
    model.training_record = training_record(settings)
    set_steps(model, settings)
    require_precision(model, str(cfg.trainer.precision))
    data = instantiate(cfg.datamodule, mask=mask_recipe(settings))
    data.check()  # before anything is written
    require_fitting(instantiate(cfg.metrics, _convert_="all"), cfg.data.size)
    torch.set_float32_matmul_precision("high")
    train(settings, model, data, instantiate(cfg.trainer), run_dir)


if __name__ == "__main__":
    main()
