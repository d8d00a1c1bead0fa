"""A run's results as Markdown, and writing them into docs/performance.md."""

import math
from pathlib import Path
from typing import Any

from benchmarks.growth import MEGA, pixels
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
    return "\n\n".join(parts)


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
    ceilings = "; ".join(
        f"{kind} {', '.join(f'{rate:,.0f} GFLOP/s in {precision}' for precision, rate in rates.items())}"
        for kind, rates in results["ceilings"].items()
    )
    settings = results["settings"]
    lines = [
        f"Measured on {results['date']} at commit {results['commit'] or 'unknown'} with `{results['command']}`, which "
        f"took {results['seconds'] / 60:.0f} minutes: {results['machine']}; others kept at most "
        f"{load_of_others(results):.2f} cores busy. {versions}.",
    ]
    if settings["width"] != 1:
        lines.append(f"Networks at {settings['width']} of their width.")
    if ceilings:
        lines.append(f"The machine's ceilings, measured in the same run: {ceilings}.")
    return "\n\n".join(lines)


def _steps(results: dict[str, Any]) -> str:
    rows = [
        "| step | size, batch | ours in | plain, s | ours, s | times as fast | images/s | GB | GFLOP | of ceiling |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in results["steps"]:
        cells = [
            f"{row['model']} {row['phase']}",
            f"{row['size']}, {row['batch']}",
            row["variant"],
            _spread(row["plain"]),
            _spread(row["ours"]),
            _spread(row["ratio"]),
            _three(row["images_per_second"]),
            _both(row["plain"]["peak_bytes"], row["ours"]["peak_bytes"], lambda bytes_: f"{bytes_ / 1e9:.2f}"),
            _both(row["plain"]["gflop"], row["ours"]["gflop"], lambda gflop: f"{gflop:.0f}"),
            _both(
                _share(row["plain"], results["ceilings"], "float32"),
                _share(row["ours"], results["ceilings"], "bf16" if "bf16" in row["variant"] else "float32"),
                lambda share: f"{100 * share:.0f} %",
            ),
        ]
        rows.append(f"| {' | '.join(cells)} |")
    lines = ["Training steps:", "", *rows]
    for row in results["steps"]:
        if "compile" in row["variant"]:
            name = f"{row['model']} {row['phase']}, {row['size']}, {row['batch']} in {row['variant']}"
            lines += ["", f"The first step of {name}, which compiles: {_three(row['first_step_seconds'])} s."]
    reasons = dict.fromkeys((row["model"], row["variant"], row["reason"]) for row in results["left_out"])
    lines += [line for model, variant, reason in reasons for line in ("", f"Left out, {model} in {variant}: {reason}")]
    return "\n".join(lines)


def _share(side: dict[str, Any], ceilings: dict[str, dict[str, float]], precision: str) -> float | None:
    """The rate of a side in units of the convolutions' ceiling."""
    if not side["gflop"] or not ceilings:
        return None
    return side["gflop"] / side["median"] / ceilings["convolution"][precision]


def _work(work: list[dict[str, Any]]) -> str:
    rows = ["| work | threads | ours, ms a picture | pictures/s | reference, ms a picture | times as fast |"]
    rows.append("|---|---|---|---|---|---|")
    for row in work:
        reference = f"{_spread(row['reference'])}, {row['against']}" if row["reference"] else ""
        ratio = _spread(row["ratio"]) if row["ratio"] else ""
        rate = _three(1000 / row["ours"]["median"])
        rows.append(f"| {row['name']} | {row['threads']} | {_spread(row['ours'])} | {rate} | {reference} | {ratio} |")
    return "\n".join(["What surrounds a step:", "", *rows])


def _growth(growth: list[dict[str, Any]], plot: str | None) -> str:
    rows = ["| step | size, batch | s | s a megapixel | memory, GB | GB a megapixel |", "|---|---|---|---|---|---|"]
    for row in growth:
        mega = pixels(row) / MEGA
        memory = row["peak_bytes"]
        cells = [
            f"{row['model']} {row['phase']}, {row['variant']}",
            f"{row['size']}, {row['batch']}",
            _three(row["ours"]["median"]),
            _three(row["ours"]["median"] / mega),
            "" if memory is None else f"{memory / 1e9:.2f}",
            "" if memory is None else _three(memory / 1e9 / mega),
        ]
        rows.append(f"| {' | '.join(cells)} |")
    picture = ["", f"![How time and memory of a step grow with its pixels]({plot})"] if plot else []
    return "\n".join(["How our step grows:", "", *rows, *picture])


def _spread(found: dict[str, Any]) -> str:
    """Median and quartiles."""
    return f"{_three(found['median'])} ({_three(found['low'])} to {_three(found['high'])})"


def _three(number: float) -> str:
    """A number with three significant digits, without an exponent."""
    if number <= 0:
        return "0"
    return f"{number:,.{max(0, 2 - math.floor(math.log10(number)))}f}"


def _both(plain: Any, ours: Any, words: Any) -> str:
    """The plain side's number and ours, if they were measured."""
    return " → ".join(words(number) if number else "?" for number in (plain, ours)) if plain or ours else ""
