"""Score one method on one manifest and write its result folder."""

import logging
import shutil
import time
import warnings
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import torch
from hydra.core.hydra_config import HydraConfig
from hydra.utils import instantiate
from lightning import Callback, LightningModule, Trainer, seed_everything
from omegaconf import DictConfig, OmegaConf
from PIL import Image
from rich.console import Console
from torch.utils.data import DataLoader
from torchmetrics import MetricCollection

from inpaintlab import provenance
from inpaintlab.config import command, plain
from inpaintlab.inpainter import Inpainter, rebuild
from inpaintlab.manifest import Manifest, ManifestDataset
from inpaintlab.metrics import PerImageMetric
from inpaintlab.results import FORMAT, Result, means_by_bin, picture_name, write_json


class Recorder(Callback):
    """Scores each completed image and keeps its picture, while ``trainer.test`` runs over a manifest."""

    def __init__(self, metrics: MetricCollection, pictures: Path) -> None:
        self.metrics = metrics
        self.pictures = pictures
        self.names: list[str] = []
        self.seconds: list[float] = []
        self.started = 0.0

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Score where the images are."""
        self.metrics.to(pl_module.device)

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
        """Stop the clock, score, and write the pictures rounded to 8 bits; the scores are of the unrounded ones."""
        completed = outputs["completed"]
        if completed.is_cuda:
            torch.cuda.synchronize()
        self.seconds += [(time.perf_counter() - self.started) / len(completed)] * len(completed)
        self.metrics.update(completed, batch["image"], mask=batch["mask"])
        self.names += batch["name"]
        pixels = (completed * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()
        for name, picture in zip(batch["name"], pixels, strict=True):
            Image.fromarray(picture).save(self.pictures / picture_name(name))

    def table(self, manifest: Manifest) -> pl.DataFrame:
        """One row an image, in the manifest's order."""
        assert self.names == [item.name for item in manifest.items]
        columns: dict[str, Any] = {
            key: [getattr(item, key) for item in manifest.items] for key in ("name", "bin", "hole_ratio", "mask_sha256")
        }
        columns |= {name: values.double().cpu().tolist() for name, values in self.metrics.compute().items()}
        return pl.DataFrame(columns | {"seconds": self.seconds})


def evaluate(
    model: Inpainter,
    manifest: Manifest,
    metrics: dict[str, PerImageMetric],
    trainer: Any,
    folder: Path,
    identity: dict[str, Any],
    *,
    root: str | None = None,
    batch_size: int = 16,
    workers: int = 1,
) -> None:
    """Complete and score every item, then write the result folder, whole or not at all.

    ``identity`` is what result.json says of the method: label, trained, config, checkpoint.
    """
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    (partial / "completed").mkdir(parents=True)
    recorder = Recorder(MetricCollection(dict(metrics)), partial / "completed")
    loader = DataLoader(ManifestDataset(manifest, root), batch_size, num_workers=workers)
    trainer(callbacks=[recorder], logger=False).test(model, loader, verbose=False)

    per_image = recorder.table(manifest)
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
                name: {"definition": m.definition, "unit": m.unit, "higher_is_better": m.higher_is_better}
                for name, m in metrics.items()
            },
            "means": means_by_bin(per_image, list(metrics)),
            "seconds_per_image": sum(recorder.seconds) / len(recorder.seconds),
            "parameters": sum(p.numel() for p in model.parameters()),
            "machine": provenance.machine(),
            "versions": provenance.versions(),
            "commit": provenance.commit(),
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
        },
    )
    partial.rename(folder)


def build_method(cfg: DictConfig) -> tuple[Inpainter, dict[str, Any]]:
    """The model of the command line or of a checkpoint, and what the result says of it.

    A checkpoint brings its own settings; ``model=...`` beside it only has to name the same method, and single
    ``model.key=value`` overrides go on top.

    Raises:
        ValueError: neither model nor checkpoint, a checkpoint of another method, or a model that learns without one.
    """
    chosen = HydraConfig.get().runtime.choices.get("model")
    if cfg.checkpoint is None:
        if not cfg.get("model"):
            raise ValueError("Nothing to evaluate: give checkpoint=runs/NAME, or model=telea (or another method).")
        model = instantiate(cfg.model)
        model.recipe = plain(cfg.model)
        if model.schedule is not None and not cfg.untrained:
            raise ValueError(
                f"{type(model).__name__} learns, so it needs checkpoint=runs/NAME; untrained=true scores it as it was "
                "born, which is a floor and no result."
            )
        return model, _identity(cfg.label or chosen, model, model.schedule is None, None)

    single = [o for o in HydraConfig.get().overrides.task if o.startswith("model.")]
    overrides = OmegaConf.to_container(OmegaConf.from_dotlist(single)).get("model", {})  # type: ignore[union-attr]
    model, record = rebuild(Path(cfg.checkpoint), overrides)
    if cfg.get("model") and cfg.model["_target_"] != model.recipe["_target_"]:
        raise ValueError(f"{cfg.checkpoint} holds a {type(model).__name__}, not what model={chosen} names.")
    path = Path(cfg.checkpoint)
    file = path / "last.ckpt" if path.is_dir() else path
    origin = {
        "path": str(file),
        "sha256": provenance.file_sha256(file),
        "iterations": record["iterations"],
        "images_seen": record["images_seen"],
    }
    return model, _identity(cfg.label or file.absolute().parent.name, model, True, origin)


def _identity(label: str | None, model: Inpainter, trained: bool, checkpoint: dict[str, Any] | None) -> dict[str, Any]:
    assert label
    return {"label": label, "trained": trained, "config": model.recipe, "checkpoint": checkpoint}


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
    folder = Path(cfg.results, identity["label"])
    if folder.exists():
        _check_same(folder, manifest, identity)
        Console().print(f"{identity['label']}: {folder} is there already and is of the same inputs", highlight=False)
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    evaluate(
        model,
        manifest,
        instantiate(cfg.metrics, _convert_="all"),
        instantiate(cfg.trainer),
        folder,
        identity,
        root=cfg.root,
        batch_size=cfg.batch_size,
        workers=cfg.workers,
    )
    Console().print(f"{identity['label']}: {len(manifest.items)} images -> {folder}", highlight=False)


if __name__ == "__main__":
    main()
