"""Logging results and comparisons to W&B: numbers as summary, tables, and files as artifacts."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
from hydra.utils import instantiate
from rich.console import Console

from inpaintlab.comparison import Table
from inpaintlab.evaluation import Result

if TYPE_CHECKING:
    import wandb

    from inpaintlab.tracking import WandbTracker

Builder = Callable[..., "WandbTracker"]


def chosen_tracker(logger: Any, what: str) -> Builder | None:
    """The constructor of the W&B tracker that the setting ``logger`` chooses; None if it chooses none.

    Args:
        logger: the setting.
        what: the subject of the run for the error, such as "a comparison".

    Raises:
        ValueError: it chooses a tracker that shows only curves.
    """
    others = [name for name in logger or () if name != "wandb"]
    if others:
        raise ValueError(
            f"logger={others[0]} shows curves of a training, and {what} has none; give logger=wandb or logger=none."
        )
    return instantiate(logger.wandb, _convert_="all") if logger else None


def track_comparison(build: Builder, table: Table, folder: Path, per_image: bool = False) -> None:
    """Log a comparison to a W&B run, and finish the run.

    The table ``comparison`` is table.csv; the summary holds each mean as ``<method>/<metric>/<bin>``. Tables and report
    are uploaded as an artifact where they are asked for, the report, which holds pictures, where these are; an offline
    run has none.

    Args:
        build: see `chosen_tracker`.
        table: the comparison.
        folder: the folder of its files.
        per_image: also log a table with one row per image and method.

    Raises:
        ValueError: W&B cannot be reached; the message says what to do.
    """
    tracker = build(folder, Console(), _settings(table), job_type="compare")
    names = ["table.csv", "table.md", "costs.csv", "seeds.csv", *(["report.html"] if tracker.pictures else [])]
    contents = ["the manifest", "each mean", "the table", *(["the values of each image"] if per_image else [])]
    with _run(tracker, contents, names) as run:
        run.log({"comparison": _table(pl.read_csv(folder / "table.csv"))})
        for result in table.results:
            run.summary.update({f"{result.label}/{name}": mean for name, mean in _means(result).items()})
        if per_image:
            run.log({"per_image": _table(_images(table.results))})
        files = [folder / name for name in names]
        tracker.keep("comparison", "comparison", files, ["latest"], {"manifest": table.results[0].manifest["sha256"]})


def track_result(build: Builder, result: Result) -> None:
    """Log a result to a W&B run, and finish the run.

    The summary holds each mean as ``<metric>/<bin>``. result.json, the values of each image and the manifest are
    uploaded as an artifact where they are asked for, without the completed images.

    Args:
        build: see `chosen_tracker`.
        result: of one evaluation.

    Raises:
        ValueError: W&B cannot be reached; the message says what to do.
    """
    tracker = build(result.folder, Console(), {"label": result.label, **_method(result)}, job_type="evaluate")
    names = ["result.json", "per_image.parquet", "manifest.json"]
    with _run(tracker, ["each mean"], names) as run:
        run.summary.update(_means(result))
        files = [result.folder / name for name in names]
        tracker.keep("result", "result", files, ["latest"], {"label": result.label, "commit": result.commit})


@contextmanager
def _run(tracker: "WandbTracker", contents: list[str], names: list[str]) -> Iterator[Any]:
    """Open a W&B run, and finish it also after an error; errors of W&B become one that says what to do.

    Args:
        tracker: not yet open.
        contents: what will be logged, in words.
        names: of the files that go up where artifacts are asked for.
    """
    try:
        run = tracker.open(contents, names)
        succeeded = False
        try:
            yield run
            succeeded = True
        finally:
            run.finish(exit_code=0 if succeeded else 1)
    except tracker.failures as error:
        raise ValueError(
            f"W&B did not take what is in {tracker.run_dir} ({' '.join(str(error).split())}); the files in it are "
            "whole. Give logger=none, or set WANDB_MODE=offline and upload it later."
        ) from error


def _settings(table: Table) -> dict[str, Any]:
    """The configuration of the W&B run: the test set, and the record of each method."""
    return {
        "manifest": table.results[0].manifest,
        "reference": table.reference,
        "methods": {result.label: _method(result) for result in table.results},
    }


def _method(result: Result) -> dict[str, Any]:
    """The record of a result's method."""
    return {
        "config": result.config,
        "checkpoint": result.checkpoint,
        "switches": result.switches,
        "post_processing": result.post_processing,
        "commit": result.commit,
    }


def _means(result: Result) -> dict[str, float]:
    """Every mean that is not None, as ``<metric>/<bin>``."""
    found = {f"{metric}/{of}": means.get(metric) for metric in result.metrics for of, means in result.means.items()}
    return {name: mean for name, mean in found.items() if mean is not None}


def _images(results: list[Result]) -> pl.DataFrame:
    """The rows of all results in one table, whose first column is the method's label."""
    frames = [result.per_image.select(pl.lit(result.label).alias("method"), pl.all()) for result in results]
    return pl.concat(frames, how="diagonal")


def _table(frame: pl.DataFrame) -> "wandb.Table":
    import wandb  # a second, which comparisons without it need not wait

    return wandb.Table(columns=list(frame.columns), data=frame.rows())
