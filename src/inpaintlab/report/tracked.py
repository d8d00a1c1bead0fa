"""Results and comparisons as runs of W&B: their numbers as summary, their tables, the files as artifacts."""

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


def asked_for(logger: Any, what: str) -> Builder | None:
    """What builds the W&B run that the setting ``logger`` asks for; None where it asks for nothing.

    ``what`` is to be told, such as "a comparison".

    Raises:
        ValueError: it asks for a tracker that has only curves.
    """
    others = [name for name in logger or () if name != "wandb"]
    if others:
        raise ValueError(
            f"logger={others[0]} shows curves of a training, and {what} has none; give logger=wandb or logger=none."
        )
    return instantiate(logger.wandb, _convert_="all") if logger else None


def track_comparison(build: Builder, table: Table, folder: Path, per_image: bool = False) -> None:
    """Log a comparison whose files lie in ``folder``, and finish the run.

    ``comparison`` is table.csv; the summary holds each mean as ``<method>/<metric>/<bin>``; with ``per_image`` a second
    table has a row an image and method. Tables and report go up as an artifact, when there is something to go up to.

    Raises:
        ValueError: W&B cannot be reached, with what to do about it.
    """
    tracker = build(folder, Console(), _settings(table), job_type="compare")
    with _run(tracker) as run:
        run.log({"comparison": _table(pl.read_csv(folder / "table.csv"))})
        for result in table.results:
            run.summary.update({f"{result.label}/{name}": mean for name, mean in _means(result).items()})
        if per_image:
            run.log({"per_image": _table(_images(table.results))})
        files = [folder / name for name in ("table.csv", "table.md", "costs.csv", "seeds.csv", "report.html")]
        tracker.keep("comparison", "comparison", files, ["latest"], {"manifest": table.results[0].manifest["sha256"]})


def track_result(build: Builder, result: Result) -> None:
    """Log what an evaluation wrote, and finish the run.

    The summary holds each mean as ``<metric>/<bin>``; result.json, the values of each image and the manifest go up as
    an artifact, the completed images do not.

    Raises:
        ValueError: W&B cannot be reached, with what to do about it.
    """
    tracker = build(result.folder, Console(), {"label": result.label, **_method(result)}, job_type="evaluate")
    with _run(tracker) as run:
        run.summary.update(_means(result))
        files = [result.folder / name for name in ("result.json", "per_image.parquet", "manifest.json")]
        tracker.keep("result", "result", files, ["latest"], {"label": result.label, "commit": result.commit})


@contextmanager
def _run(tracker: "WandbTracker") -> Iterator[Any]:
    """A run of W&B that is finished, whatever happens; what W&B does not take is told as the user's to decide."""
    try:
        run = tracker.open()
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
    """What the run's configuration says: the test set, and of each method what its result says."""
    return {
        "manifest": table.results[0].manifest,
        "reference": table.reference,
        "methods": {result.label: _method(result) for result in table.results},
    }


def _method(result: Result) -> dict[str, Any]:
    """What a result says of its method."""
    return {
        "config": result.config,
        "checkpoint": result.checkpoint,
        "switches": result.switches,
        "post_processing": result.post_processing,
        "commit": result.commit,
    }


def _means(result: Result) -> dict[str, float]:
    """Every mean that there is, as ``<metric>/<bin>``."""
    found = {f"{metric}/{of}": means.get(metric) for metric in result.metrics for of, means in result.means.items()}
    return {name: mean for name, mean in found.items() if mean is not None}


def _images(results: list[Result]) -> pl.DataFrame:
    """The rows of all results below each other, with the method's label in front."""
    frames = [result.per_image.select(pl.lit(result.label).alias("method"), pl.all()) for result in results]
    return pl.concat(frames, how="diagonal")


def _table(frame: pl.DataFrame) -> "wandb.Table":
    import wandb  # a second, which comparisons without it need not wait

    return wandb.Table(columns=list(frame.columns), data=frame.rows())
