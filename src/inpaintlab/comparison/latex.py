"""The table of a comparison in LaTeX: metric by mask bin in rows, methods in columns, as in EdgeConnect's Table 1."""

import re

from inpaintlab.comparison.papers import MARK
from inpaintlab.comparison.table import NO_MEAN, Table, marked
from inpaintlab.evaluation import ALL

_CHARACTERS = {character: f"\\{character}" for character in "&%$#_{}"}


_CHARACTERS |= {"~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "\\": r"\textbackslash{}"}


_CHARACTERS |= {"<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", '"': r"\textquotedbl{}"}


_CHARACTERS |= {"†": r"\textdagger{}", "‡": r"\textdaggerdbl{}", NO_MEAN: "--", "∞": r"$\infty$", "“": "``", "”": "''"}


def table_latex(table: Table, intervals: bool = True) -> str:
    """A `table*` environment with booktabs rules.

    Arrows show the direction of each metric; published columns have a heading of their own. The caption explains the
    marks and the published numbers.

    Args:
        table: the comparison.
        intervals: whether a line below each mean shows its 95 % interval.
    """
    heads = [escaped(marked(result)) for result in table.results]
    heads += [escaped(marked(method).removesuffix(f" ({MARK})")) for method in table.published]
    lines = [
        r"% needs \usepackage[T1]{fontenc} and \usepackage{booktabs}; LuaLaTeX if a label goes beyond Latin letters",
        r"\begin{table*}",
        r"\centering",
        rf"\caption{{{_caption(table, intervals)}}}",
        rf"\begin{{tabular}}{{ll{'r' * len(heads)}}}",
        r"\toprule",
        *_groups(len(table.results), len(table.published)),
        rf" & Mask & {' & '.join(heads)} \\",
    ]
    for metric, meaning in table.metrics.items():
        unit = f" ({meaning.unit})" if meaning.unit else ""
        title = escaped(metric + unit) + (r" $\uparrow$" if meaning.higher_is_better else r" $\downarrow$")
        lines.append(r"\midrule")
        for bin_name in table.bins:
            lines += _rows(table, metric, bin_name, title, intervals)
            title = ""
    lines += [r"\bottomrule", r"\end{tabular}", r"\end{table*}"]
    return "\n".join(lines) + "\n"


def escaped(text: str) -> str:
    """Text in one line, escaped for LaTeX."""
    return re.sub(".", lambda found: _CHARACTERS.get(found.group(), found.group()), " ".join(text.split()))


def _groups(measured: int, published: int) -> list[str]:
    """The headings over measured and published columns; none if nothing is published."""
    if not published:
        return []
    heads = rf" & & \multicolumn{{{measured}}}{{c}}{{measured here}} & \multicolumn{{{published}}}{{c}}{{{MARK}}} \\"
    middle = 3 + measured
    return [heads, rf"\cmidrule(lr){{3-{middle - 1}}} \cmidrule(lr){{{middle}-{middle + published - 1}}}"]


def _number(text: str) -> str:
    """A printed number with LaTeX's minus sign."""
    return escaped(text).replace("-", "$-$") if text != NO_MEAN else escaped(text)


def _rows(table: Table, metric: str, bin_name: str, title: str, intervals: bool) -> list[str]:
    wraps = {"best": r"\textbf{%s}", "level": r"\textit{%s}", "": "%s"}
    cells = [
        wraps[table.mark(result, metric, bin_name)] % _number(table.cell(result, metric, bin_name))
        for result in table.results
    ]
    cells += [_number(table.number(method.means.get((metric, bin_name)), metric)) for method in table.published]
    lines = [rf"{title} & {escaped(bin_name)} & {' & '.join(cells)} \\"]
    ends = [_number(table.interval(result, metric, bin_name)).replace(" to ", "--") for result in table.results]
    if intervals and any(ends):
        small = [rf"{{\scriptsize {end}}}" if end else "" for end in ends]
        lines.append(rf" & & {' & '.join(small + [''] * len(table.published))} \\")
    return lines


def _caption(table: Table, intervals: bool) -> str:
    manifest = table.results[0].manifest["sha256"][:12]
    sentences = [f"{table.bins[ALL]} images of the manifest {manifest}, by mask bin."]
    if intervals:
        sentences.append("Below each number: its 95 % interval.")
    sentences += [table.caption("Bold", "Italic"), *table.notes(), *table.left_out()]
    return " ".join(escaped(sentence) for sentence in sentences)
