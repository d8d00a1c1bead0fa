"""Figures of one checkpoint: fig2_overview, fig10_transfer and fig11_removal."""

from collections.abc import Sequence
from typing import Any

import polars as pl
import torch
from omegaconf import DictConfig
from torch import Tensor

from inpaintlab.edges import NoEdges
from inpaintlab.figure.caption import caption, of_checkpoint
from inpaintlab.figure.cases import Case, cases_of, of_files, pairs_of_halves
from inpaintlab.figure.page import Drawn
from inpaintlab.figure.sheet import Cell, Row, sheet, texts_of
from inpaintlab.figure.sources import Pixels
from inpaintlab.imaging import rgb_to_gray
from inpaintlab.inpainting import WHOLE, build_method, computing, device_type, fit, hide
from inpaintlab.models import EdgeConnect
from inpaintlab.report import painted
from inpaintlab.shapes import Images, Planes

FIG2, FIG10, FIG11 = "fig2_overview", "fig10_transfer", "fig11_removal"


# ------------------------------------------------------------------------------------------------------- fig2_overview


def overview(cfg: DictConfig) -> Drawn:
    """EdgeConnect's Figure 2: what happens to an image between the two generators.

    Args:
        cfg: the settings of ``inpaintlab figures fig2_overview``.

    Raises:
        ValueError: a checkpoint that draws no edges, no image, or one that cannot be read.
    """
    cases, about, rule = cases_of(cfg, FIG2)
    model, method, _ = _edge_connect(cfg)
    rows, numbers = [], []
    for case in cases:
        given = case.drawing if model.reads_edges else None
        output, stages = _stages(model, case, given)
        gray = rgb_to_gray(hide(case.image, case.mask))
        filled = torch.where(case.mask > 0.5, model.edge_generator.fill, gray)
        cells = [
            Cell(_picture(painted(case.image[0], case.mask[0])[None]), "input"),
            Cell(_picture(filled), "gray"),
            Cell(_picture(stages["known"]), "known edges"),
            Cell(_picture(stages["drawn"]), "predicted edges"),
            Cell(_picture(stages["composite"]), "composite"),
            Cell(_picture(output), "output"),
            Cell(_picture(case.image), "original"),
        ]
        rows.append(Row(cells, case.name))
        numbers += [_shares(case, name, plane) for name, plane in stages.items()]
    what = [
        "From left to right: the input with its hole; its gray image and its known edges, which the edge generator "
        "gets; the edges that it predicts, of the whole image; the composite of known and predicted edges, which the "
        "inpainting generator gets; the output, whose known pixels are the input's; the original.",
        rule,
    ]
    written = caption(FIG2, what, test_sets=about, methods=[method], notes=_files(cases), texts=texts_of(rows))
    return Drawn(sheet(rows), _table(numbers), written)


# ------------------------------------------------------------------------------------------------------ fig10_transfer


def transfer(cfg: DictConfig) -> Drawn:
    """EdgeConnect's Figure 10: the left half of one photograph, painted on by the edges of another's right half.

    Args:
        cfg: the settings of ``inpaintlab figures fig10_transfer``.

    Raises:
        ValueError: a checkpoint that takes no edges, photographs that cannot be read, or pairs of different sizes.
    """
    pairs, about = pairs_of_halves(cfg)
    model, method, label = _edge_connect(cfg)
    _require_taking(model, label)
    rows, numbers = [], []
    for left, right in pairs:
        edges = model.edges.whole(_sent(right.image, model)) * _sent(right.mask, model)
        output, composite = _completed(model, left, edges)
        cells = [
            Cell(_picture(left.image), "left"),
            Cell(_picture(right.image), "right"),
            Cell(_picture(painted(left.image[0], left.mask[0])[None]), "input"),
            Cell(_picture(composite), "edges of both"),
            Cell(_picture(output), "output"),
        ]
        rows.append(Row(cells, f"{left.name}, then {right.name}"))
        numbers.append(_shares(left, f"edges of {right.name}", composite))
    what = [
        "From left to right: the photograph whose left half is known; the one whose right half gives its edges; the "
        "input; the edges of both, which the inpainting generator gets; the output. Of the second photograph only the "
        "edges are seen, no pixel.",
    ]
    notes = _files([case for pair in pairs for case in pair])
    written = caption(FIG10, what, test_sets=about, methods=[method], notes=notes, texts=texts_of(rows))
    return Drawn(sheet(rows), _table(numbers), written)


# ------------------------------------------------------------------------------------------------------- fig11_removal


