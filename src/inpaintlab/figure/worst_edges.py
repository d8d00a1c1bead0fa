"""fig9_failures: where a method's predicted edges are worst, by number and not by hand."""

import math
from collections.abc import Sequence

import polars as pl

from inpaintlab.edges import EdgeSource
from inpaintlab.evaluation import Result
from inpaintlab.figure.caption import caption, of_result
from inpaintlab.figure.edge_settings import source_of
from inpaintlab.figure.page import Drawn
from inpaintlab.figure.sheet import Cell, Row, sheet, texts_of
from inpaintlab.figure.sources import Pixels, completed, item, kept_edges, load, moved, of_photographs, pixels, titled
from inpaintlab.testsets import Manifest, ManifestDataset

FIG9 = "fig9_failures"


MEASURES = {"precision": "drawn_edge_precision", "recall": "drawn_edge_recall"}
"""The metrics of the edges that a method draws itself, in the hole, against its source's of the original."""


def failures(results: Sequence[str], *, count: int, root: str | None, mask_root: str | None) -> Drawn:
    """EdgeConnect's Figure 9: the images whose predicted edges have the lowest precision, and the lowest recall.

    Args:
        results: the folder of one result, evaluated with ``raw=true``.
        count: how many images of each.
        root: the folder of the photographs on this machine, if they have moved.
        mask_root: the same of the mask files.

    Raises:
        ValueError: not one result, of a method that draws no edges, without pictures of them, or a photograph that has
            moved.
    """
    if len(results) > 1:
        raise ValueError(f"{FIG9} is of one method: give one result folder, not {len(results)}.")
    (result,) = load(FIG9, results)
    for metric in MEASURES.values():
        if metric not in result.metrics:
            raise ValueError(
                f"{result.folder} has no {metric}: its method draws no edges, or was evaluated without that metric; "
                "evaluate a method that does, with raw=true."
            )
    source = source_of(result)
    source.require()
    worst = {word: lowest(result, metric, count) for word, metric in MEASURES.items()}
    names = list(dict.fromkeys(name for found in worst.values() for name in found))
    if not names:
        raise ValueError(f"{result.folder}: no image has a {MEASURES['precision']} or a {MEASURES['recall']}.")
    kept_edges(result, names[0])
    found = of_photographs(result, names, root, mask_root)
    true = _true_edges(result, source, names, root, mask_root)
    rows, numbers = [], []
    for word, chosen in worst.items():
        for rank, name in enumerate(chosen, 1):
            row = item(result, name)
            values = [row[metric] for metric in MEASURES.values()]
            numbers.append((word, rank, name, row["bin"], row["hole_ratio"], *values, row.get("edge_density")))
            known = [f"{value:.3f}" if math.isfinite(value) else "undefined" for value in values]
            scores = ", ".join(f"{one} {value}" for one, value in zip(MEASURES, known, strict=True))
            cells = [
                Cell(pixels(found[name].painted), "input"),
                Cell(true[name], "edges of the original"),
                Cell(kept_edges(result, name), "edges drawn"),
                Cell(completed(result, name), "output"),
                Cell(pixels(found[name].image), "original"),
            ]
            rows.append(Row(cells, f"lowest {word}, place {rank}: {titled(result, name)}; {scores}"))
    undefined = {
        word: sum(not math.isfinite(value) for value in result.per_image[metric]) for word, metric in MEASURES.items()
    }
    what = [
        f"The {count} images whose drawn edges have the lowest precision in the hole, then the {count} with the lowest "
        f"recall, of {result.per_image.height} images; equal values are in the order of their names.",
        "Images without a value are left out: "
        + ", ".join(f"{number} of {word}" for word, number in undefined.items())
        + ".",
        f"Edges are marked by {source.in_words()}; “edges drawn” are what the inpainting generator got.",
    ]
    written = caption(
        FIG9,
        what,
        test_sets=[of_result(result)],
        results=[result],
        metrics={metric: result.metrics[metric] for metric in MEASURES.values()},
        texts=texts_of(rows),
    )
    schema = ["lowest", "place", "image", "bin", "hole_ratio", *MEASURES.values(), "edge_density"]
    return Drawn(sheet(rows), pl.DataFrame(numbers, schema=schema, orient="row"), written)


def lowest(result: Result, metric: str, count: int) -> list[str]:
    """The images with the lowest finite values of a metric; equal values are in the order of the images' names."""
    values = zip(result.per_image[metric], result.per_image["name"], strict=True)
    return [name for _, name in sorted(pair for pair in values if math.isfinite(pair[0]))[:count]]


def _true_edges(
    result: Result, source: EdgeSource, names: Sequence[str], root: str | None, mask_root: str | None
) -> dict[str, Pixels]:
    """What the source marks in the originals, some of which bring a map from a file."""
    pairs = ManifestDataset(Manifest.load(result.folder / "manifest.json"), root, mask_root)
    places = {item.name: place for place, item in enumerate(pairs.manifest.items)}
    edges = {}
    with moved(root):
        for name in names:
            pair = pairs[places[name]]
            given = pair["edges"][None] if "edges" in pair else None
            edges[name] = (source.whole(pair["image"][None], given=given)[0, 0] * 255).round().byte().numpy()
    return edges
