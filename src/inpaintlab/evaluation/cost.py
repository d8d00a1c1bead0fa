"""The cost of a completion: parameters, multiply-accumulates, time and memory, measured on this machine."""

from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from inpaintlab.data import Toy, image_tensor
from inpaintlab.inpainting import Inpainter, uncompiled
from inpaintlab.machine import SHORTEST, Clocks, Load, peak, reset_peak
from inpaintlab.shapes import Images, Planes, Size, height_width, plain_size

FEWEST, ENOUGH = 3, 20  # rounds; the shortest one counts


SECONDS = 2.0  # after this time no further round starts, except to reach FEWEST


MOST_SECONDS = 8.0  # nor after this one: what takes that long is measured well enough by fewer


def measure_cost(
    model: Inpainter,
    size: Size,
    batch_size: int,
    device: torch.device,
    *,
    blended: bool = False,
    clocks: Clocks | None = None,
) -> dict[str, Any]:
    """Measure ``model.complete`` on ``device``, on a batch of one generated scene with a central hole of 25 %.

    The model is moved to ``device`` and back, and is otherwise unchanged.

    Args:
        model: a network or a classical method.
        size: side of square pictures in pixels, or height and width.
        batch_size: pictures that are completed together.
        device: where to complete; a classical method outside of torch computes on the host anyway.
        blended: also count the time and memory of GLCIC's post-processing.
        clocks: read the time and the machine's load; the system's own by default.

    Returns:
        ``parameters``: those that take part in a completion, so without a discriminator's. None if there are none.
        ``gmac``: 1e9 multiply-accumulates per image, of convolutions and matrix products, by torch's operation counter
        (two operations each). None for a method without parameters, whose work the counter does not see.
        ``milliseconds``: per image, for all of ``complete``. The shortest of several rounds of a batch, because other
        work on the machine can make a round longer but never shorter.
        ``rounds``: number of rounds.
        ``load_of_others``: cores that other processes kept busy during the rounds; if the method could have used these
        cores, the time is too long. ``cores``: of the machine. Both None if the system does not report them, and on a
        GPU, whose load it does not report.
        ``peak_memory_bytes``: of one batch, beyond the model and its input. On a GPU torch's allocations; on a CPU the
        growth of the process, which includes other libraries. None if the system does not report it.
        ``batch_size``, ``size``: the arguments.

    Raises:
        ValueError: a side or the batch size is below 1.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size={batch_size} leaves nothing to complete; it is at least 1.")
    home = model.device
    model.to(device)
    try:
        image, mask = (plane.to(device) for plane in scene(size, batch_size))
        parameters, gmac = _count(model, image[:1], mask[:1])  # also loads what libraries load at their first use
        load = Load(clocks or Clocks())
        times, peak = _rounds(model, image, mask, blended, load)
    finally:
        model.to(home)
    return {
        "parameters": parameters,
        "gmac": gmac,
        "milliseconds": 1000 * min(times) / batch_size,
        "rounds": len(times),
        "load_of_others": load.others,
        "cores": load.cores,
        "peak_memory_bytes": peak,
        "batch_size": batch_size,
        "size": plain_size(size),
    }


def scene(size: Size, batch_size: int) -> tuple[Images, Planes]:
    """A batch of one generated picture, (B, 3, H, W), and a central hole of half its sides, (B, 1, H, W)."""
    height, width = height_width(size)
    image = image_tensor(Toy(count=1, size=max(height, width)).read("test", "test_0000"))[:, :height, :width]
    hole = torch.zeros(1, height, width)
    hole[:, height // 4 : height // 4 + (height + 1) // 2, width // 4 : width // 4 + (width + 1) // 2] = 1
    return image.repeat(batch_size, 1, 1, 1), hole.repeat(batch_size, 1, 1, 1)


def _count(model: Inpainter, image: Images, mask: Planes) -> tuple[int | None, float | None]:
    """The parameters that take part in completing one image, and its 1e9 multiply-accumulates.

    Inference mode is off, because in it torch's counter cannot follow weights that spectral norm computes.
    """
    with (
        torch.inference_mode(False),
        uncompiled(model),
        FlopCounterMode(display=False) as operations,
        _Parameters(model) as seen,
    ):
        model.complete(image, mask, _edges(model, mask))
    parameters = seen.used()
    return (parameters, operations.get_total_flops() / 2e9) if parameters else (None, None)


def _edges(model: Inpainter, mask: Planes) -> Planes | None:
    """A map of edges for a method that needs one; what it marks costs nothing."""
    return torch.zeros_like(mask) if model.reads_edges else None


class _Parameters(TorchDispatchMode):
    """Records which parameters of a network are the input of any operation."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.sizes = {id(parameter): parameter.numel() for parameter in network.parameters()}
        self.seen: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        # a parameter lives as long as the network, so no other tensor can have its identity
        self.seen |= {id(leaf) for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)} & self.sizes.keys()
        return func(*args, **(kwargs or {}))

    def used(self) -> int:
        """The number of values in the recorded parameters."""
        return sum(self.sizes[parameter] for parameter in self.seen)


def _another(rounds: int, seconds: float) -> bool:
    """Whether a further round starts after so many, which took so long."""
    if rounds < FEWEST:
        return not rounds or seconds < MOST_SECONDS
    return seconds < SECONDS and (rounds < ENOUGH or seconds < SHORTEST)


def _rounds(model: Inpainter, image: Images, mask: Planes, blended: bool, load: Load) -> tuple[list[float], int | None]:
    """The seconds of each round, and the peak memory in bytes."""
    before = reset_peak(image.device)
    wall = load.clocks.wall
    took: list[float] = []
    with load.watched() if image.device.type == "cpu" else nullcontext():
        while _another(len(took), float(sum(took))):
            started = wall()
            model.complete(image, mask, _edges(model, mask), blended=blended)
            if image.is_cuda:
                torch.cuda.synchronize(image.device)
            took.append(wall() - started)
    return took, None if before is None else max(0, peak(image.device) - before)