def removal(cfg: DictConfig) -> Drawn:
    """EdgeConnect's Figure 11: an object removed, by the edges that are predicted, and by those a user drew.

    Args:
        cfg: the settings of ``inpaintlab figures fig11_removal``.

    Raises:
        ValueError: a checkpoint that takes no edges, or files that cannot be read, do not pair or differ in size.
    """
    cases = of_files(cfg, cfg.drawing)
    model, method, label = _edge_connect(cfg)
    _require_taking(model, label)
    rows, numbers = [], []
    for case in cases:
        assert case.drawing is not None
        (output, alone), (output_of_edited, edited) = _completed(model, case), _completed(model, case, case.drawing)
        cells = [
            Cell(_picture(case.image), "photograph"),
            Cell(_picture(painted(case.image[0], case.mask[0])[None]), "input"),
            Cell(_picture(alone), "predicted edges"),
            Cell(_picture(output), "output"),
            Cell(_picture(edited), "edited edges"),
            Cell(_picture(output_of_edited), "output with edited edges"),
        ]
        rows.append(Row(cells, case.name))
        numbers += [_shares(case, "predicted", alone), _shares(case, "edited", edited)]
    what = [
        "From left to right: the photograph; the input with the object's place as the hole; the predicted edges with "
        "the known ones, and the output; the same with the edges in the hole replaced by a user's drawing. What "
        "lies under the hole is seen by neither.",
    ]
    written = caption(FIG11, what, methods=[method], notes=_files(cases), texts=texts_of(rows))
    return Drawn(sheet(rows), _table(numbers), written)


# ----------------------------------------------------------------------------------------------------------- the method


def _edge_connect(cfg: DictConfig) -> tuple[EdgeConnect, str, str]:
    """The model on its device, what the caption says of it, and its label.

    Raises:
        ValueError: no checkpoint, or one of a method that draws no edges.
    """
    model, identity = build_method(
        None, cfg.checkpoint, named=None, overrides=(), label=None, seed=1, untrained=False, which=cfg.which
    )
    if not isinstance(model, EdgeConnect):
        raise ValueError(
            f"checkpoint={cfg.checkpoint} holds a {type(model).__name__}, which draws no edges: give one of "
            "EdgeConnect."
        )
    device = device_type("auto")
    fit(model.networks(), device, WHOLE)
    marks = " † (an oracle: it gets edges that depend on the hidden pixels)" if model.oracle else ""
    return model.to(device), of_checkpoint(identity, type(model).__name__) + marks, identity["label"]


def _require_taking(model: EdgeConnect, label: str) -> None:
    """Raise a ValueError if the model takes no edges but its own."""
    if model.reads_edges:
        raise ValueError(f"{label} reads its edges from files, so it takes no others beside them.")
    if model.oracle:
        raise ValueError(f"{label} is set to see the true edges, so it takes no others beside them.")
    if isinstance(model.edges, NoEdges):
        raise ValueError(f"{label} was trained without known edges (edges none), so no edges of others would help it.")


def _completed(model: EdgeConnect, case: Case, edges: Planes | None = None) -> tuple[Images, Planes]:
    """The completion, and the edges that the inpainting generator got for it."""
    image, mask = _sent(case.image, model), _sent(case.mask, model)
    given = None if edges is None else _sent(edges, model)
    with computing(WHOLE, model.device):
        completed = model.complete(image, mask, given)
        return completed.cpu(), model.seen_inside(image, mask, given)["edges"].float().cpu()


def _stages(model: EdgeConnect, case: Case, given: Planes | None) -> tuple[Images, dict[str, Planes]]:
    """The completion, and the edges on the way to it: what the edge generator got, drew, and what became of both.

    Raises:
        ValueError: it drew none, because others fill the hole.
    """
    seen: list[tuple[Planes, Planes]] = []

    def keep(_: Any, inputs: tuple[Planes, Planes, Planes], drawn: Planes) -> None:
        _, known, mask = inputs
        seen.append((known * (1 - mask), drawn))

    watching = model.edge_generator.register_forward_hook(keep)
    try:
        output, composite = _completed(model, case, given)
    finally:
        watching.remove()
    if not seen:
        raise ValueError(
            f"{type(model).__name__} with edges {model.edges.in_words()} and hole_edges={model.hole_edges} draws none "
            "itself, so there are no predicted edges to show."
        )
    height, width = case.mask.shape[-2:]
    known, drawn = (plane[..., :height, :width].float().cpu() for plane in seen[-1])
    return output, {"known": known, "drawn": drawn, "composite": composite}


def _sent(plane: Tensor, model: EdgeConnect) -> Tensor:
    return plane.to(model.device)


def _files(cases: Sequence[Case]) -> list[str]:
    return list(dict.fromkeys(f"Files: {case.files}." for case in cases if case.files))


# ---------------------------------------------------------------------------------------------------------- the numbers


def _shares(case: Case, name: str, edges: Planes) -> tuple[Any, ...]:
    hole, on = case.mask > 0.5, edges > 0.5
    inside = float((on & hole).sum() / hole.sum()) if bool(hole.any()) else None
    return case.name, name, float(hole.float().mean()), inside, float(on.float().mean())


def _table(rows: Sequence[tuple[Any, ...]]) -> pl.DataFrame:
    number = pl.Float64()
    schema = {"image": pl.String(), "edges": pl.String(), "hole_ratio": number, "share_of_hole": number}
    return pl.DataFrame(rows, schema=schema | {"share_of_image": number}, orient="row")


def _picture(planes: Images | Planes) -> Pixels:
    """The first of these images in 8 bits, as a file holds it."""
    pixels = (planes[0].detach().cpu().clamp(0, 1) * 255).round().byte()
    return pixels[0].numpy() if len(pixels) == 1 else pixels.permute(1, 2, 0).numpy()
