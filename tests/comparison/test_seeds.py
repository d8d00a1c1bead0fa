"""Runs that differ by their seed alone: who belongs together, their mean and deviation, in every format."""

import io
import math
import statistics
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from rich.console import Console

from inpaintlab.comparison import Table, seed_groups, seeds_tables, tabulate
from inpaintlab.comparison import seed_rows as rows_of
from inpaintlab.evaluation import Result
from inpaintlab.programs import write_comparison as compare
from stand_ins.results import write_result

PSNR = {1: [20.0] * 6, 2: [21.0] * 6, 3: [24.0] * 6}


def run(folder: Path, seed: int, **changes: Any) -> Path:
    """The result of a run with this seed; `changes` are of its training."""
    training = {"data": {"root": "photos"}, "size": 16, "seed": seed, "init": None} | changes
    return write_result(folder, PSNR[seed], checkpoint={"iterations": 9, "images_seen": 90, "training": training})


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    """Three runs of one configuration, one of the same on other data, and a classical method."""
    runs = [run(tmp_path / f"glcic_{seed}", seed) for seed in PSNR]
    other = run(tmp_path / "elsewhere", 2, data={"root": "faces"})
    return [*runs, other, write_result(tmp_path / "telea", [10.0] * 6, checkpoint=None)]


@pytest.fixture
def table(folders: list[Path]) -> Table:
    return tabulate([Result.load(folder) for folder in folders])


def test_runs_that_differ_by_their_seed_alone_belong_together(table: Table) -> None:
    (group,) = seed_groups(table.results)
    assert group.name == "glcic (3 seeds)"
    assert sorted(result.label for result in group.results) == ["glcic_1", "glcic_2", "glcic_3"]


def test_a_group_has_the_mean_and_the_deviation_of_its_runs(table: Table) -> None:
    (group,) = seed_groups(table.results)
    spread = group.spread("psnr_rgb", "all")
    assert spread == pytest.approx((statistics.mean([20, 21, 24]), statistics.stdev([20, 21, 24])))
    assert rows_of(table, "psnr_rgb")[1][-1] == "21.67 ± 2.08"


def test_a_run_without_the_metric_leaves_its_group_without_a_number(folders: list[Path]) -> None:
    lacking = Result.load(folders[0])
    lacking.means["all"]["psnr_rgb"] = None
    table = tabulate([lacking, *(Result.load(folder) for folder in folders[1:])])
    assert rows_of(table, "psnr_rgb")[1][-1] == "–"  # noqa: RUF001


def test_an_exact_image_of_one_run_leaves_the_spread_of_the_others_in_brackets(tmp_path: Path) -> None:
    """The runs' means over images with an error are 20 and 22: 21 ± sqrt(2)."""
    for seed, psnr in {1: [math.inf, *[20.0] * 5], 2: [22.0] * 6}.items():
        training = {"size": 16, "seed": seed}
        write_result(
            tmp_path / f"glcic_{seed}", psnr, checkpoint={"iterations": 9, "images_seen": 9, "training": training}
        )
    table = tabulate([Result.load(tmp_path / f"glcic_{seed}") for seed in (1, 2)])
    (group,) = seed_groups(table.results)
    assert group.spread("psnr_rgb", "all") == (math.inf, None)
    assert rows_of(table, "psnr_rgb")[1][-1] == "∞ ± – (21.00 ± 1.41)"  # noqa: RUF001
    assert rows_of(table, "psnr_rgb")[1][1] == "21.00 ± 1.41"  # 10-20, which has no exact image


def test_every_format_tells_the_spread_and_how_it_differs_from_the_intervals(
    folders: list[Path], table: Table, tmp_path: Path
) -> None:
    compare(folders, tmp_path / "out", pictures=0)
    console = Console(width=80, file=io.StringIO(), record=True)
    for view in seeds_tables(table, ["psnr_rgb"]):
        console.print(view)
    printed = console.export_text()
    assert all(part in printed for part in ("glcic (3 seeds)", "21.67", "± 2.08"))
    page = (tmp_path / "out/report.html").read_text()
    for text in ((tmp_path / "out/table.md").read_text(), page):
        assert "21.67 ± 2.08" in text
    assert "no luck of training" in page
    rows = pl.read_csv(tmp_path / "out/seeds.csv").filter(metric="psnr_rgb", bin="all")
    assert rows.select("group", "seeds", "mean").row(0) == ("glcic (3 seeds)", 3, pytest.approx(65 / 3))


def test_without_a_second_seed_nothing_is_said_of_seeds(folders: list[Path], tmp_path: Path) -> None:
    compare(folders[2:], tmp_path / "out", pictures=0)
    assert "seeds" not in (tmp_path / "out/table.md").read_text().lower()
    assert "over seeds" not in (tmp_path / "out/report.html").read_text()
    assert pl.read_csv(tmp_path / "out/seeds.csv").height == 0
