"""A comparison as one run of W&B: its table, a summary by method, and the report."""

from pathlib import Path
from typing import Any

import polars as pl
from lightning.pytorch.loggers import WandbLogger
from wandb.errors import Error

from inpaintlab.report.table import Table
from inpaintlab.results import Result

JOB_TYPE = "comparison"


def settings(table: Table) -> dict[str, Any]:
    """What the run's configuration says: the test set, and of each method what its result says."""
    return {
        "manifest": table.results[0].manifest,
        "reference": table.reference,
        "methods": {
            result.label: {
                "config": result.config,
                "checkpoint": result.checkpoint,
                "switches": result.switches,
                "post_processing": result.post_processing,
                "commit": result.commit,
            }
            for result in table.results
        },
    }


def track(logger: WandbLogger, table: Table, folder: Path, per_image: bool = False) -> None:
    """Log a comparison whose files lie in ``folder``, and finish the run.

    ``comparison`` is table.csv; the summary holds each mean as ``<method>/<metric>/<bin>``; with ``per_image`` a second
    table has a row an image and method. The report goes up as an artifact, when there is something to go up to.

    Raises:
        ValueError: W&B cannot be reached, with what to do about it.
    """
    try:
        run = logger.experiment
        try:
            _log_table(logger, "comparison", pl.read_csv(folder / "table.csv"))
            run.summary.update(_means(table))
            if per_image:
                _log_table(logger, "per_image", _images(table.results))
            if not (run.offline or run.disabled):
                run.log_artifact(folder / "report.html", name=f"report-{run.id}", type="report")
        finally:
            run.finish()
    except Error as error:
        reason = " ".join(str(error).split())
        raise ValueError(
            f"W&B did not take the comparison ({reason}); the files in {folder} are whole. Give logger=none, or set "
            "WANDB_MODE=offline and upload it later."
        ) from error


def _log_table(logger: WandbLogger, key: str, frame: pl.DataFrame) -> None:
    logger.log_table(key, columns=frame.columns, data=[list(row) for row in frame.iter_rows()])


def _means(table: Table) -> dict[str, float]:
    """Every mean that there is, by its name in the summary."""
    found = {
        f"{result.label}/{metric}/{bin_name}": table.mean(result, metric, bin_name)
        for result in table.results
        for metric in table.metrics
        for bin_name in table.bins
    }
    return {name: mean for name, mean in found.items() if mean is not None}


def _images(results: list[Result]) -> pl.DataFrame:
    """The rows of all results below each other, with the method's label in front."""
    frames = [result.per_image.select(pl.lit(result.label).alias("method"), pl.all()) for result in results]
    return pl.concat(frames, how="diagonal")
