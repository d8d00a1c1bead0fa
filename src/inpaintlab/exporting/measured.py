"""A file held against the completion that it was made of, and timed beside it."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor

from inpaintlab.exporting.completion_graph import CompletionGraph
from inpaintlab.inpainting import Inpainter

Run = Callable[[Mapping[str, Tensor]], Tensor]
"""Completes with a file, from its inputs by name."""

TOLERANCE = 1e-4
"""By which a file's colours may differ from ours: a fortieth of a step of 8 bits."""

SIZES = ((64, 64), (61, 83), (40, 120))
"""Height and width of the images that are compared: with and without padding, upright and lying."""

TIMED = 256
"""Side of the image that is timed, in pixels."""

ROUNDS = 3
"""Of the file and of torch by turns; the fastest counts."""


@final
@dataclass(frozen=True)
class Measured:
    """What was found.

    Args:
        difference: the largest one from our completion, of colours in [0, 1].
        sizes: the heights and widths that were compared.
        side: of the image that was timed, in pixels.
        seconds: of the file for it.
        torch_seconds: of our completion for it, with as many threads.
    """

    difference: float
    sizes: tuple[tuple[int, int], ...]
    side: int
    seconds: float
    torch_seconds: float


@torch.no_grad()
def measure(run: Run, model: Inpainter, graph: CompletionGraph) -> Measured:
    """Complete some images with a file and with the model, on the processor.

    Args:
        run: the file.
        model: it was made of, fitted to the processor.
        graph: made of it.

    Raises:
        ValueError: the file does not complete as the model does.
    """
    made_for = model.made_for
    sizes = SIZES if made_for is None else ((made_for.side, made_for.side),)
    side = TIMED if made_for is None else made_for.side
    worst = 0.0
    for size in sizes:
        for inputs in _cases(size, graph):
            worst = max(worst, _difference(_found(run, inputs, size), model, inputs))
    inputs = next(_cases((side, side), graph))
    seconds: list[float] = []
    ours: list[float] = []
    for _ in range(ROUNDS):
        for times, complete in ((seconds, run), (ours, lambda given: model.complete(*given.values()))):
            begun = time.perf_counter()
            complete(inputs)
            times.append(time.perf_counter() - begun)
    worst = max(worst, _difference(run(inputs), model, inputs))
    return Measured(worst, sizes, side, min(seconds), min(ours))


def _found(run: Run, inputs: Mapping[str, Tensor], size: tuple[int, int]) -> Tensor:
    try:
        return run(inputs)
    except Exception as error:  # of another program's: many kinds
        reason = " ".join(str(error).split())[:300]
        raise ValueError(f"the file does not complete images of {size[0]} x {size[1]} pixels: {reason}.") from error


def _difference(found: Tensor, model: Inpainter, inputs: Mapping[str, Tensor]) -> float:
    """The largest difference from our completion.

    Raises:
        ValueError: it is too large, or known pixels are not the image's.
    """
    image, mask = inputs["image"], inputs["mask"]
    size = f"images of {image.shape[-2]} x {image.shape[-1]} pixels"
    if found.shape != image.shape or not torch.equal(torch.where(mask > 0.5, 0.0, found), hidden(inputs)):
        raise ValueError(f"the file does not leave the known pixels of {size} as they are.")
    difference = (found - model.complete(*inputs.values())).abs().max().item()
    if not difference <= TOLERANCE:
        raise ValueError(f"the file completes {size} otherwise than inpaintlab: by up to {difference:.2g}.")
    return difference


def hidden(inputs: Mapping[str, Tensor]) -> Tensor:
    """The known pixels of the images, 0 in the holes."""
    return torch.where(inputs["mask"] > 0.5, 0.0, inputs["image"])


def _cases(size: tuple[int, int], graph: CompletionGraph) -> Iterator[dict[str, Tensor]]:
    """Pictures with areas and lines, always the same ones: first a hole in the middle; then, of a batch of two, one at
    the border and none.
    """
    height, width = size
    draw = torch.Generator().manual_seed(0)
    coarse = torch.rand(3, 3, 5, 5, generator=draw)
    image = F.interpolate(coarse, size, mode="bicubic").clamp(0, 1)
    image[..., height // 3 : height // 2, :] = torch.rand(3, 3, 1, 1, generator=draw)
    image = (image + 0.05 * torch.randn(image.shape, generator=draw)).clamp(0, 1)
    mask = torch.zeros(3, 1, height, width)
    mask[0, :, height // 4 : 3 * height // 4, width // 4 : 3 * width // 4] = 1
    mask[1, :, : height // 3, width // 2 :] = 1
    edges = (torch.rand(3, 1, height, width, generator=draw) > 0.95).float()
    planes = {"image": image, "mask": mask} | ({"edges": edges} if graph.takes_edges else {})
    centre = graph.model.made_for is not None and graph.model.made_for.centre
    yield {name: plane[:1] for name, plane in planes.items()}
    if not centre:  # one that takes no hole at the border
        yield {name: plane[1:] for name, plane in planes.items()}
