"""A run's results as Markdown, and writing them into docs/performance.md."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import reach
from benchmarks.growth import MEGA, pixels
from benchmarks.settings import precision_of
from inpaintlab.machine import write_texts


def render(results: dict[str, Any], plot: str | None) -> str:
    """All tables of a run.

    Args:
        results: the content of the JSON file.
        plot: the path of the plot of growth relative to the document; None without one.
    """
    parts = [_head(results)]
    if results["steps"]:
        parts.append(_steps(results))
    if results["work"]:
        parts.append(_work(results["work"]))
    if results["growth"]:
        parts.append(_growth(results["growth"], plot))
    if results["checks"]:
        parts.append(_checks(results["checks"]))
    if results["device"] == "cuda" and (found := reach.lines(results)):
        head = f"What was to be reached at {reach.SHAPE[0]} pixels and batch {reach.SHAPE[1]}, and what was measured:"
        parts.append("\n".join([head, "", *found]))
    if results["left_out"]:
        parts.append(_left_out(results["left_out"]))
    return "\n\n".join(parts)


def line(name: str, part: str, row: dict[str, Any], results: dict[str, Any]) -> str:
    """A row in one line, as soon as it is measured.

    Args:
        name: of what was measured.
        part: of the results that the row belongs to.
        row: the row.
        results: with the ceilings.
    """
    if part == "ceilings":
        return f"ceilings: {_ceilings(row)}"
    if part == "checks":
        return f"{row['name']}: {'passed' if row['passed'] else 'FAILED'}, {row['measured']} (limit: {row['limit']})"
    if part == "growth":
        return f"{name}: {_spread(row['ours'])} s"
    if part == "work":
        times = f", {_spread(row['ratio'])} times as fast as {row['against']}" if row["ratio"] else ""
        return f"{row['name']}: {_spread(row['ours'])} ms a picture{times}"
    cells = dict(zip(_STEP, _step(row, results), strict=True)) | dict(zip(_MADE_OF, _made_of(row), strict=True))
    return f"{name}: " + ", ".join(f"{key} {cell}" for key, cell in list(cells.items())[3:] if cell)


def insert(document: Path, device: str, text: str) -> None:
    """Replace the text between the document's marks for a kind of device.

    Raises:
        ValueError: the document lacks the marks.
    """
    begin, end = (f"<!-- measured on {device}: {word} -->" for word in ("begin", "end"))
    whole = document.read_text(encoding="utf-8")
    if whole.count(begin) != 1 or whole.count(end) != 1 or whole.index(begin) > whole.index(end):
        raise ValueError(f"{document} lacks the lines '{begin}' and '{end}', once each; put them where the tables go.")
    before, _, rest = whole.partition(begin)
    write_texts(document.parent, {document.name: f"{before}{begin}\n{text}\n{end}{rest.partition(end)[2]}"})


def load_of_others(results: dict[str, Any]) -> float:
    """The most cores that other processes kept busy during a measurement; 0 if the system did not report it."""
    rows = results["steps"] + results["work"]
    return max((row["load_of_others"] or 0.0 for row in rows), default=0.0)


def _head(results: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in results["versions"].items())
    settings = results["settings"]
    lines = [
        f"Measured on {results['date']} at commit {results['commit'] or 'unknown'} with `{results['command']}`, which "
        f"took {results['seconds'] / 60:.0f} minutes: {results['machine']}; others kept at most "
        f"{load_of_others(results):.2f} cores busy. {versions}.",
    ]
    if settings["width"] != 1:
        lines.append(f"Networks at {settings['width']} of their width.")
    if results["ceilings"]:
        lines.append(f"The machine's ceilings, measured in the same run: {_ceilings(results['ceilings'])}.")
    return "\n\n".join(lines)


def _ceilings(ceilings: dict[str, dict[str, float]]) -> str:
    return "; ".join(
        f"{kind} {', '.join(f'{rate:,.0f} GFLOP/s in {precision}' for precision, rate in rates.items())}"
        for kind, rates in ceilings.items()
    )


_NAMES = ("step", "size, batch", "ours in")
_STEP = (*_NAMES, "plain, ms", "ours, ms", "times as fast", "images/s", "GB", "GFLOP", "of ceiling")
_MADE_OF = (*_NAMES, "operators", "first step, s", "graphs", "breaks", "recompilations", "graphs after the first step")


def _steps(results: dict[str, Any]) -> str:
    """Two tables: how fast the steps are, and what they consist of."""
    rows = results["steps"]
    lines = ["Training steps:", "", *_table(_STEP, [_step(row, results) for row in rows])]
    if any(row["ours"]["operators"] for row in rows):
        lines += ["", "What they consist of:", "", *_table(_MADE_OF, [_made_of(row) for row in rows])]
    return "\n".join(lines)


def _step(row: dict[str, Any], results: dict[str, Any]) -> list[str]:
    return [
        *_name(row),
        _spread(row["plain"], 1000),
        _spread(row["ours"], 1000),
        _spread(row["ratio"]),
        _three(row["images_per_second"]),
        _both(row["plain"]["peak_bytes"], row["ours"]["peak_bytes"], lambda bytes_: f"{bytes_ / 1e9:.2f}"),
        _both(row["plain"]["gflop"], row["ours"]["gflop"], lambda gflop: f"{gflop:.0f}"),
        _both(
            _share(row["plain"], results["ceilings"], "float32"),
            _share(row["ours"], results["ceilings"], precision_of(row["variant"])),
            lambda share: f"{100 * share:.0f} %",
        ),
    ]


def _made_of(row: dict[str, Any]) -> list[str]:
    compiled = row["compiled"]
    return [
        *_name(row),
        _both(row["plain"]["operators"], row["ours"]["operators"], lambda count: f"{count:,}"),
        _three(row["first_step_seconds"]),
        *(str(compiled[key]) if compiled else "" for key in ("graphs", "breaks", "recompilations", "later")),
    ]


def _name(row: dict[str, Any]) -> list[str]:
    return [f"{row['model']} {row['phase']}", f"{row['size']}, {row['batch']}", row["variant"]]


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(cells)} |" for cells in (heads, ["---"] * len(heads), *rows)]


def _checks(checks: list[dict[str, Any]]) -> str:
    rows = [
        [row["name"].removeprefix("checks/"), row["measured"], row["limit"], "yes" if row["passed"] else "**no**"]
        for row in checks
    ]
    return "\n".join(["What is fast is also right:", "", *_table(("check", "measured", "limit", "within it"), rows)])


def _left_out(left_out: list[dict[str, str]]) -> str:
    """The cases without a result, by reason."""
    reasons: dict[str, list[str]] = {}
    for case in left_out:
        reasons.setdefault(case["reason"], []).append(case["name"])
    words = [f"- {', '.join(names)}: {reason}" for reason, names in reasons.items()]
    return "\n".join(["Left out:", "", *words])


def _share(side: dict[str, Any], ceilings: dict[str, dict[str, float]], precision: str) -> float | None:
    """The rate of a side in units of the convolutions' ceiling."""
    if not side["gflop"] or not ceilings:
        return None
    return side["gflop"] / side["median"] / ceilings["convolution"][precision]


