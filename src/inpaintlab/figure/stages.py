"""Figures of one checkpoint: fig2_overview, fig10_transfer and fig11_removal."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import polars as pl
import torch
from omegaconf import DictConfig
from torch import Tensor

from inpaintlab.completion import pair_photographs, read_photograph
from inpaintlab.data import image_tensor, in_unit_range, read_rgb
from inpaintlab.edges import NoEdges
from inpaintlab.figure.caption import caption, code, of_checkpoint, of_manifest
from inpaintlab.figure.page import Drawn
from inpaintlab.figure.sheet import Cell, Row, sheet, texts_of
from inpaintlab.figure.sources import Pixels, by_hash, moved
from inpaintlab.imaging import rgb_to_gray
from inpaintlab.inpainting import WHOLE, build_method, computing, device_type, fit, hide
from inpaintlab.machine import file_sha256, shown
from inpaintlab.models import EdgeConnect
from inpaintlab.recipes import nearest
from inpaintlab.report import painted
from inpaintlab.shapes import Images, Planes
from inpaintlab.testsets import Manifest, ManifestDataset

FIG2, FIG10, FIG11 = "fig2_overview", "fig10_transfer", "fig11_removal"


_UNWRITTEN = Path("figure.png")  # photographs are paired as for `complete`, and none is completed into a file


@final
@dataclass(frozen=True, eq=False)
class Case:
    """An image with its hole.

    Args:
        name: of the image.
        image: RGB in [0, 1].
        mask: 1 = hole.
        drawing: a user's drawing for the hole, 1 = edge, or the manifest's map of edges; None without one.
        files: what it was read from, with the hash of each.
    """

    name: str
    image: Images
    mask: Planes
    drawing: Planes | None = None
    files: str = ""


# ------------------------------------------------------------------------------------------------------- fig2_overview


def overview(cfg: DictConfig) -> Drawn:
    """EdgeConnect's Figure 2: what happens to an image between the two generators.

    Args:
        cfg: the settings of ``inpaintlab figures fig2_overview``.

    Raises:
        ValueError: a checkpoint that draws no edges, no image, or one that cannot be read.
    """
    cases, about, rule = _cases(cfg, FIG2)
    model, method, _ = _edge_connect(cfg)
    rows, numbers = [], []
    for case in cases:
        given = case.drawing if model.reads_edges else None
        output, composite = _completed(model, case, given)
        stages = _alone(model, case, given) | {"composite": composite}
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
    pairs, about = _pairs(cfg)
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
    cases = _of_files(cfg, cfg.drawing)
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
    model.require()
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


def _alone(model: EdgeConnect, case: Case, given: Planes | None) -> dict[str, Planes]:
    """The known edges, and those that the edge generator has just drawn of the whole image.

    Raises:
        ValueError: it drew none, because its source of edges brings those of the hole.
    """
    image, mask = _sent(case.image, model), _sent(case.mask, model)
    found = model.drawing_and_truth(image, mask, given)
    if found is None:
        raise ValueError(f"{type(model).__name__} with edges {model.edges.in_words()} draws none itself.")
    known = model.edges.known(image, mask, given=given) * (1 - mask)
    return {"known": known.cpu(), "drawn": found[0].cpu()}


def _sent(plane: Tensor, model: EdgeConnect) -> Tensor:
    return plane.to(model.device)


# ----------------------------------------------------------------------------------------------------------- the images


def _cases(cfg: DictConfig, name: str) -> tuple[list[Case], list[str], str]:
    """The images of a manifest, or of files; what the caption says of the test set; and how they were chosen."""
    if (cfg.manifest is None) == (cfg.image is None):
        raise ValueError(
            f"{name} is of a manifest's images or of a file: give manifest=TEST.json, or image= and holes=."
        )
    if cfg.manifest is None:
        return list(_of_files(cfg, None)), [], ""
    manifest = Manifest.load(Path(cfg.manifest))
    names = [item.name for item in manifest.items]
    about = [of_manifest(Path(cfg.manifest), Path(cfg.manifest).name)]
    wanted, rule = list(cfg.images), "The images were named on the command line."
    if not wanted:
        wanted, rule = by_hash(manifest.sha256, {item.name: item.image for item in manifest.items}, cfg.count)
    if unknown := [one for one in wanted if one not in names]:
        raise ValueError(f"images: {cfg.manifest} has no '{unknown[0]}'.{nearest(unknown[0], names)}")
    pairs = ManifestDataset(manifest, cfg.root, cfg.mask_root)
    cases = []
    with moved(cfg.root):
        for one in wanted:
            item = pairs[names.index(one)]
            edges = item["edges"][None] if "edges" in item else None
            cases.append(Case(one, item["image"][None], item["mask"][None], edges))
    return cases, about, rule


def _of_files(cfg: DictConfig, drawing: str | None) -> Sequence[Case]:
    """A user's photographs with their masks and drawings, paired as for `inpaintlab complete`."""
    if cfg.holes is None:
        raise ValueError("image= without holes=: give the mask of the photograph, or the folder of the masks.")
    found, _ = pair_photographs(
        Path(cfg.image), Path(cfg.holes), None if drawing is None else Path(drawing), _UNWRITTEN
    )
    cases = []
    for photograph in found:
        contents = read_photograph(photograph, cfg)
        name = photograph.image.name
        if not contents.mask.any():
            raise ValueError(f"The mask {shown(photograph.mask)} has no hole: no {cfg.hole_colour} pixel.")
        files = [path for path in (photograph.image, photograph.mask, photograph.edges) if path is not None]
        drawn = None if contents.edges is None else in_unit_range(contents.edges)
        image, mask = in_unit_range(contents.image), in_unit_range(contents.mask)
        cases.append(Case(shown(name), image, mask, drawn, _hashed(files)))
    return cases


