"""Result folders as an evaluation writes them, made by hand."""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from PIL import Image

from inpaintlab.evaluation.record import write_record
from inpaintlab.evaluation.results import means_by_bin
from inpaintlab.machine import file_sha256
from inpaintlab.metrics import Meaning
from inpaintlab.testsets import picture_name

BINS = ["20-30", "20-30", "fixed", "10-20", "10-20", "10-20"]


NAMES = [f"strokes {name}/photo_{i}" for i, name in enumerate(BINS)]


PSNR_METRIC = Meaning("Peak signal-to-noise ratio of one image.", "dB", higher_is_better=True, infinite_allowed=True)
MAE_METRIC = Meaning("Mean absolute error.", "", higher_is_better=False)

METRICS = {"psnr_rgb": asdict(PSNR_METRIC), "mae": asdict(MAE_METRIC)}


def write_result(
    folder: Path,
    psnr: list[float],
    mae: list[float] | None = None,
    bins: list[str] = BINS,
    names: list[str] = NAMES,
    **changes: Any,
) -> Path:
    """A whole result folder of 16x16 pictures; `changes` replace keys of its result.json."""
    columns = {
        "name": names,
        "image": [name.removeprefix(f"{of}/") for name, of in zip(names, bins, strict=True)],
        "bin": bins,
        "hole_ratio": [0.15 + 0.01 * i for i in range(len(names))],
        "mask_sha256": [hashlib.sha256(name.encode()).hexdigest() for name in names],
        "psnr_rgb": psnr,
        "mae": mae or [1 / (1 + i) for i in range(len(names))],
    }
    (folder / "completed").mkdir(parents=True)
    for i, name in enumerate(names):
        picture = np.full((16, 16, 3), 40 * (i % 6), dtype=np.uint8)
        Image.fromarray(picture).save(folder / "completed" / picture_name(name))
    hashes = [file_sha256(folder / "completed" / picture_name(name)) for name in names]
    per_image = pl.DataFrame(columns | {"picture_sha256": hashes})
    per_image.write_parquet(folder / "per_image.parquet")
    weights = {"path": "last.ckpt", "sha256": "ab" * 32}
    if changes.get("checkpoint"):
        changes["checkpoint"] = weights | changes["checkpoint"]
    data = {
        "label": folder.name,
        "method": "inpaintlab.models.glcic.GLCIC",
        "oracle": False,
        "trained": True,
        "config": {"model": {"channels": 64}},
        "checkpoint": weights | {"iterations": 1200, "images_seen": 19200},
        "manifest": {"sha256": "c0ffee" + "0" * 58, "items": len(names), "size": 16},
        "metrics": METRICS,
        "means": means_by_bin(per_image, {"psnr_rgb": PSNR_METRIC, "mae": MAE_METRIC}),
        "seed": None,
        "switches": {},
        "post_processing": None,
        "cost": {"parameters": 6_000_000, "gmac": 1.5, "milliseconds": 20.0, "peak_memory_bytes": 2**20}
        | {"batch_size": 1, "size": 16, "images_seen": 19200},
        "replicates": {},
        "code": "e" * 64,
        "machine": "two cores",
        "versions": {"torch": "2.13.0"},
        "commit": "d" * 40,
        "created": "2026-11-20T10:00:00+00:00",
    }
    write_record(folder, data | changes)
    return folder


def rewrite(folder: Path, **changes: Any) -> None:
    """Replace keys of result.json, and write all hashes anew."""
    data = json.loads((folder / "result.json").read_text())
    write_record(folder, data | changes)
