"""One evaluation: every image of a test set is completed, scored and stored once."""

import shlex
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from jaxtyping import Float
from lightning import Callback, LightningModule, Trainer
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn
from torch import distributed
from torch.utils.data import DataLoader, Sampler

from inpaintlab.evaluation.cost import measure_cost
from inpaintlab.evaluation.photographs import real_features
from inpaintlab.evaluation.scoring import Scores
from inpaintlab.evaluation.set_scores import score_sets
from inpaintlab.inpainting import Classical, Inpainter, computing
from inpaintlab.machine import INTERRUPTED, command_line, commit, loading_explained, machine
from inpaintlab.metrics import SetMetric, networks_of
from inpaintlab.testsets import Manifest, ManifestDataset

Features = dict[str, Float[np.ndarray, "items width"]]


class UnscoredItems(Sampler[int]):
    """This process's share of the items that are not scored yet: process r of n takes items r, r + n, and so on.

    The finished items are read when the loop starts, after the first process has prepared the folders.

    Args:
        results: the results that the evaluation writes.
        items: number of items in the manifest.
    """

    def __init__(self, results: list[Scores], items: int) -> None:
        self.results = results
        self.items = items

    def _positions(self) -> list[int]:
        rank, processes = 0, 1
        if distributed.is_available() and distributed.is_initialized():
            rank, processes = distributed.get_rank(), distributed.get_world_size()
        done = set.intersection(*(result.done() for result in self.results))
        mine = [position for position in range(rank, self.items, processes) if position not in done]
        # Lightning refuses a process without a batch; a second score of an item is dropped.
        return mine or [rank % self.items]

    def __iter__(self) -> Iterator[int]:
        """The positions of the items in the manifest, rising."""
        return iter(self._positions())

    def __len__(self) -> int:
        return len(self._positions())


