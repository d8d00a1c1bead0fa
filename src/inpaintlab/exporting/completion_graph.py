"""CompletionGraph: from an image and its mask to the completion, in one module that can be exported."""

import copy
import sys
from dataclasses import dataclass
from functools import partial
from typing import Any, final

import torch
from torch import Tensor, nn

from inpaintlab.edges import HED, Canny, Drawn, EdgeSource, HEDAndCanny
from inpaintlab.exporting.canny_graph import CannyGraph
from inpaintlab.inpainting import Inpainter, hide
from inpaintlab.layers import ContextualAttention
from inpaintlab.shapes import Images, Planes


@final
@dataclass(frozen=True)
class EdgeInput:
    """The third input of a file, where the edges are none that it finds itself.

    Args:
        meaning: what belongs into it.
        reason: why the file does not find it.
    """

    meaning: str
    reason: str


_DRAWING = EdgeInput(
    "what is to be drawn in the hole: 1 on an edge, 0 elsewhere; outside the hole it is not read, there the file finds "
    "Canny's edges itself",
    "the model takes a drawing in place of the edges that its network draws (model/edges=drawn)",
)
_KNOWN = EdgeInput(
    "the known edges: 1 on an edge, 0 elsewhere, or between for soft edges; in the hole and next to it it is not read",
    "the model reads edges from files (model/edges=files), which another program has found",
)


def edge_input(model: Inpainter) -> EdgeInput | None:
    """The edges that a file of this model takes as an input; None if it needs none."""
    if not model.reads_edges:
        return None
    return _DRAWING if isinstance(_source(model), Drawn) else _KNOWN


def require_exportable(model: Inpainter, label: str) -> None:
    """See that a model can be a graph of operations, before any work.

    Raises:
        ValueError: it has no network, sees the truth, or its edges are found by what no graph holds.
    """
    if not model.generators():
        raise ValueError(f"{label} has no network, so there is nothing to export; give the checkpoint of one that has.")
    source = _source(model)
    if model.oracle and not isinstance(source, Drawn):
        raise ValueError(
            f"{label} sees the photograph's true edges (model.hole_edges={model.switches().get('hole_edges')}, "
            f"model.test_edges={model.switches().get('test_edges')}), which nobody has who fills a hole; leave these "
            "settings out."
        )
    if isinstance(source, HED | HEDAndCanny):
        raise ValueError(
            f"{label} finds edges by HED ({source.in_words()}), before which the hole is filled on grids whose number "
            "follows from the image's size, which no graph can hold; with +model/edges=files the file takes the edges "
            "as an input."
        )


def _source(model: Inpainter) -> EdgeSource | None:
    found = getattr(model, "edges", None)
    return found if isinstance(found, EdgeSource) else None


@final
class CompletionGraph(nn.Module):
    """`Inpainter.complete` of a model as operations of tensors alone, with open sizes.

    The model is copied as it was built; `fit` has not been at it, whose layers are made for one machine. The networks
    that only its training needs are left out.

    Args:
        model: completes images and does not learn any more.
    """

    def __init__(self, model: Inpainter) -> None:
        super().__init__()
        self.model = copy.deepcopy(model).eval()
        self.takes_edges = edge_input(model) is not None
        completing = set(self.model.generators())
        for name, network in list(self.model.named_children()):
            if network in set(self.model.networks()) - completing:
                setattr(self.model, name, nn.Identity())
        for layer in self.model.modules():
            if isinstance(layer, ContextualAttention):
                setattr(layer, "tiles", partial(_one_tile, layer.fuse))  # noqa: B010
        if (source := _source(self.model)) is not None:
            if isinstance(source, Drawn):
                setattr(source, "canny", CannyGraph(source.canny.sigma))  # noqa: B010  # of another class
            elif isinstance(source, Canny):
                setattr(self.model, "edges", CannyGraph(source.sigma))  # noqa: B010  # likewise
        self.requires_grad_(False)

    def forward(self, image: Images, mask: Planes, edges: Planes | None = None) -> Images:
        """The completion: the image itself where the mask is at most 0.5.

        Args:
            image: RGB in [0, 1]; its pixels in the hole do not matter.
            mask: 1 = hole.
            edges: of a model that takes them.
        """
        height, width = mask.shape[-2:]
        planes = [hide(image, mask), mask, *([] if edges is None else [edges])]
        raw = self._raw(*self._padded(planes))
        return Inpainter.paste(image, mask, raw[..., :height, :width].clamp(0, 1))

    def _raw(self, *planes: Tensor) -> Tensor:
        """The network's output; what a model remembers of it, an exporter must not find."""
        before = dict(vars(self.model))
        try:
            return self.model(*planes)
        finally:
            for name, value in before.items():
                if vars(self.model)[name] is not value:
                    setattr(self.model, name, value)

    def _padded(self, planes: list[Tensor]) -> list[Tensor]:
        """`inpainting.made_for.pad_to_multiple`, whose way of padding is chosen while the graph runs."""
        stride, smallest = self.model.stride, self.model.smallest
        if self.model.made_for is not None or (stride == 1 and smallest == 1):
            return planes
        height, width = planes[0].shape[-2:]
        strides = -(-smallest // stride)  # of the smallest side
        sides = [stride * torch.sym_max((side + stride - 1) // stride, strides) for side in (height, width)]
        rows, columns = (torch.arange(side) for side in sides)
        mirrored = [torch.where(at < side, at, 2 * side - 2 - at) for at, side in ((rows, height), (columns, width))]
        fits = (mirrored[0].min() >= 0) & (mirrored[1].min() >= 0)
        repeated = [rows.clamp(max=height - 1), columns.clamp(max=width - 1)]
        rows, columns = (torch.where(fits, *places) for places in zip(mirrored, repeated, strict=True))
        return [plane.index_select(2, rows).index_select(3, columns) for plane in planes]


def _one_tile(fuse: bool, height: Any, width: Any) -> list[tuple[int, int, bool]]:
    """`ContextualAttention.tiles` of all queries at once: the number of tiles is one that no graph keeps open."""
    last = sys.maxsize - 2 * fuse  # to which the attention adds its neighbouring rows
    return [(0, last, True)]


def shapes_of(graph: CompletionGraph) -> dict[str, tuple[Any, ...]]:
    """The shapes of a file's inputs: names for open sides, numbers for fixed ones."""
    made_for = graph.model.made_for
    sides: tuple[Any, ...] = ("height", "width") if made_for is None else (made_for.side, made_for.side)
    planes = {"image": 3, "mask": 1} | ({"edges": 1} if graph.takes_edges else {})
    return {name: ("batch", count, *sides) for name, count in planes.items()}