def _work(work: list[dict[str, Any]]) -> str:
    heads = ("work", "threads", "ours, ms a picture", "pictures/s", "reference, ms a picture", "times as fast")
    rows = [
        [
            row["name"],
            str(row["threads"]),
            _spread(row["ours"]),
            _three(1000 / row["ours"]["median"]),
            f"{_spread(row['reference'])}, {row['against']}" if row["reference"] else "",
            _spread(row["ratio"]) if row["ratio"] else "",
        ]
        for row in work
    ]
    return "\n".join(["What surrounds a step:", "", *_table(heads, rows)])


def _growth(growth: list[dict[str, Any]], plot: str | None) -> str:
    rows = []
    for row in growth:
        mega = pixels(row) / MEGA
        memory = row["peak_bytes"]
        rows.append(
            [
                f"{row['model']} {row['phase']}, {row['variant']}",
                f"{row['size']}, {row['batch']}",
                _three(row["ours"]["median"]),
                _three(row["ours"]["median"] / mega),
                "" if memory is None else f"{memory / 1e9:.2f}",
                "" if memory is None else _three(memory / 1e9 / mega),
            ]
        )
    heads = ("step", "size, batch", "s", "s a megapixel", "memory, GB", "GB a megapixel")
    picture = ["", f"![How time and memory of a step grow with its pixels]({plot})"] if plot else []
    return "\n".join(["How our step grows:", "", *_table(heads, rows), *picture])


def _spread(found: dict[str, Any], times: float = 1) -> str:
    """Median and quartiles, ``times`` as large."""
    median, low, high = (_three(times * found[key]) for key in ("median", "low", "high"))
    return f"{median} ({low} to {high})"


def _three(number: float) -> str:
    """A number with three significant digits, without an exponent."""
    if number <= 0:
        return "0"
    return f"{number:,.{max(0, 2 - math.floor(math.log10(number)))}f}"


def _both(plain: Any, ours: Any, words: Any) -> str:
    """The plain side's number and ours, if they were measured."""
    return " → ".join(words(number) if number else "?" for number in (plain, ours)) if plain or ours else ""
