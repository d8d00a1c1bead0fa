"""Folders of runs as trainings leave them, without a training."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from inpaintlab.runs import Progress

SETTINGS = {
    "model": {
        "_target_": "inpaintlab.models.GLCIC",
        "learning_rate": 1.0,
        "schedule": {"phases": {"completion": {"batches": 4}, "none": {"batches": 0}, "joint": {"batches": 6}}},
    },
    "data": {"source": {"_target_": "inpaintlab.data.Folder", "root": "photos"}, "flip": 0.5},
    "logger": {},
    "seed": 1,
}


def a_run(
    folder: Path,
    scores: Sequence[float | None] = (20.0, 22.0),
    *,
    done: int = 10,
    settings: Mapping[str, Any] = SETTINGS,
    seconds_ago: float = 0.0,
) -> Path:
    """A run that was validated every other batch."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(settings))
    validations = [(2 * number, score) for number, score in enumerate(scores, 1)]
    Progress(done, 10, "val/psnr_rgb", True, validations, 1.5).save(folder)
    (folder / "output.log").write_text("--- start\n")
    log(folder, 0, {"val/psnr_rgb": dict(validations)})
    if seconds_ago:
        aged(folder, seconds_ago)
    return folder


def aged(folder: Path, seconds: float) -> None:
    for path in folder.iterdir():
        then = path.stat().st_mtime - seconds
        os.utime(path, (then, then))


def log(folder: Path, start: int, curves: Mapping[str, Mapping[int, float | None]]) -> Path:
    """The CSV file of one start, as Lightning writes it: a line a batch and curve, the step one below the batches."""
    path = folder / f"log/version_{start}/metrics.csv"
    path.parent.mkdir(parents=True)
    lines = [",".join(["epoch", *curves, "step"])]
    for name, curve in curves.items():
        for batch, value in curve.items():
            cells = ["" if value is None or other != name else str(value) for other in curves]
            lines.append(",".join(["0", *cells, str(batch - 1)]))
    path.write_text("\n".join(lines) + "\n")
    return path
