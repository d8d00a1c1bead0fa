"""The command ``inpaintlab bench data``: how fast one core prepares training samples, and where the time goes."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import final

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table

from inpaintlab.commandline import read
from inpaintlab.config import command
from inpaintlab.data import PreparationTime, TrainingSet, chosen_workers, measure_preparation, require_chosen
from inpaintlab.machine import cores
from inpaintlab.masks import Number
from inpaintlab.recipes import pictures_in_words, plain
from inpaintlab.runs import Progress

_USUAL = 100
"""Images a second of a training that nothing is said of."""


@final
@dataclass(frozen=True)
class Pace:
    """How fast a training learns on one GPU.

    Args:
        images_per_second: without waiting for data.
        of: whose pace it is, in words; "" of a number that the user gave.
    """

    images_per_second: Number
    of: str = ""

    def __str__(self) -> str:
        return f"a training at {self.images_per_second:g} images per second{self.of}"


def pace_of(cfg: DictConfig) -> Pace:
    """The pace that the settings name: a number, or that of a run.

    Raises:
        ValueError: both are given, or the run has none.
    """
    if cfg.run is None:
        return Pace(_USUAL if cfg.images_per_second is None else cfg.images_per_second)
    if cfg.images_per_second is not None:
        raise ValueError("images_per_second and run both say how fast the training is; give one of them.")
    progress = Progress.load(Path(cfg.run))
    if progress is None:
        raise ValueError(
            f"{cfg.run} has no progress.json, so no training has saved a checkpoint there; give the folder of one that "
            "has, or images_per_second=N."
        )
    if not progress.paces:
        raise ValueError(
            f"{cfg.run} has logged no speed until its last checkpoint; let it log more often (every.log=N), or give "
            "images_per_second=N."
        )
    phase, fastest = max(progress.paces.items(), key=lambda one: one[1])
    return Pace(fastest, f", as {cfg.run} in its phase '{phase}',")


def report(cost: PreparationTime, pace: Pace, gpus: int, workers: int, console: Console) -> None:
    """Print the time of each stage, how many cores a training needs, and whether its workers suffice.

    Args:
        cost: the measured times.
        pace: of the training on each GPU.
        gpus: number of GPUs.
        workers: processes that prepare batches for each GPU.
        console: the terminal.
    """
    total = sum(cost.stages.values())
    table = Table("stage", "ms an image", "share")
    for name, seconds in cost.stages.items():
        table.add_row(name, f"{1000 * seconds / cost.images:.2f}", f"{100 * seconds / total:.0f} %")
    table.add_row("whole sample", f"{1000 * cost.whole / cost.images:.2f}", "")
    table.add_row("Canny's edges, in the step", f"{1000 * cost.edges / cost.images:.2f}", "")
    console.print(table)
    alone, together = (cost.cores(pace.images_per_second, edges) for edges in (False, True))
    lines = [
        f"{cost.images_per_second:.0f} images per second on one core, from memory; {pace} keeps "
        f"{_cores(alone)} busy, with Canny's edges on the CPU {_cores(together)}.",
        f"On {gpus} GPUs, each at this pace: {_cores(gpus * alone)}, with the edges {_cores(gpus * together)}.",
    ]
    told = lines[: 1 + (gpus > 1)]
    if workers >= alone:
        told.append(f"data.workers is {workers} for each GPU, which suffices.")
    else:
        told.append(f"data.workers is {workers} for each GPU, so the training waits for samples: give {alone}.")
    if gpus * alone > cores():
        told.append(f"That is more than this machine has: {_cores(cores())}.")
    for line in told:
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _cores(count: int) -> str:
    return f"{count} core{'s' * (count > 1)}"


@command("bench data")
def data(cfg: DictConfig) -> None:
    """Measure the data of the configuration."""
    require_chosen(cfg, "prepared")
    pace = pace_of(cfg)
    torch.set_num_threads(1)  # as in the workers of a loader
    source, crop = (instantiate(cfg.data[part], _convert_="all") for part in ("source", "crop"))
    samples = TrainingSet(
        source, crop, instantiate(cfg.mask, _convert_="all"), cfg.seed, cfg.data.flip, cfg.data.decode
    )
    cost, console = measure_preparation(samples, cfg.images, cfg.data.batch_size), Console()
    console.print(
        f"Prepared {pictures_in_words(plain(cfg.data.source))}.", markup=False, highlight=False, soft_wrap=True
    )
    report(cost, pace, cfg.gpus, chosen_workers(cfg.data.workers), console)


def main() -> None:
    """Entry of ``inpaintlab bench data KEY=VALUE ...``; the word may be left out."""
    _, sys.argv[1:] = read("bench", sys.argv[1:])
    data()


if __name__ == "__main__":
    main()
