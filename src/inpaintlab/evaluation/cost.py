"""What a completion costs: parameters, multiply-accumulates, time and memory, measured on the machine at hand."""

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
from inpaintlab.shapes import Images, Planes

FEWEST, ENOUGH = 3, 20  # rounds of a batch, of whose times the least counts


SECONDS = 2.0  # no further round starts after this, once there are FEWEST


def measure_cost(
    model: Inpainter,
    size: int,
    batch_size: int,
    device: torch.device,
    *,
    blended: bool = False,
    clocks: Clocks | None = None,
) -> dict[str, Any]:
    """What ``model.complete`` costs on ``device``, for a batch of one generated scene with a square hole of 25 %.

    Nothing of the model changes; it is moved to ``device`` for the while.

    Args:
        model: a network or a classical method.
        size: side of the square pictures in pixels.
        batch_size: pictures that are completed together.
        device: where; a classical method that leaves torch computes on the host all the same.
        blended: also count the time and memory of GLCIC's post-processing.
        clocks: what tells the time and the load of the machine; its own if none are given.

    Returns:
        ``parameters``: those that take part in a completion; a discriminator's do not. None where there are none.
        ``gmac``: 1e9 multiply-accumulates an image, of convolutions and matrix products, as torch's own counter has
        them (two operations each). None for a method without parameters, whose work that counter does not see.
        ``milliseconds``: an image, the method's own time and ``complete`` around it. The least of several rounds of a
        batch: whatever else the machine does makes a round longer, and never shorter.
        ``rounds``: how many there were.
        ``load_of_others``: cores that other processes kept busy during the rounds; a time is too long if they took
        what the method could have used. ``cores``: that the machine has. Both None where the system does not tell, and
        on a GPU, of whose load it tells nothing.
        ``peak_memory_bytes``: of one batch, beyond the model and its input: on a GPU what torch allocated there, on the
        CPU what the process grew by, so that other libraries' memory counts. None where the system does not tell.
        ``batch_size``, ``size``: as they were given.

    Raises:
        ValueError: the size or the batch size is below 1.
    """
    if size < 1 or batch_size < 1:
        raise ValueError(f"size={size} and batch_size={batch_size} leave nothing to complete; both are at least 1.")
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
        "size": size,
    }


def scene(size: int, batch_size: int) -> tuple[Images, Planes]:
    """A batch of the same generated picture, and the hole in its middle of half its side."""
    image = image_tensor(Toy(count=1, size=size).read("test", "test_0000"))
    hole = torch.zeros(1, size, size)
    hole[:, size // 4 : size // 4 + (size + 1) // 2, size // 4 : size // 4 + (size + 1) // 2] = 1
    return image.repeat(batch_size, 1, 1, 1), hole.repeat(batch_size, 1, 1, 1)


def _count(model: Inpainter, image: Images, mask: Planes) -> tuple[int | None, float | None]:
    """The parameters that complete one image, and its 1e9 multiply-accumulates.

    Out of inference mode, in which torch's counter cannot follow weights that spectral norm computes.
    """
    with (
        torch.inference_mode(False),
        uncompiled(model),
        FlopCounterMode(display=False) as operations,
        _Parameters(model) as seen,
    ):
        model.complete(image, mask)
    parameters = seen.used()
    return (parameters, operations.get_total_flops() / 2e9) if parameters else (None, None)


class _Parameters(TorchDispatchMode):
    """Notes which parameters of a network are the input of any operation."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.sizes = {id(parameter): parameter.numel() for parameter in network.parameters()}
        self.seen: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        # a parameter lives as long as the network, so no other tensor can have its identity
        self.seen |= {id(leaf) for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)} & self.sizes.keys()
        return func(*args, **(kwargs or {}))

    def used(self) -> int:
        """How many numbers the parameters hold that were seen."""
        return sum(self.sizes[parameter] for parameter in self.seen)


def _rounds(model: Inpainter, image: Images, mask: Planes, blended: bool, load: Load) -> tuple[list[float], int | None]:
    """The seconds that a batch took in each round, and the most memory that one took."""
    before = reset_peak(image.device)
    wall = load.clocks.wall
    took: list[float] = []
    with load.watched() if image.device.type == "cpu" else nullcontext():
        while len(took) < FEWEST or (sum(took) < SECONDS and (len(took) < ENOUGH or sum(took) < SHORTEST)):
            started = wall()
            model.complete(image, mask, blended=blended)
            if image.is_cuda:
                torch.cuda.synchronize(image.device)
            took.append(wall() - started)
    return took, None if before is None else max(0, peak(image.device) - before)