def _pairs(cfg: DictConfig) -> tuple[list[tuple[Case, Case]], list[str]]:
    """The photographs of fig10_transfer, two by two, with the right half as the hole; and the test set, if any."""
    lefts, rights = list(cfg.left), list(cfg.right)
    if not lefts or len(lefts) != len(rights):
        raise ValueError(
            f"left= names {len(lefts)} photographs and right= {len(rights)}: give as many of each, at least one."
        )
    about: list[str] = []
    read: Callable[[str], Case] = _of_file
    if cfg.manifest is not None:
        manifest = Manifest.load(Path(cfg.manifest))
        about.append(of_manifest(Path(cfg.manifest), Path(cfg.manifest).name))
        pairs = ManifestDataset(manifest, cfg.root, cfg.mask_root)
        places = {item.image: place for place, item in reversed(list(enumerate(manifest.items)))}

        def of_manifests(name: str) -> Case:
            if name not in places:
                raise ValueError(f"{cfg.manifest} has no photograph '{name}'.{nearest(name, places)}")
            with moved(cfg.root):
                image = pairs[places[name]]["image"][None]
            return Case(name, image, _right_half(image))

        read = of_manifests
    found = [(read(left), read(right)) for left, right in zip(lefts, rights, strict=True)]
    for left, right in found:
        if left.image.shape != right.image.shape:
            sizes = [f"{one.name} is {one.image.shape[-1]} x {one.image.shape[-2]}" for one in (left, right)]
            raise ValueError(f"{', '.join(sizes)} pixels: give pairs of photographs of one size.")
        if left.image.shape[-1] < 2:
            raise ValueError(f"{left.name} is 1 pixel wide: it has no left and right half.")
    return found, about


def _of_file(name: str) -> Case:
    image = image_tensor(read_rgb(name))[None]
    return Case(shown(Path(name).name), image, _right_half(image), files=_hashed([Path(name)]))


def _right_half(image: Images) -> Planes:
    mask = torch.zeros_like(image[:, :1])
    mask[..., image.shape[-1] // 2 :] = 1
    return mask


def _hashed(files: Sequence[Path]) -> str:
    return ", ".join(f"{code(shown(path))} (SHA-256 {code(file_sha256(path))})" for path in files)


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
