"""The command ``inpaintlab bench data``: how fast one core prepares training samples, and where the time goes."""

import sys

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table

from inpaintlab.arguments import read
from inpaintlab.config import command
from inpaintlab.data import PreparationTime, TrainingSet, measure_preparation, require_chosen
from inpaintlab.masks import Number
from inpaintlab.recipes import pictures_in_words, plain


def report(cost: PreparationTime, images_per_second: Number, gpus: int, console: Console) -> None:
    """Print the time of each stage, and how many cores a training needs.

    Args:
        cost: the measured times.
        images_per_second: the speed of the training on each GPU.
        gpus: number of GPUs.
        console: the terminal.
    """
    total = sum(cost.stages.values())
    table = Table("stage", "ms an image", "share")
    for name, seconds in cost.stages.items():
        table.add_row(name, f"{1000 * seconds / cost.images:.2f}", f"{100 * seconds / total:.0f} %")
    table.add_row("whole sample", f"{1000 * cost.whole / cost.images:.2f}", "")
    table.add_row("Canny's edges, in the step", f"{1000 * cost.edges / cost.images:.2f}", "")
    console.print(table)
    training = f"a training at {images_per_second:g} images per second"
    alone, together = (cost.cores(images_per_second, edges) for edges in (False, True))
    lines = [
        f"{cost.images_per_second:.0f} images per second on one core, from memory; {training} keeps "
        f"{_cores(alone)} busy, with Canny's edges on the CPU {_cores(together)}.",
        f"On {gpus} GPUs, each at this pace: {_cores(gpus * alone)}, with the edges {_cores(gpus * together)}.",
    ]
    for line in lines[: 1 + (gpus > 1)]:
        console.print(line, highlight=False, soft_wrap=True)


def _cores(count: int) -> str:
    return f"{count} core{'s' * (count > 1)}"


@command("bench data")
def data(cfg: DictConfig) -> None:
    """Measure the data of the configuration."""
    require_chosen(cfg, "prepared")
    torch.set_num_threads(1)  # as in the workers of a loader
    source, crop = (instantiate(cfg.data[part], _convert_="all") for part in ("source", "crop"))
    samples = TrainingSet(
        source, crop, instantiate(cfg.mask, _convert_="all"), cfg.seed, cfg.data.flip, cfg.data.decode
    )
    cost, console = measure_preparation(samples, cfg.images, cfg.data.batch_size), Console()
    console.print(
        f"Prepared {pictures_in_words(plain(cfg.data.source))}.", markup=False, highlight=False, soft_wrap=True
    )
    report(cost, cfg.images_per_second, cfg.gpus, console)


def main() -> None:
    """Entry of ``inpaintlab bench data KEY=VALUE ...``; the word may be left out."""
    _, sys.argv[1:] = read("bench", sys.argv[1:])
    data()


if __name__ == "__main__":
    main()
