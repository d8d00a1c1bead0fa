"""The table of costs of a comparison, for the terminal and as Markdown, LaTeX and CSV."""

import polars as pl
from rich.table import Table as RichTable
from rich.text import Text

from inpaintlab.comparison.formats import grid, titled
from inpaintlab.comparison.latex import escaped
from inpaintlab.comparison.methods import DISTURBED, cost_columns, disturbed, images_seen
from inpaintlab.comparison.table import marked
from inpaintlab.evaluation import Result
from inpaintlab.shapes import in_pixels

TITLE = "What completing one image costs"


_CSV = {
    "label": pl.String(),
    "parameters": pl.Int64(),
    "gmac": pl.Float64(),
    "milliseconds": pl.Float64(),
    "peak_memory_bytes": pl.Int64(),
    "images_seen": pl.Int64(),
    "batch_size": pl.Int64(),
    "size": pl.String(),
    "rounds": pl.Int64(),
    "load_of_others": pl.Float64(),
    "cores": pl.Int64(),
    "machine": pl.String(),
}


def rows(results: list[Result]) -> list[list[str]]:
    """A heading and one row per method, as text; empty if no result has costs."""
    columns = cost_columns(results)
    if not columns:
        return []
    head = ["method", *(column.heading for column in columns)]
    return [head, *([marked(result), *(c.texts[i] for c in columns)] for i, result in enumerate(results))]


def costs_notes(results: list[Result]) -> list[str]:
    """Sentences on what the numbers mean and how they were measured, which may differ between results."""
    if not rows(results):
        return []
    notes = [
        "Parameters are those that take part in a completion; GMAC are 1e9 multiply-accumulates of convolutions and "
        "matrix products; ms is the time of an image, the least of several rounds; peak memory is that of a batch "
        "beyond the model itself.",
        *_disturbed(results),
    ]
    measured: dict[str, list[str]] = {}
    for result in results:
        number, size = result.cost.get("batch_size"), _size(result)
        if number and size:
            how = f"{number} image{'s' if number > 1 else ''} of {size} pixels at a time on {result.machine}"
            measured.setdefault(how, []).append(result.label)
    if len(measured) == 1:
        return [*notes, f"Measured with {next(iter(measured))}."]
    differing = "; ".join(f"{', '.join(labels)}: {how}" for how, labels in measured.items())
    return [*notes, f"Times and memory were measured differently, so compare them with care ({differing})."]


def _disturbed(results: list[Result]) -> list[str]:
    """A sentence on the load of other processes, if a time is marked for it."""
    loads = [f"{r.label}: {r.cost['load_of_others']:.1f} of {r.cost.get('cores')}" for r in results if disturbed(r)]
    if not loads:
        return []
    measured = f"Measured while other processes kept cores busy ({'; '.join(loads)})"
    return [f"{DISTURBED} {measured}, so the method may take less time on a quiet machine."]


def _size(result: Result) -> str | None:
    """The side of the square images that were completed, or height x width; None if that is unknown."""
    size = result.cost.get("size")
    return None if size is None else str(size) if isinstance(size, int) else in_pixels(size)


def costs_tables(results: list[Result]) -> list[RichTable]:
    """One table for the terminal; none if no result has costs."""
    if not (lines := rows(results)):
        return []
    view = titled(TITLE)
    for heading in lines[0][1:]:
        view.add_column(heading.replace(", ", "\n"), justify="right", no_wrap=True)
    for line in lines[1:]:
        view.add_row(*(Text(cell) for cell in line))
    return [view]


def costs_markdown(results: list[Result]) -> str:
    """A section of a Markdown page; empty if no result has costs."""
    if not (lines := rows(results)):
        return ""
    notes = [f"- {note}" for note in costs_notes(results)]
    return "\n".join(["", f"## {TITLE}", "", *grid(lines), "", *notes]) + "\n"


def costs_latex(results: list[Result]) -> str:
    """A `table` environment with booktabs rules; empty if no result has costs."""
    if not (lines := rows(results)):
        return ""
    head, *body = [" & ".join(map(escaped, line)) + r" \\" for line in lines]
    caption = " ".join(map(escaped, [f"{TITLE}.", *costs_notes(results)]))
    columns = "l" + "r" * (len(lines[0]) - 1)
    begin = [r"\begin{table}", r"\centering", rf"\caption{{{caption}}}", rf"\begin{{tabular}}{{{columns}}}"]
    end = [r"\bottomrule", r"\end{tabular}", r"\end{table}"]
    return "\n".join(["", *begin, r"\toprule", head, r"\midrule", *body, *end]) + "\n"


def costs_csv(results: list[Result]) -> str:
    """One row per method with the measured numbers; a cell is empty if its number is unknown."""
    columns = ("parameters", "gmac", "milliseconds", "peak_memory_bytes")
    table = [
        (
            result.label,
            *(result.cost.get(column) for column in columns),
            images_seen(result),
            result.cost.get("batch_size"),
            _size(result),
            *(result.cost.get(column) for column in ("rounds", "load_of_others", "cores")),
            result.machine,
        )
        for result in results
    ]
    return pl.DataFrame(table, schema=_CSV, orient="row").write_csv()
