"""Comparing results from a program, as `inpaintlab compare` does."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from inpaintlab.comparison import (
    Table,
    check,
    check_settings,
    comparable,
    costs_csv,
    costs_latex,
    costs_markdown,
    load_papers,
    seeds_csv,
    seeds_markdown,
    table_csv,
    table_latex,
    table_markdown,
    tabulate,
)
from inpaintlab.evaluation import Result
from inpaintlab.machine import alone, write_texts
from inpaintlab.programs.composing import composed
from inpaintlab.programs.results import Comparison, Evaluation
from inpaintlab.report import html_page


def compare(
    results: Evaluation | Result | str | Path | Sequence[Evaluation | Result | str | Path],
    out: str | Path = "comparison",
    *,
    pictures: int = 48,
    root: str | Path | None = None,
    reference: str | None = None,
    published: Sequence[str] = (),
    intervals: bool = True,
) -> Comparison:
    """Set results of one test set side by side, and write the tables and the report of `inpaintlab compare`.

    Args:
        results: from `inpaintlab.evaluate`, or result folders.
        out: the folder for table.md, .csv and .tex, costs.csv, seeds.csv and report.html.
        pictures: of how many test images the report holds the pictures.
        root: the folder of the photographs on this machine, if they have moved since the test set was frozen.
        reference: the label that differences are taken from; None for the best of each column.
        published: papers' numbers to show beside the measured ones: "edgeconnect_table1".
        intervals: whether table.md and table.tex show the interval of each mean.

    Returns:
        The tables, and where the files are.

    Raises:
        ValueError: what the command refuses, in one sentence. Nothing is written then.
    """
    listed = [results] if isinstance(results, (str, Path, Evaluation, Result)) else results
    if not isinstance(listed, Sequence):
        raise ValueError(f"results is a {type(listed).__name__}; give results of inpaintlab.evaluate, or folders.")
    folders = [str(one.folder if isinstance(one, (Evaluation, Result)) else one) for one in listed]
    given: dict[str, Any] = {
        "results": folders,
        "out": str(out),
        "pictures": pictures,
        "root": None if root is None else str(root),
        "reference": reference,
        "published": list(published),
        "intervals": intervals,
    }
    cfg = composed("compare", given, "inpaintlab.compare")
    table = write_comparison(
        [Path(folder) for folder in cfg.results],
        Path(cfg.out),
        cfg.pictures,
        cfg.root,
        reference=cfg.reference,
        published=cfg.published,
        intervals=cfg.intervals,
    )
    return Comparison(table, Path(cfg.out), cfg.root)


def write_comparison(
    results: list[Path],
    out: Path,
    pictures: int,
    root: str | None = None,
    *,
    reference: str | None = None,
    published: Sequence[str] = (),
    intervals: bool = True,
) -> Table:
    """Compare result folders, and write table.md, .csv and .tex, costs.csv, seeds.csv and report.html into ``out``.

    Args:
        results: the result folders.
        out: the folder for the files; it is made.
        pictures: the most test images with pictures in the report.
        root: the folder of the photographs on this machine, if they have moved since the manifest was frozen.
        reference: the label that differences are taken from; None for the best of each column.
        published: names of papers' tables to show beside the measured numbers (see `load_papers`).
        intervals: whether table.md and table.tex show the interval of each mean.

    Raises:
        ValueError: a folder is not a complete result, the results do not belong together (see `check`), there is no
            such reference or published table, or a completed picture is missing. Nothing is written then.
    """
    if not results:
        raise ValueError(
            "There is nothing to compare: give result folders, as in `inpaintlab compare results/glcic results/telea`."
        )
    loaded = [Result.load(folder) for folder in results]
    check(loaded)
    check_settings([result.label for result in loaded], out, pictures, reference, published)
    table = tabulate(loaded, reference, comparable(load_papers(published), loaded))
    texts = {
        "table.md": table_markdown(table, intervals) + seeds_markdown(table) + costs_markdown(table.results),
        "table.csv": table_csv(table),
        "costs.csv": costs_csv(table.results),
        "seeds.csv": seeds_csv(table),
        "table.tex": table_latex(table, intervals) + costs_latex(table.results),
        "report.html": html_page(table, pictures, root),
    }
    with alone(out / ".lock"):  # two comparisons would mix their files
        write_texts(out, texts)
    return table