class Recorder(Callback):
    """Scores and stores each batch's outputs while ``trainer.test`` runs over a manifest.

    Scoring and writing run in a thread of their own, so that the method does not wait for them.

    Args:
        results: the results that the evaluation writes.
        console: shows the progress.
    """

    def __init__(self, results: list[Scores], console: Console) -> None:
        self.results = results
        self.console = console
        self.thread = ThreadPoolExecutor(1)
        self.pending: list[Future[None]] = []
        self.watching = ExitStack()
        self.progress = Progress(
            *Progress.get_default_columns()[:2],
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Prepare the partial folders in the first process, while the others wait."""
        if trainer.is_global_zero:
            for result in self.results:
                if note := result.prepare():
                    self.console.print(f"{result.folder.name}: {note}", markup=False, highlight=False)
        trainer.strategy.barrier()
        for result in self.results:
            result.join()

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Move metrics and feature networks to the images' device, and show the progress."""
        for part in [part for r in self.results for part in (*r.metrics.values(), *r.networks)]:
            part.to(pl_module.device)
        if trainer.is_global_zero:
            self.progress.start()
            self.task = self.progress.add_task(self.results[0].folder.name, total=trainer.num_test_batches[0])

    def on_test_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Show the progress within the batch of a method that takes seconds for an image."""
        if trainer.is_global_zero and isinstance(pl_module, Classical):
            images = len(batch["image"])

            def update(done: float) -> None:
                self.progress.update(self.task, completed=batch_idx + min(done / images, 1.0))

            self.watching.enter_context(pl_module.watched(update))

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Score the batch while the next one is completed; at most two batches wait for their scores."""
        assert isinstance(pl_module, Inpainter)
        wanted = any(result.raw for result in self.results)
        with computing(trainer.precision, pl_module.device):
            inside = pl_module.seen_inside(batch["image"], batch["mask"], pl_module.edge_files(batch)) if wanted else {}
        self.pending.append(self.thread.submit(self._record, batch, outputs, inside))
        while len(self.pending) > 2:
            self.pending.pop(0).result()
        self.watching.close()
        if trainer.is_global_zero:
            self.progress.update(self.task, completed=batch_idx + 1)

    @torch.inference_mode()
    def _record(self, batch: dict[str, Any], outputs: dict[str, Any], inside: dict[str, Any]) -> None:
        for result in self.results:
            result.add(batch, outputs, inside)

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Wait until every process has written all its rows."""
        for future in self.pending:
            future.result()
        for result in self.results:
            result.flush()
        trainer.strategy.barrier()

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """End the thread, and close the progress bar."""
        self.watching.close()
        self.thread.shutdown(cancel_futures=True)
        self.progress.stop()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Write the scores so far, so that the same command goes on from there, and close the progress bar."""
        self.teardown(trainer, pl_module, "test")
        for result in self.results:
            result.flush()
        if isinstance(exception, (KeyboardInterrupt, SystemExit)) and trainer.is_global_zero:
            self.console.print("Stopped; the same command goes on from here.")


def evaluate(
    model: Inpainter,
    manifest: Manifest,
    set_metrics: dict[str, SetMetric],
    trainer: Any,
    results: list[Scores],
    *,
    root: str | None = None,
    mask_root: str | None = None,
    batch_size: int = 16,
    workers: int = 1,
    cache: Path = Path(".cache"),
    resamples: int = 200,
    console: Console | None = None,
    command: Sequence[str] | None = None,
) -> bool:
    """Complete and score every item that is not scored yet, then write the result folders, each whole or not at all.

    All processes of the trainer take part; they share only the folder that they write to.

    Args:
        model: the method, with its weights.
        manifest: the test set.
        set_metrics: metrics of whole sets, by name.
        trainer: makes a Lightning trainer from callbacks and a logger.
        results: the results to write from one run of the method, for example with and without blending; the first
            process has reserved them.
        root: the folder of the photographs on this machine, if it has moved since the manifest was frozen.
        mask_root: the folder of the mask files on this machine, if it has moved.
        batch_size: images that are completed together.
        workers: processes that load images.
        cache: the folder that keeps the features of the original photographs.
        resamples: how often photographs are drawn with replacement for the intervals of ``set_metrics``.
        console: shows the progress and what a method tells; None makes one.
        command: the words that a result records as its command; None takes those of this process.

    Returns:
        Whether this process wrote the result folders; the first one does.

    Raises:
        ValueError: an image or mask differs from the frozen one, or another process writes the same result.
        SystemExit: Ctrl-C stopped it.
    """
    dataset = ManifestDataset(manifest, root, mask_root, with_edges=bool(model.reads_edges))
    loader = DataLoader(
        dataset, batch_size, sampler=UnscoredItems(results, len(dataset)), num_workers=min(workers, len(dataset))
    )
    console = console or Console()
    engine = trainer(callbacks=[Recorder(results, console)], logger=False)
    try:
        loading_explained(lambda: engine.test(model, loader, verbose=False), "workers", "batch_size")
    except SystemExit as stop:
        if isinstance(stop.__context__, KeyboardInterrupt):  # of which Lightning makes 1
            raise SystemExit(INTERRUPTED) from None
        raise
    if not engine.is_global_zero:
        return False
    device = engine.strategy.root_device
    model = model.to(device)
    together = 1 if device.type == "cpu" else batch_size  # as in Inpainter.test_step
    real = {
        network.name: real_features(network.to(device), dataset, cache, batch_size, device)
        for network in networks_of(set_metrics.values())
    }
    for result in results:
        per_image, completed = result.tables(manifest)
        means, replicates = _set_means(set_metrics, real, completed, manifest, resamples)
        with torch.inference_mode(), computing(engine.precision, device):  # as in the test loop
            costs = measure_cost(model, manifest.size, together, device, blended=result.blended)
        facts = {
            **result.identity,
            "method": f"{type(model).__module__}.{type(model).__qualname__}",
            "oracle": model.oracle,
            "manifest": {"sha256": manifest.sha256, "items": len(manifest.items), "size": manifest.size},
            "replicates": replicates,
            "cost": costs,
            "code": result.inputs["code"],
            "machine": machine(device),
            "versions": result.inputs["versions"],
            "commit": commit(),
            "command": shlex.join(command or command_line()),
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        if result is results[0]:  # another, which blending makes of the same completions, has the same notes
            _tell_notes(result.folder.name, per_image, console)
        result.finish(manifest, per_image, {name: metric.meaning for name, metric in set_metrics.items()}, means, facts)
    return True


def _tell_notes(label: str, per_image: pl.DataFrame, console: Console) -> None:
    """Print what a classical method told of how it filled its images, and of how many."""
    for note, number in sorted(per_image["note"].value_counts().rows(), key=lambda row: (-row[1], row[0])):
        if note:
            text = f"{label}: {number} image{'s' * (number != 1)}: {note}"
            console.print(text, markup=False, highlight=False, soft_wrap=True)


def _set_means(
    set_metrics: dict[str, SetMetric], real: Features, completed: Features, manifest: Manifest, resamples: int
) -> tuple[dict[str, dict[str, float | None]], dict[str, dict[str, list[float]]]]:
    """The metrics of whole sets by bin and metric, and their values on resampled photographs by metric and bin."""
    means: dict[str, dict[str, float | None]] = {}
    replicates: dict[str, dict[str, list[float]]] = {}
    bins, photographs = [item.bin for item in manifest.items], [item.image for item in manifest.items]
    for name in real:
        metrics = [metric for metric in set_metrics.values() if metric.network.name == name]
        values_by_bin, draws = score_sets(
            metrics, real[name], completed[name], bins, photographs, manifest.sha256, resamples
        )
        for bin_name, values in values_by_bin.items():
            means[bin_name] = means.get(bin_name, {}) | values
        replicates |= draws
    return means, replicates
