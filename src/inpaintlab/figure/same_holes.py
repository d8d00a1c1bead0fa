"""fig3_qualitative: the same holes, completed by every method."""

from collections.abc import Sequence

import polars as pl

from inpaintlab.comparison import marked
from inpaintlab.figure.caption import ORACLE, caption, of_result
from inpaintlab.figure.page import Drawn
from inpaintlab.figure.sheet import Cell, Row, sheet, texts_of
from inpaintlab.figure.sources import (
    chosen,
    completed,
    item,
    load,
    of_images,
    of_photographs,
    pixels,
    score,
    titled,
)

FIG3 = "fig3_qualitative"


def qualitative(
    results: Sequence[str],
    *,
    images: Sequence[str],
    count: int,
    metric: str | None,
    root: str | None,
    mask_root: str | None,
) -> Drawn:
    """EdgeConnect's Figure 3: the same holes, completed by each method, in the order in which they are given.

    Args:
        results: folders of one test set.
        images: their names in the manifest; empty for ``count`` that are chosen by number.
        count: how many, then.
        metric: of images, below the pictures; None for pictures alone.
        root: the folder of the photographs on this machine, if they have moved.
        mask_root: the same of the mask files.

    Raises:
        ValueError: results of different test sets, a picture that is missing, or a photograph that has moved.
    """
    loaded = load(FIG3, results)
    of = {} if metric is None else {metric: of_images(loaded, metric, "metric")}
    names, rule = chosen(loaded[0], images, count)
    found = of_photographs(loaded[0], names, root, mask_root)
    rows, numbers = [], []
    for name in names:
        cells = [Cell(pixels(found[name].image), "original"), Cell(pixels(found[name].painted), "input")]
        for result in loaded:
            value = item(result, name)[metric] if metric else None
            note = "" if metric is None or value is None else score(value, metric, of)
            cells.append(Cell(completed(result, name), marked(result), note))
            numbers.append((name, result.label, metric, value, result.picture_sha256(name)))
        rows.append(Row(cells, titled(loaded[0], name)))
    below = f", with its {metric}" if metric else ""
    what = [f"Each row: an original, the input with its hole, and what each method completed{below}.", rule]
    written = caption(
        FIG3,
        what,
        test_sets=[of_result(loaded[0])],
        results=loaded,
        metrics=of,
        notes=[ORACLE] if any(result.oracle for result in loaded) else [],
        texts=texts_of(rows),
    )
    schema = ["image", "label", "metric", "value", "picture_sha256"]
    return Drawn(sheet(rows), pl.DataFrame(numbers, schema=schema, orient="row"), written)
