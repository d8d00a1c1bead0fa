"""How the time and the memory of our step grow with the size of the pictures and of the batch."""

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import matplotlib

from benchmarks import alone
from benchmarks.settings import Settings
from benchmarks.sides import Case
from benchmarks.timing import summary

matplotlib.use("agg")
from matplotlib import pyplot
from matplotlib.ticker import LogLocator, NullFormatter

PHASES = (("edgeconnect", "inpaint"), ("glcic", "joint"))
STEPS = 3  # the first does not count
MEGA = 1e6


def points(settings: Settings) -> list[Case]:
    """For a phase of each model: all sizes at the smallest batch, and all batches at the smallest size."""
    sizes, batches = ((64, 128), (2, 4)) if settings.quick else ((128, 192, 256, 384, 512), (1, 2, 4, 8))
    shapes = [(size, batches[0]) for size in sizes] + [(sizes[0], batch) for batch in batches[1:]]
    return [Case(model, phase, size, batch) for model, phase in PHASES for size, batch in shapes]


def rows(root: Path, folder: Path, settings: Settings, case: Case) -> Iterator[dict[str, Any]]:
    """Measure one row of the table, in this process.

    Args:
        root: the folder of photographs.
        folder: for files; not used.
        settings: of the benchmark.
        case: model, phase and shape.
    """
    found = alone.run(case, settings.variants[0], STEPS, root, settings)
    yield asdict(case) | {
        "variant": settings.variants[0],
        "ours": asdict(summary(found["seconds"][1:])),
        "peak_bytes": found["peak_bytes"],
    }


def pixels(row: dict[str, Any]) -> int:
    """The number of pixels in a batch."""
    return row["size"] ** 2 * row["batch"]


def plot(rows: list[dict[str, Any]], file: Path) -> None:
    """Plot time and memory against the pixels of a batch, by size and by batch, beside linear growth."""
    figure, axes = pyplot.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    for model, phase in dict.fromkeys((row["model"], row["phase"]) for row in rows):
        own = [row for row in rows if (row["model"], row["phase"]) == (model, phase)]
        few, small = min(row["batch"] for row in own), min(row["size"] for row in own)
        series = {
            f"{small} to {max(row['size'] for row in own)} px": [row for row in own if row["batch"] == few],
            f"batch {few} to {max(row['batch'] for row in own)}": [row for row in own if row["size"] == small],
        }
        for (label, part), style in zip(series.items(), ("o-", "s--"), strict=True):
            measured = [row["ours"]["median"] for row in part], [_gigabytes(row) for row in part]
            for axis, values in zip(axes, measured, strict=True):
                axis.plot([pixels(row) / MEGA for row in part], values, style, label=f"{model} {phase}, {label}")
    for axis, name in zip(axes, ("seconds a step", "peak memory, GB"), strict=True):
        axis.set(xscale="log", yscale="log", xlabel="megapixels in a batch", ylabel=name)
        low, high = axis.get_xlim()
        bottom = axis.get_ylim()[0]
        axis.plot([low, high], [bottom, bottom * high / low], ":", color="gray", label="linear")
        for side in (axis.xaxis, axis.yaxis):
            side.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
            side.set_major_formatter("{x:g}")
            side.set_minor_formatter(NullFormatter())
    axes[0].legend(fontsize=7)
    figure.savefig(file, dpi=110, metadata={"Software": None})
    pyplot.close(figure)


def _gigabytes(row: dict[str, Any]) -> float:
    return float("nan") if row["peak_bytes"] is None else row["peak_bytes"] / 1e9
