"""Result folders for figures: on a frozen test set, with sigmas, oracles, metrics of the set and drawn edges."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from PIL import Image

from inpaintlab.evaluation.results import means_by_bin
from inpaintlab.metrics import Meaning
from inpaintlab.testsets import Manifest, picture_name
from stand_ins.results import MAE_METRIC, PSNR_METRIC, rewrite, write_result

SIZE = 16
BINS = {
    "10-20": {"_target_": "inpaintlab.masks.Rectangle", "height": [0.375, 0.375], "width": [0.375, 0.375]},
    "fixed": {"_target_": "inpaintlab.masks.Block", "fraction": 0.5},
}
FID = Meaning("Frechet distance of a set.", "", higher_is_better=False, of_set=True)
DRAWN = Meaning("Of the drawn edges.", "", higher_is_better=True, undefined_allowed=True)


def frozen(images: int = 4, seed: int = 0, **changes: Any) -> Manifest:
    """A test set of generated scenes, each in two bins."""
    settings: dict[str, Any] = {
        "source": {"_target_": "inpaintlab.data.Toy", "count": images, "size": SIZE},
        "crop": {"_target_": "inpaintlab.data.CentreSquare", "size": SIZE},
        "bins": BINS,
    }
    return Manifest.create(**(settings | changes), split="test", size=SIZE, seed=seed)


def edges_of(sigma: float | None) -> dict[str, Any]:
    """The recipe of an edge source."""
    if sigma is None:
        return {"_target_": "inpaintlab.edges.NoEdges"}
    return {"_target_": "inpaintlab.edges.Canny", "sigma": sigma}


def figure_result(
    folder: Path,
    manifest: Manifest,
    psnr: list[float],
    *,
    sigma: float | None = 2.0,
    fid: list[float] | None = None,
    drawn: dict[str, list[float]] | None = None,
    raw: bool = False,
    hole_edges: str = "drawn",
    test_edges: str = "known",
    set_metric: str = "fid_inception2015",
    **changes: Any,
) -> Path:
    """A whole result of EdgeConnect on a manifest.

    Args:
        folder: its label is the folder's name.
        manifest: the test set.
        psnr: a value an image.
        sigma: of its edges; None for none.
        fid: a metric of the set: its value, then its values on resampled photographs.
        drawn: further columns of images, by metric.
        raw: whether it kept pictures of the raw output and of the edges.
        hole_edges: EdgeConnect's; 'original' makes it an oracle.
        test_edges: EdgeConnect's; 'whole' makes it an oracle.
        set_metric: what the metric of the set is called.
        changes: keys of its result.json.
    """
    manifest.save(folder / "manifest.json")
    names = [item.name for item in manifest.items]
    facts: dict[str, Any] = {
        "method": "inpaintlab.models.edgeconnect.EdgeConnect",
        "config": {"edges": edges_of(sigma), "hole_edges": hole_edges, "test_edges": test_edges},
        "oracle": hole_edges == "original" or test_edges == "whole",
        "switches": {"edges": "canny"},
        "manifest": {"sha256": manifest.sha256, "items": len(names), "size": manifest.size},
    }
    write_result(folder, psnr, bins=[item.bin for item in manifest.items], names=names, **facts)
    table = pl.read_parquet(folder / "per_image.parquet")
    metrics = {"psnr_rgb": PSNR_METRIC, "mae": MAE_METRIC}
    for metric, values in (drawn or {}).items():
        metrics[metric] = DRAWN
        table = table.with_columns(pl.Series(metric, values, pl.Float64()))
    table = table.with_columns(pl.Series("image", [item.image for item in manifest.items]))
    table.write_parquet(folder / "per_image.parquet")
    means = means_by_bin(table, metrics)
    if fid is not None:
        metrics[set_metric] = FID
        changes["replicates"] = {set_metric: dict.fromkeys(means, fid[1:])}
        for bin_name in means:
            means[bin_name][set_metric] = fid[0]
    if raw:
        for kind, shape in (("raw", (SIZE, SIZE, 3)), ("inside/edges", (SIZE, SIZE))):
            (folder / kind).mkdir(parents=True)
            for name in names:
                Image.fromarray(np.full(shape, 90, np.uint8)).save(folder / kind / picture_name(name))
    rewrite(folder, metrics={name: asdict(one) for name, one in metrics.items()}, means=means, **changes)
    return folder
