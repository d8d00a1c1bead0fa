"""What the methods of a comparison cost, in every format that the tables have."""

import io
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from rich.console import Console

from inpaintlab.comparison import costs, tabulate
from inpaintlab.evaluation import Result
from inpaintlab.programs import write_comparison as compare
from inpaintlab.report import html_page
from stand_ins.results import write_result

COST = {
    "parameters": 6_068_160,
    "gmac": 12.3456,
    "milliseconds": 250.04,
    "peak_memory_bytes": 300 * 2**20,
    "batch_size": 1,
    "size": 16,
    "images_seen": 19200,
    "rounds": 8,
    "load_of_others": 0.2,
    "cores": 2,
}
LOAD = {"load_of_others": 1.26}
NETWORK = ["6.07", "12.3", "250", "300", "19,200"]
CLASSICAL = {"parameters": None, "gmac": None, "milliseconds": 0.94, "peak_memory_bytes": None, "images_seen": None}


@pytest.fixture
def results(tmp_path: Path) -> list[Result]:
    """A network and a classical method."""
    folders = [
        write_result(tmp_path / "a_net", [20.0] * 6, cost=COST),
        write_result(tmp_path / "telea", [10.0] * 6, cost=COST | CLASSICAL, checkpoint=None),
    ]
    return [Result.load(folder) for folder in folders]


def changed(tmp_path: Path, **changes: Any) -> Result:
    return Result.load(write_result(tmp_path / "third", [1.0] * 6, **changes))


def test_every_format_holds_the_same_numbers(results: list[Result]) -> None:
    console = Console(width=100, file=io.StringIO(), record=True)
    for view in costs.costs_tables(results):
        console.print(view)
    printed, page, tex = console.export_text(), costs.costs_markdown(results), costs.costs_latex(results)
    for text in (printed, page, tex):
        assert all(number in text for number in [*NETWORK, "0.94"])
    assert f"| a_net | {' | '.join(NETWORK)} |" in page
    assert rf"a\_net & {' & '.join(NETWORK)} \\" in tex
    assert tex.count("{lrrrrr}") == 1
    assert r"telea & -- & -- & 0.94 & -- & -- \\" in tex
    assert max(len(line) for line in printed.splitlines()) <= 100


def test_the_csv_holds_what_was_measured_and_nothing_where_nothing_was(results: list[Result]) -> None:
    network, classical = pl.read_csv(io.StringIO(costs.costs_csv(results))).iter_rows(named=True)
    assert network == {"label": "a_net", **COST, "machine": "two cores"}
    assert classical == {"label": "telea", **COST, **CLASSICAL, "machine": "two cores"}


def test_a_time_taken_while_others_kept_the_machine_busy_has_a_mark_in_every_format(
    results: list[Result], tmp_path: Path
) -> None:
    busy = changed(tmp_path, cost=COST | LOAD, label="third")
    both = [results[1], busy]
    console = Console(width=100, file=io.StringIO(), record=True)
    console.print(*costs.costs_tables(both))
    said = "‡ Measured while other processes kept cores busy (third: 1.3 of 2)"
    assert [note for note in costs.costs_notes(both) if note.startswith(said)]
    assert " 250‡ " in console.export_text()
    assert "| third | 6.07 | 12.3 | 250‡ | 300 | 19,200 |" in costs.costs_markdown(both)
    assert said in costs.costs_markdown(both)
    assert r"third & 6.07 & 12.3 & 250\textdaggerdbl{} & 300 & 19,200 \\" in costs.costs_latex(both)
    assert r"\textdaggerdbl{} Measured while other" in costs.costs_latex(both)
    html = html_page(tabulate(both), 0)
    assert 'data-value="250.04">250‡</td>' in html
    assert f"<li>{said}" in html
    row = pl.read_csv(io.StringIO(costs.costs_csv(both))).row(1, named=True)
    assert row["load_of_others"] == 1.26


@pytest.mark.parametrize("load", [{"load_of_others": None, "cores": None}, {"load_of_others": 0.2, "cores": 2}])
def test_a_quiet_machine_and_one_that_does_not_tell_leave_no_mark(tmp_path: Path, load: dict[str, Any]) -> None:
    result = changed(tmp_path, cost=COST | load)
    assert "‡" not in costs.costs_markdown([result]) + costs.costs_latex([result]) + "".join(
        costs.costs_notes([result])
    )


def test_results_without_a_cost_have_no_table_of_costs(tmp_path: Path) -> None:
    result = changed(tmp_path, cost={}, checkpoint=None)
    assert costs.costs_tables([result]) == costs.costs_notes([result]) == []
    assert costs.costs_markdown([result]) == costs.costs_latex([result]) == ""
    (row,) = pl.read_csv(io.StringIO(costs.costs_csv([result]))).iter_rows(named=True)
    assert row["milliseconds"] is row["parameters"] is None


def test_the_notes_say_how_it_was_measured(results: list[Result], tmp_path: Path) -> None:
    assert costs.costs_notes(results)[-1] == "Measured with 1 image of 16 pixels at a time on two cores."
    other = changed(tmp_path, cost=COST | {"batch_size": 16}, machine="1 x GPU")
    assert costs.costs_notes([*results, other])[-1] == (
        "Times and memory were measured differently, so compare them with care (a_net, telea: 1 image of 16 pixels at "
        "a time on two cores; third: 16 images of 16 pixels at a time on 1 x GPU)."
    )


def test_a_label_cannot_break_a_table(tmp_path: Path) -> None:
    result = changed(tmp_path, label="a|b & c\n[red]", cost=COST)
    assert r"| a\|b & c \[red\] |" in costs.costs_markdown([result])
    assert r"a\textbar{}b \& c [red] &" in costs.costs_latex([result])
    console = Console(width=100, file=io.StringIO(), record=True)
    console.print(*costs.costs_tables([result]))
    assert "[red]" in console.export_text()


def test_a_comparison_writes_the_costs_beside_its_tables(results: list[Result], tmp_path: Path) -> None:
    compare([result.folder for result in results], tmp_path / "out", pictures=0)
    assert (tmp_path / "out/costs.csv").read_text() == costs.costs_csv(results)
    assert (tmp_path / "out/table.md").read_text().endswith(costs.costs_markdown(results))
    assert (tmp_path / "out/table.tex").read_text().endswith(costs.costs_latex(results))
