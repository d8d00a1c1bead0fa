"""Score one method on one manifest and write its result folder."""

import logging
import shutil
import time
import warnings
from copy import deepcopy
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import torch
from hydra.utils import instantiate
from lightning import Callback, LightningModule, Trainer, seed_everything
from omegaconf import DictConfig
from PIL import Image
from rich.console import Console
from torch.utils.data import DataLoader
from torchmetrics import MetricCollection

from inpaintlab import blending, provenance
from inpaintlab.blending import blend
from inpaintlab.config import command
from inpaintlab.inpainter import Inpainter
from inpaintlab.method import build_method
from inpaintlab.metrics import PerImageMetric, require_fitting
from inpaintlab.results import FORMAT, Result, means_by_bin, picture_name, write_json
from inpaintlab.shapes import Images
from inpaintlab.testset import Manifest, ManifestDataset


class Scores:
    """Scores and pictures of one kind of result: the completed images, or with ``blended`` these after blending."""

    def __init__(self, metrics: MetricCollection, pictures: Path, blended: bool) -> None:
        self.metrics = metrics
        self.pictures = pictures
        self.blended = blended
        self.seconds: list[float] = []

    def add(self, completed: Images, batch: dict[str, Any], seconds: float) -> None:
        """Score a batch and write its pictures rounded to 8 bits; the scores are of the unrounded ones."""
        if self.blended:
            started = time.perf_counter()
            completed = blend(completed, batch["mask"])
            seconds += (time.perf_counter() - started) / len(completed)
        self.seconds += [seconds] * len(completed)
        self.metrics.update(completed, batch["image"], mask=batch["mask"])
        pixels = (completed * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()
        for name, picture in zip(batch["name"], pixels, strict=True):
            Image.fromarray(picture).save(self.pictures / picture_name(name))

    def table(self, manifest: Manifest) -> pl.DataFrame:
        """One row an image, in the manifest's order."""
        columns: dict[str, Any] = {
            key: [getattr(item, key) for item in manifest.items] for key in ("name", "bin", "hole_ratio", "mask_sha256")
        }
        columns |= {name: values.double().cpu().tolist() for name, values in self.metrics.compute().items()}
        return pl.DataFrame(columns | {"seconds": self.seconds})


class Recorder(Callback):
    """Times each batch and hands its completed images on, while ``trainer.test`` runs over a manifest."""

    def __init__(self, scores: list[Scores]) -> None:
        self.scores = scores
        self.names: list[str] = []
        self.started = 0.0

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Score where the images are."""
        for scores in self.scores:
            scores.metrics.to(pl_module.device)

    def on_test_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Start the clock."""
        self.started = time.perf_counter()

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Stop the clock and score."""
        completed = outputs["completed"]
        if completed.is_cuda:
            torch.cuda.synchronize()
        seconds = (time.perf_counter() - self.started) / len(completed)
        self.names += batch["name"]
        for scores in self.scores:
            scores.add(completed, batch, seconds)


def evaluate(
    model: Inpainter,
    manifest: Manifest,
    metrics: dict[str, PerImageMetric],
    trainer: Any,
    folders: dict[Path, dict[str, Any]],
    *,
    root: str | None = None,
    mask_root: str | None = None,
    batch_size: int = 16,
    workers: int = 1,
) -> None:
    """Complete and score every item, then write the result folders, each whole or not at all.

    ``folders`` are the results that are wanted of one run of the method: folder to identity, which is what result.json
    says of the method: label, trained, config, checkpoint, switches, post_processing.
    """
    scores = {}
    for folder, identity in folders.items():
        partial = folder.with_name(folder.name + ".partial")
        shutil.rmtree(partial, ignore_errors=True)
        (partial / "completed").mkdir(parents=True)
        collection = MetricCollection(dict(deepcopy(metrics)))
        scores[folder] = Scores(collection, partial / "completed", identity["post_processing"] is not None)
    recorder = Recorder(list(scores.values()))
    loader = DataLoader(ManifestDataset(manifest, root, mask_root), batch_size, num_workers=workers)
    trainer(callbacks=[recorder], logger=False).test(model, loader, verbose=False)
    assert recorder.names == [item.name for item in manifest.items]
    for folder, identity in folders.items():
        _write(model, manifest, metrics, scores[folder], folder, identity)


def _write(
    model: Inpainter,
    manifest: Manifest,
    metrics: dict[str, PerImageMetric],
    scores: Scores,
    folder: Path,
    identity: dict[str, Any],
) -> None:
    """Fill the partial folder and give it its name."""
    partial = folder.with_name(folder.name + ".partial")
    per_image = scores.table(manifest)
    per_image.write_parquet(partial / "per_image.parquet")
    manifest.save(partial / "manifest.json")
    write_json(
        partial / "result.json",
        {
            "format": FORMAT,
            **identity,
            "method": f"{type(model).__module__}.{type(model).__qualname__}",
            "oracle": model.oracle,
            "manifest": {"sha256": manifest.sha256, "items": len(manifest.items), "size": manifest.size},
            "metrics": {
                name: {
                    "definition": m.definition,
                    "unit": m.unit,
                    "higher_is_better": m.higher_is_better,
                    "undefined_allowed": m.undefined_allowed,
                    "backend": m.backend,
                }
                for name, m in metrics.items()
            },
            "means": means_by_bin(per_image, list(metrics), {n for n, m in metrics.items() if m.undefined_allowed}),
            "seconds_per_image": sum(scores.seconds) / len(scores.seconds),
            "parameters": sum(p.numel() for p in model.parameters()),
            "machine": provenance.machine(),
            "versions": provenance.versions(),
            "commit": provenance.commit(),
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
        },
    )
    partial.rename(folder)


def _check_same(folder: Path, manifest: Manifest, identity: dict[str, Any]) -> None:
    """Raise a ValueError if the result in ``folder`` is of another manifest, method, checkpoint or version."""
    result = Result.load(folder)
    before = {key: getattr(result, key) for key in identity} | {"manifest": result.manifest["sha256"]}
    now = identity | {"manifest": manifest.sha256}
    changed = [key for key in now if before[key] != now[key]]
    if result.versions["inpaintlab"] != provenance.versions()["inpaintlab"]:
        changed.append("version of inpaintlab")
    if changed:
        raise ValueError(
            f"{folder} holds a result of another {' and '.join(changed)}; give another label=... or results=..., or "
            "delete it."
        )


@command("evaluate")
def main(cfg: DictConfig) -> None:
    """Build the method, score it, say where the result is."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
    warnings.filterwarnings("ignore", message=".*treespec, LeafSpec.*")  # Lightning 2.6 on torch 2.13
    manifest = Manifest.load(Path(cfg.manifest))
    seed_everything(cfg.seed, workers=True, verbose=False)
    model, identity = build_method(cfg)
    console = Console()
    wanted = [identity]
    if cfg.blend:
        wanted.append(identity | {"label": f"{identity['label']}_blended", "post_processing": blending.NAME})
    folders = {}
    for identity in wanted:
        folder = Path(cfg.results, identity["label"])
        if folder.exists():
            _check_same(folder, manifest, identity)
            told = f"{identity['label']}: {folder} is there already and is of the same inputs"
            console.print(told, markup=False, highlight=False)
        else:
            folders[folder] = identity
    if not folders:
        return
    metrics = instantiate(cfg.metrics, _convert_="all")
    require_fitting(metrics, manifest.size)  # before anything is written
    Path(cfg.results).mkdir(parents=True, exist_ok=True)
    evaluate(
        model,
        manifest,
        metrics,
        instantiate(cfg.trainer),
        folders,
        root=cfg.root,
        mask_root=cfg.mask_root,
        batch_size=cfg.batch_size,
        workers=cfg.workers,
    )
    for folder, identity in folders.items():
        console.print(f"{identity['label']}: {len(manifest.items)} images -> {folder}", markup=False, highlight=False)


if __name__ == "__main__":
    main()
