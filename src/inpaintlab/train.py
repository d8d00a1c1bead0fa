"""Train a model: compose, seed, build, fit. The same command again resumes where it stopped."""

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
from inpaintlab.checkpoints import load_checkpoint, load_weights
from inpaintlab.config import command, plain
from inpaintlab.data import DataModule
from inpaintlab.health import Health
from inpaintlab.inpainter import Inpainter
from inpaintlab.jobs import PARENT, end_with_parent, held
from inpaintlab.journal import Journal, note_finished
from inpaintlab.logbook import Logbook, Rest
from inpaintlab.metrics import require_fitting
from inpaintlab.panels import Panels
from inpaintlab.progress import Progress, print_plan
from inpaintlab.provenance import commit, versions
from inpaintlab.results import write_json
from inpaintlab.run_settings import mask_recipe, require_precision, run_folder, set_steps, training_record
from inpaintlab.saving import Checkpoints
from inpaintlab.testset import Manifest, ManifestDataset
from inpaintlab.tracking import CsvTracker, Tracker
from inpaintlab.validation import Validation


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
        logbook := Logbook(run_dir),  # before all that takes time of its own
        Validation(MetricCollection(instantiate(cfg["metrics"], _convert_="all"))),
        Checkpoints(run_dir, every["checkpoint"], cfg["monitor"]["name"], cfg["monitor"]["higher_is_better"]),
        Journal(run_dir, every["checkpoint"], cfg["monitor"]["name"], cfg["monitor"]["higher_is_better"]),
        Panels(run_dir, every["panel"], cfg["panel_images"]),
        Health(console, every["log"], **cfg["health"]),
        Progress(console),
        Rest(logbook),
    ]
    trainer = build_trainer(callbacks=callbacks, logger=trackers(cfg, run_dir, console))
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


def trackers(cfg: dict[str, Any], run_dir: Path, console: Console) -> list[Tracker]:
    """The trackers that were asked for, after the CSV, which there is in any case."""
    facts = cfg | {"commit": commit(), "versions": versions()}
    builders = instantiate(cfg.get("logger") or {}, _convert_="all").values()
    return [CsvTracker(run_dir, console), *(build(run_dir, console, facts, cfg["notes"]) for build in builders)]


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
    require_precision(str(cfg.trainer.precision))
    data = instantiate(cfg.datamodule, mask=mask_recipe(settings))
    data.check()  # before anything is written
    require_fitting(instantiate(cfg.metrics, _convert_="all"), cfg.data.size)
    torch.set_float32_matmul_precision("high")
    train(settings, model, data, instantiate(cfg.trainer), run_dir)


if __name__ == "__main__":
    main()
