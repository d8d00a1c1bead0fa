"""The edges by which EdgeConnect completes an image, found as it is completed: whole or in windows."""

from collections.abc import Callable

import torch
from torch import Tensor

from inpaintlab.completion.tiling import Window
from inpaintlab.completion.windows import Windowing
from inpaintlab.models import EdgeConnect
from inpaintlab.shapes import Images, Planes


@torch.no_grad()
def edges_used(
    windowing: Windowing,
    image: Images,
    mask: Planes,
    drawing: Planes | None = None,
    progress: Callable[[float], None] | None = None,
) -> tuple[Planes, Planes]:
    """The edges by which a method completes one image, in the same windows as by `Windowing.complete`.

    Each window shows the hole as it is; where a hole is so large that windows see what others have filled, the edges
    that they draw then may differ.

    Args:
        windowing: of an EdgeConnect.
        image: of a batch of one, on any device, where the edges will be.
        mask: 1 = hole.
        drawing: see `Inpainter.complete`.
        progress: is called with the share that is done, before each window.

    Returns:
        Those that it sees around the hole, 0 in it and far from it; and those in the hole, 0 around it. In [0, 1].

    Raises:
        ValueError: the memory does not suffice for any window.
    """
    model = windowing.method
    assert isinstance(model, EdgeConnect)
    known, used = torch.zeros_like(mask), torch.zeros_like(mask)
    height, width = mask.shape[-2:]
    whole = Window((0, height), (0, width), (0, height), (0, width))
    windows = windowing.plan((mask[0, 0] > 0.5).cpu().numpy()).windows or (whole,)
    for at, window in enumerate(windows):
        if progress is not None:
            progress(at / len(windows))
        parts = (None if one is None else one[..., *window.whole].to(model.device) for one in (image, mask, drawing))
        around, inside = (edges.to(mask) for edges in _seen_and_used(model, *parts))  # type: ignore[arg-type]
        seen = known[..., *window.whole]
        torch.maximum(seen, around, out=seen)
        used[..., *window.inner] = inside[..., *window.inside]
    return known * (1 - mask), used * mask


def _seen_and_used(model: EdgeConnect, image: Images, mask: Planes, drawing: Planes | None) -> tuple[Planes, Planes]:
    seen: list[Tensor] = []
    watching = model.edge_generator.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[1]))
    try:
        used = model.seen_inside(image, mask, drawing)["edges"].float()
    finally:
        watching.remove()
    # where the network's drawing is used around the hole as well, what it saw there is no part of what is used
    return (seen[-1][..., : mask.shape[-2], : mask.shape[-1]].float() if seen else used), used
