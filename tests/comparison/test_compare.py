"""Laws of result folders and of the tables that compare them."""

import io
import json
import math
import os
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from jaxtyping import Bool, Float
from PIL import Image
from rich.console import Console
from scipy.ndimage import binary_dilation, distance_transform_edt
from scipy.stats import t as student
from skimage.color import rgb2gray
from skimage.feature import canny
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from inpaintlab.commandline.arguments import folders_as_override
from inpaintlab.comparison import Table, load_papers, table_csv, table_latex, table_markdown, tabulate, terminal_tables
from inpaintlab.comparison.latex import escaped
from inpaintlab.evaluation import Result, bin_order
from inpaintlab.evaluation.results import means_by_bin
from inpaintlab.machine import write_json, write_texts
from inpaintlab.metrics import Meaning
from inpaintlab.programs import write_comparison as compare
from inpaintlab.testsets import Manifest, ManifestDataset, picture_name
from inpaintlab.verbs.compare import main
from stand_ins.commands import run_here
from stand_ins.results import MAE_METRIC, METRICS, NAMES, PSNR_METRIC, rewrite, write_result

Pixels = Float[np.ndarray, "height width 3"]
Hole = Bool[np.ndarray, "height width"]


@pytest.fixture
def pair(tmp_path):
    """`strong` is better than `weak` in every bin but 10-20, where both print 20.00 dB."""
    weak = write_result(tmp_path / "weak", [10.0, 12.0, 14.0, 19.0, 20.0, 21.0])
    strong = write_result(tmp_path / "strong", [11.0, 13.0, 15.0, 18.0, 20.0, 22.0])
    return [weak, strong]


# The result folder


def test_means_are_those_computed_by_hand():
    images = pl.DataFrame({"bin": ["a", "b", "a"], "mae": [1.0, 2.0, 4.0]})
    assert means_by_bin(images, {"mae": MAE_METRIC}) == {
        "all": {"n": 3, "mae": 7 / 3},
        "a": {"n": 2, "mae": 2.5},
        "b": {"n": 1, "mae": 2.0},
    }


def test_an_exact_image_makes_the_mean_infinite_and_the_mean_of_the_others_stays_known():
    images = pl.DataFrame({"bin": ["a", "a", "b"], "psnr_rgb": [30.0, math.inf, math.inf]})
    means = means_by_bin(images, {"psnr_rgb": PSNR_METRIC})
    assert means["a"] == {"n": 2, "psnr_rgb": math.inf, "psnr_rgb_infinite": 1, "psnr_rgb_finite": 30.0}
    assert means["b"] == {"n": 1, "psnr_rgb": math.inf, "psnr_rgb_infinite": 1}


@pytest.mark.parametrize("value", [math.nan, -math.inf, None])
def test_an_exact_image_does_not_hide_a_failure(value):
    images = pl.DataFrame({"bin": ["a", "a", "a"], "psnr_rgb": [math.inf, value, 20.0]})
    assert means_by_bin(images, {"psnr_rgb": PSNR_METRIC})["a"] == {"n": 3, "psnr_rgb": None, "psnr_rgb_infinite": 1}


def test_undefined_values_are_left_out_of_the_mean_and_counted_where_the_metric_allows_them():
    images = pl.DataFrame({"bin": ["a", "a", "b", "c"], "edge": [0.5, math.nan, math.nan, math.inf]})
    means = means_by_bin(images, {"edge": replace(MAE_METRIC, undefined_allowed=True)})
    assert means["a"] == {"n": 2, "edge": 0.5, "edge_undefined": 1}
    assert means["b"] == {"n": 1, "edge": None, "edge_undefined": 1}
    assert means["c"] == {"n": 1, "edge": None}
    assert means["all"] == {"n": 4, "edge": None, "edge_undefined": 2}
    assert means_by_bin(images, {"edge": MAE_METRIC})["a"] == {"n": 2, "edge": None}


@pytest.mark.parametrize(("metric", "value"), [("mae", math.inf), ("psnr_rgb", -math.inf), ("psnr_rgb", math.nan)])
def test_values_of_a_broken_method_are_never_left_out_to_flatter_it(metric, value):
    images = pl.DataFrame({"bin": ["a", "a"], metric: [0.5, value]})
    assert means_by_bin(images, {metric: MAE_METRIC})["a"] == {"n": 2, metric: None}


def test_a_bin_called_all_is_refused():
    with pytest.raises(ValueError, match="rename the bin"):
        means_by_bin(pl.DataFrame({"bin": ["all"], "mae": [1.0]}), {"mae": MAE_METRIC})


def test_bins_are_ordered_by_number_then_fixed_then_all():
    assert sorted(["all", "fixed", "100-110", "20-30", "5-10", "letters"], key=bin_order) == [
        "5-10",
        "20-30",
        "100-110",
        "letters",
        "fixed",
        "all",
    ]


def test_picture_names_keep_only_safe_characters():
    assert picture_name("strokes 10-20/coffee_r0.c1é") == "strokes_10-20_coffee_r0.c1é.png"


def test_a_written_result_reads_back(pair):
    result = Result.load(pair[0])
    assert (result.label, result.trained, result.cost["parameters"]) == ("weak", True, 6_000_000)
    assert result.metrics["mae"].higher_is_better is False
    assert result.means["10-20"]["psnr_rgb"] == 20.0
    assert result.picture(NAMES[0]).is_file()


def test_unusable_folders_are_refused_in_one_sentence(tmp_path, pair):
    (tmp_path / "empty").mkdir()
    (tmp_path / "half.partial").mkdir()
    for name, sentence in [
        ("nowhere", "is not a folder: give the result folders"),
        ("empty", "is not a result folder .no result.json in it"),
        ("half.partial", "unfinished result"),
        ("half", "does not exist, only the unfinished half.partial"),
    ]:
        with pytest.raises(ValueError, match=sentence):
            Result.load(tmp_path / name)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"format": 5}, "has format 5, but this inpaintlab reads format 4: update"),
        ({"format": 3}, "was written by an earlier inpaintlab .*: evaluate it again with overwrite=true"),
        ({"format": 1}, "was written by an earlier inpaintlab .*: evaluate it again with overwrite=true"),
        ({"format": "x"}, "has no format number"),
        ({"oracle": "no"}, "result.json: oracle is 'no' and must be true or false; evaluate it again"),
        ({"manifest": {"sha256": "0" * 64, "items": 7, "size": 16}}, "6 images, but the manifest in result.json has 7"),
        ({"means": {}}, "per_image.parquet has the bins 10-20, 20-30, fixed, all"),
        ({"metrics": {"ssim": METRICS["mae"]}}, "lacks the column ssim"),
        ({"metrics": {"mae": {"unit": ""}}}, r"result\.json: metrics\.mae\.definition is missing"),
    ],
)
def test_results_that_contradict_themselves_are_refused(pair, changes, sentence):
    rewrite(pair[0], **changes)
    with pytest.raises(ValueError, match=sentence):
        Result.load(pair[0])


def test_means_that_are_not_those_of_the_images_are_refused(pair):
    means = json.loads((pair[0] / "result.json").read_text())["means"]
    means["fixed"]["psnr_rgb"] += 0.01
    rewrite(pair[0], means=means)
    with pytest.raises(ValueError, match=r"gives psnr_rgb = 14.01 for fixed, but the images .* give 14.0"):
        Result.load(pair[0])


def test_damaged_files_are_refused(pair):
    (pair[0] / "per_image.parquet").write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"per_image\.parquet was changed after it was written"):
        Result.load(pair[0])
    rewrite(pair[0])  # even where the hashes were made to fit
    with pytest.raises(ValueError, match=r"per_image\.parquet cannot be read"):
        Result.load(pair[0])
    (pair[1] / "result.json").write_text("{")
    with pytest.raises(ValueError, match=r"result\.json cannot be read as a result"):
        Result.load(pair[1])


def test_two_images_of_one_name_are_refused(tmp_path):
    folder = write_result(tmp_path / "a", [1.0, 2.0], bins=["x", "x"], names=["x/a", "x/a"])
    with pytest.raises(ValueError, match=r"two images are called x/a;"):
        Result.load(folder)


def test_json_holds_no_nan_and_says_so(tmp_path):
    with pytest.raises(ValueError, match="cannot be written as JSON"):
        write_json(tmp_path / "a.json", {"mae": math.nan})
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_left_behind_when_writing_fails(tmp_path, monkeypatch):
    def full(*_):
        raise OSError("no space left")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="no space"):
        write_texts(tmp_path, {"a": "1", "b": "2"})
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_keeps_the_old_file(tmp_path):
    write_texts(tmp_path, {"a": "old"})
    with pytest.raises(UnicodeEncodeError):
        write_texts(tmp_path, {"a": "new", "b": "\ud800"})
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"a": "old"}


# The table


def test_rows_are_ordered_by_overall_psnr_and_columns_by_bin(pair):
    table = tabulate([Result.load(folder) for folder in pair])
    assert [result.label for result in table.results] == ["strong", "weak"]
    assert table.bins == {"10-20": 3, "20-30": 2, "fixed": 1, "all": 6}


def test_psnr_is_the_first_metric(pair):
    rewrite(pair[0], metrics=dict(reversed(METRICS.items())))
    assert list(tabulate([Result.load(pair[0])]).metrics) == ["psnr_rgb", "mae"]


def test_table_rows_equal_the_means_of_the_images(pair):
    table = tabulate([Result.load(folder) for folder in pair])
    for result in table.results:
        images = pl.read_parquet(result.folder / "per_image.parquet")
        for bin_name in table.bins:
            values = images.filter((pl.col("bin") == bin_name) | (bin_name == "all"))["psnr_rgb"].to_numpy()
            assert table.mean(result, "psnr_rgb", bin_name) == pytest.approx(np.mean(values), rel=1e-12)


@pytest.fixture
def many(tmp_path):
    """`strong` leads on each of 40 images in two bins; `twin` is as good but for noise, `weak` is far behind."""
    rng = np.random.default_rng(0)
    bins = ["10-20"] * 20 + ["20-30"] * 20
    difficulty = rng.normal(20, 4, 40)
    folders = [
        write_result(
            tmp_path / name,
            list(difficulty + shift + rng.normal(0, 0.3, 40)),
            list(0.1 - shift / 100 + rng.normal(0, 0.002, 40)),
            bins=bins,
            names=[f"{bin_name}/photo {i}" for i, bin_name in enumerate(bins)],
        )
        for name, shift in (("weak", 0.0), ("strong", 2.0), ("twin", 1.99))
    ]
    return [Result.load(folder) for folder in folders]


def marks(table: Table, metric: str, bin_name: str = "all") -> dict[str, str]:
    return {result.label: table.mark(result, metric, bin_name) for result in table.results}


@pytest.mark.parametrize("metric", ["psnr_rgb", "mae"])
def test_a_lead_that_stands_is_best_and_one_that_does_not_is_level(many, metric):
    weak, strong, twin = many
    assert marks(tabulate([weak, strong]), metric) == {"strong": "best", "weak": ""}
    assert marks(tabulate([weak, strong, twin]), metric) == {"strong": "level", "twin": "level", "weak": ""}


def test_the_best_is_bold_and_level_methods_are_italic_in_markdown(many):
    weak, strong, twin = many
    best = next(line for line in table_markdown(tabulate([weak, strong])).splitlines() if line.startswith("| strong"))
    assert best.count("**") == 2 * 3
    level = table_markdown(tabulate([weak, strong, twin]), intervals=False).splitlines()
    for name in ("strong", "twin"):
        assert re.fullmatch(
            rf"\| {name} \| (\*\d\d\.\d\d\* ?\|? ?){{3}}", next(x for x in level if x.startswith(f"| {name}"))
        )
    assert "*" not in next(line for line in level if line.startswith("| weak"))


def test_three_images_prove_no_lead(pair):
    lines = table_markdown(tabulate([Result.load(folder) for folder in pair]), intervals=False).splitlines()
    strong, weak = [line for line in lines if line.startswith(("| strong", "| weak"))][:2]
    assert strong == "| strong | *20.00* | *12.00* | *15.00* | *16.50* |"
    assert weak == "| weak | *20.00* | *11.00* | *14.00* | *16.00* |"


def test_a_lead_that_the_printed_digits_do_not_show_is_no_lead(tmp_path):
    values = [20.0 + i for i in range(40)]
    options = {"bins": ["x"] * 40, "names": [f"photo {i}" for i in range(40)]}
    a = write_result(tmp_path / "a", [value + 0.001 + 0.0001 * i for i, value in enumerate(values)], **options)
    b = write_result(tmp_path / "b", [value + 0.0001 * i for i, value in enumerate(values)], **options)
    table = tabulate([Result.load(a), Result.load(b)])
    assert table.statistics.from_best["psnr_rgb", "all", "b"].p < 0.001
    assert marks(table, "psnr_rgb") == {"a": "level", "b": "level"}


def test_a_lead_that_the_common_images_turn_round_is_no_lead(tmp_path):
    """`a` has the better mean only because its hardest images have no value and are left out of its mean."""
    options = {"bins": ["x"] * 40, "names": [f"photo {i}" for i in range(40)]}
    a = write_result(tmp_path / "a", [0.0] * 40, [0.20 + 0.001 * i for i in range(20)] + [math.nan] * 20, **options)
    b = write_result(tmp_path / "b", [0.0] * 40, [0.19 + 0.0009 * i for i in range(20)] + [0.6] * 20, **options)
    for folder in (a, b):
        metrics = METRICS | {"mae": METRICS["mae"] | {"undefined_allowed": True}}
        means = means_by_bin(
            pl.read_parquet(folder / "per_image.parquet"),
            {name: Meaning(**entry) for name, entry in metrics.items()},
        )
        rewrite(folder, metrics=metrics, means=means)
    table = tabulate([Result.load(a), Result.load(b)])
    assert table.statistics.from_best["mae", "x", "b"].p < 0.05
    assert marks(table, "mae") == {"a": "level", "b": "level"}


@pytest.fixture
def exact(tmp_path):
    """`all` reproduces all 40 images exactly, `some` 12 of them and is worse than `none` on the others."""
    options = {"bins": ["x"] * 40, "names": [f"photo {i}" for i in range(40)]}
    return tabulate(
        [
            Result.load(write_result(tmp_path / label, values, **options))
            for label, values in {
                "none": [40.0 + 0.1 * i for i in range(40)],
                "some": [math.inf] * 12 + [20.0] * 28,
                "all": [math.inf] * 40,
            }.items()
        ]
    )


def test_nobody_wins_over_a_method_that_is_exact_where_the_winner_is_not(exact):
    assert [result.label for result in exact.results] == ["all", "some", "none"]
    assert marks(exact, "psnr_rgb") == {"all": "best", "some": "", "none": ""}
    few = [result for result in exact.results if result.label != "all"]
    assert marks(tabulate(few), "psnr_rgb") == {"some": "level", "none": "level"}


def test_two_exact_methods_are_level(exact):
    twin = replace(exact.results[0], label="twin")
    assert marks(tabulate([*exact.results, twin]), "psnr_rgb") == {
        "all": "level",
        "twin": "level",
        "some": "",
        "none": "",
    }


def test_an_image_that_all_reproduce_spoils_no_comparison(tmp_path):
    options = {"bins": ["x"] * 40, "names": [f"photo {i}" for i in range(40)]}
    for label, shift in {"good": 1.0, "bad": 0.0}.items():
        values = [math.inf, *(20 + shift + 0.1 * i for i in range(39))]
        write_result(tmp_path / label, values, **options)
    table = tabulate([Result.load(tmp_path / "bad"), Result.load(tmp_path / "good")])
    assert [table.cell(result, "psnr_rgb", "x") for result in table.results] == ["∞ (22.90)", "∞ (21.90)"]
    assert marks(table, "psnr_rgb") == {"good": "best", "bad": ""}
    difference = table.statistics.from_best["psnr_rgb", "x", "bad"]
    assert difference.mean == pytest.approx(-39 / 40)
    assert (difference.pairs, difference.left_out) == (40, 0)


def test_every_format_shows_infinity_in_its_own_way(exact):
    assert "| all | **∞** (∞ to ∞) |" in table_markdown(exact)
    assert "| some | ∞ (20.00) (∞ to ∞) |" in table_markdown(exact)
    assert "| some | -∞ | -∞ to -∞ | < 0.001 | 40 |" in table_markdown(exact)
    assert r"\textbf{$\infty$} & $\infty$ (20.00) & 41.95 \\" in table_latex(exact)
    console = Console(width=100, record=True, file=io.StringIO())
    for view in terminal_tables(exact, ["psnr_rgb"]):
        console.print(view)
    shown = console.export_text()
    assert re.search(r"all +∞\* +∞\*", shown)
    rows = {
        row["label"]: row
        for row in pl.read_csv(io.StringIO(table_csv(exact))).iter_rows(named=True)
        if (row["metric"], row["bin"]) == ("psnr_rgb", "x")
    }
    assert [rows["some"][key] for key in ("mean", "infinite", "finite_mean", "difference")] == [
        math.inf,
        12,
        20,
        -math.inf,
    ]
    assert [rows["none"][key] for key in ("infinite", "finite_mean")] == [0, None]
    assert [rows["all"][key] for key in ("mean", "infinite", "finite_mean")] == [math.inf, 40, None]


def test_methods_that_are_each_exact_where_the_other_is_not_have_no_difference(tmp_path):
    options = {"bins": ["x"] * 40, "names": [f"photo {i}" for i in range(40)]}
    write_result(tmp_path / "a", [math.inf, 10.0, *[30.0 + 0.1 * i for i in range(38)]], **options)
    write_result(tmp_path / "b", [10.0, math.inf, *[20.0 + 0.1 * i for i in range(38)]], **options)
    table = tabulate([Result.load(tmp_path / label) for label in "ab"])
    assert marks(table, "psnr_rgb") == {"a": "level", "b": "level"}
    ((_, difference),) = table.differences("psnr_rgb")
    assert table.difference_cells("psnr_rgb", difference) == ["–", "–", "1.000", "40"]  # noqa: RUF001


def test_an_oracle_is_marked_and_never_best(pair):
    rewrite(pair[1], oracle=True)
    table = tabulate([Result.load(folder) for folder in pair])
    oracle, weak = table.results
    assert not any(table.mark(oracle, "psnr_rgb", name) for name in table.bins)
    assert all(table.mark(weak, "psnr_rgb", name) == "best" for name in table.bins)
    assert "| strong † |" in table_markdown(table)
    assert any(note.startswith("† ") for note in table.notes())
    assert table.leader() is weak


def test_edges_of_another_source_than_in_training_are_told_below_the_tables(pair):
    words = "hed, thinned, from 0.5 on (trained on canny, sigma 2)"
    rewrite(pair[1], switches={"edges": words})
    rewrite(pair[0], switches={"edges": "canny, sigma 2"})
    table = tabulate([Result.load(folder) for folder in pair])
    assert f"strong: edges: {words}." in table.notes()
    assert not any(note.startswith("weak: ") for note in table.notes())


def test_untrained_methods_are_marked_and_do_not_lead(pair):
    rewrite(pair[1], trained=False)
    table = tabulate([Result.load(folder) for folder in pair])
    assert marks(table, "psnr_rgb") == {"strong": "", "weak": "best"}
    assert "| strong (untrained) |" in table_markdown(table)
    assert table.leader().label == "weak"


def test_identical_images_and_missing_metrics_are_told_under_the_table(tmp_path):
    exact = write_result(tmp_path / "exact", [math.inf, *[20.0] * 5])
    other = write_result(tmp_path / "other", [10.0] * 6)
    rewrite(other, metrics={"psnr_rgb": METRICS["psnr_rgb"]})
    table = tabulate([Result.load(exact), Result.load(other)])
    told = "exact: 1 of 6 images are reproduced exactly, so their psnr_rgb and its mean are infinite."
    assert told in table.left_out()
    assert any("was not computed" in note for note in table.notes())
    assert table.cell(table.results[1], "mae", "all") == "–"  # noqa: RUF001
    assert marks(table, "mae") == {"exact": "best", "other": ""}


def test_the_csv_reads_back_with_full_precision(pair):
    rewrite(pair[0], label='a "quoted", label')
    table = tabulate([Result.load(folder) for folder in pair])
    rows = pl.read_csv(io.StringIO(table_csv(table)))
    assert rows.columns[:9] == ["label", "bin", "n", "metric", "mean", "infinite", "finite_mean", "low", "high"]
    assert rows.height == 2 * 4 * 2
    for result in table.results:
        for row in rows.filter(pl.col("label") == result.label).iter_rows(named=True):
            assert row["mean"] == result.means[row["bin"]][row["metric"]]
            assert row["n"] == result.means[row["bin"]]["n"]


def test_the_csv_holds_the_statistics(many):
    table = tabulate(many, reference="weak")
    for row in pl.read_csv(io.StringIO(table_csv(table))).iter_rows(named=True):
        key = (row["metric"], row["bin"], row["label"])
        estimate = table.statistics.estimates[key]
        assert (row["low"], row["high"]) == pytest.approx((estimate.low, estimate.high), rel=1e-8)
        assert row["source"] is None
        if row["label"] == "weak":
            assert row["reference"] is row["difference"] is row["p"] is None
        else:
            difference = table.statistics.from_reference[key]
            assert (row["reference"], row["pairs"], row["left_out"]) == ("weak", difference.pairs, 0)
            assert row["p"] == pytest.approx(difference.p, rel=1e-8)
            found = (row["difference"], row["difference_low"], row["difference_high"])
            assert found == pytest.approx((difference.mean, difference.low, difference.high), rel=1e-8)


def test_any_cell_is_recomputed_from_the_parquet_files(many):
    rows = {
        (row["metric"], row["bin"], row["label"]): row
        for row in pl.read_csv(io.StringIO(table_csv(tabulate(many)))).iter_rows(named=True)
    }
    images = {
        result.label: pl.read_parquet(result.folder / "per_image.parquet").to_dict(as_series=False) for result in many
    }
    for (metric, bin_name, label), row in rows.items():
        inside = [bin_name in (name, "all") for name in images[label]["bin"]]
        values = np.array(images[label][metric])[inside]
        assert row["mean"] == pytest.approx(values.mean(), rel=1e-12)
        standard_error = values.std(ddof=1) / math.sqrt(len(values))
        assert row["low"] == pytest.approx(row["mean"] - 1.96 * standard_error, abs=0.35 * standard_error)
        assert row["high"] == pytest.approx(row["mean"] + 1.96 * standard_error, abs=0.35 * standard_error)
        if row["reference"]:
            differences = values - np.array(images[row["reference"]][metric])[inside]
            assert row["difference"] == pytest.approx(differences.mean(), rel=1e-6)
            assert row["pairs"] == len(differences)


def scores_by_scikit_image(completed: Pixels, truth: Pixels, hole: Hole) -> dict[str, float]:
    """What `metrics=all` keeps of one image, written with scikit-image, SciPy and NumPy."""
    gray, true_gray = rgb2gray(completed), rgb2gray(truth)
    difference = np.abs(completed - truth)
    usual: dict[str, Any] = {"gaussian_weights": True, "sigma": 1.5, "channel_axis": 2}
    drawn, true = (canny(picture, sigma=2) & hole for picture in (gray, true_gray))
    near_drawn, near_true = (binary_dilation(edges, np.ones((3, 3))) for edges in (drawn, true))
    population: dict[str, Any] = {"data_range": 1, "use_sample_covariance": False}
    return {
        "mae": difference.mean(),
        "mae_hole": difference[hole].mean(),
        "mae_band4": difference[hole & (distance_transform_edt(hole) <= 4)].mean(),
        "psnr_rgb": peak_signal_noise_ratio(truth, completed, data_range=1),
        "ssim_gauss11_rgb": structural_similarity(truth, completed, **usual, **population),
        "psnr_gray": peak_signal_noise_ratio(true_gray, gray, data_range=1),
        "ssim_uniform51_gray": structural_similarity(true_gray, gray, win_size=51, **population),
        "mae_relative_gray": np.abs(gray - true_gray).sum() / (gray + true_gray).sum(),
        "true": true.sum(),
        "drawn": drawn.sum(),
        "drawn_exact": (drawn & true).sum(),
        "true_exact": (drawn & true).sum(),
        "drawn_tol1": (drawn & near_true).sum(),
        "true_tol1": (true & near_drawn).sum(),
    }


def ratio(above: float, below: float) -> float:
    return above / below if below else math.nan


def over_images(scores: list[dict[str, float]]) -> dict[str, float]:
    """Means over images; precision, recall and F1 of edges both of each image, where it has one, and of all edges."""
    found = {name: float(np.mean([score[name] for score in scores])) for name in scores[0]}
    sums = {name: sum(score[name] for score in scores) for name in scores[0]}
    for match in ("exact", "tol1"):
        for side, metric in (("drawn", "precision"), ("true", "recall")):
            each = [ratio(one[f"{side}_{match}"], one[side]) for one in scores]
            found[f"edge_{metric}_{match}"] = float(np.mean([value for value in each if value == value] or [math.nan]))
            found[f"edge_{metric}_{match}_micro"] = ratio(sums[f"{side}_{match}"], sums[side])
        f1 = []
        for one in [*scores, sums]:
            precision, recall = (ratio(one[f"{side}_{match}"], one[side]) for side in ("drawn", "true"))
            f1.append(2 * precision * recall / (precision + recall) if precision and recall else 0.0)
            if not one["drawn"] or not one["true"]:
                f1[-1] = 0.0 if one["drawn"] + one["true"] else math.nan
        found[f"edge_f1_{match}"] = float(np.mean([value for value in f1[:-1] if value == value] or [math.nan]))
        found[f"edge_f1_{match}_micro"] = f1[-1] if sums["drawn"] and sums["true"] else math.nan
    return found


def test_every_cell_is_recomputed_by_scikit_image_from_the_png_files(tmp_path):
    bins = "bins={half:{_target_:inpaintlab.masks.Half},fixed:{_target_:inpaintlab.masks.Block,fraction:0.5}}"
    settings = ["data=photos", "data.size=64", "images=3", "out=test.json", "~bins", f"+{bins}"]
    assert run_here("manifest", *settings, cwd=tmp_path).returncode == 0
    for model in ("telea", "mean_colour"):
        given = ["manifest=test.json", f"model={model}", "metrics=all", "trainer=cpu", "workers=0"]
        done = run_here("evaluate", *given, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    done = run_here("compare", "results=[results/telea,results/mean_colour]", "out=out", "pictures=0", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    items = list(ManifestDataset(Manifest.load(tmp_path / "test.json")))
    cells = pl.read_csv(tmp_path / "out" / "table.csv")
    for label in ("telea", "mean_colour"):
        scores: dict[str, list[dict[str, float]]] = {"all": []}
        for item in items:
            truth = item["image"].permute(1, 2, 0).double().numpy()
            with Image.open(tmp_path / "results" / label / "completed" / picture_name(item["name"])) as picture:
                completed = np.asarray(picture) / 255
            score = scores_by_scikit_image(completed, truth, item["mask"][0].numpy() > 0)
            for bin_name in ("all", item["name"].split("/")[0]):
                scores.setdefault(bin_name, []).append(score)
        assert set(scores) == {"all", "half", "fixed"}
        for row in cells.filter(pl.col("label") == label).iter_rows(named=True):
            mean = math.nan if row["mean"] is None else row["mean"]
            expected = over_images(scores[row["bin"]])[row["metric"]]
            assert mean == pytest.approx(expected, rel=1e-5, abs=1e-6, nan_ok=True), row
        assert min(score["true"] for score in scores["all"]) > 0


def test_differences_are_taken_from_the_named_reference_or_from_the_best(many):
    headed = table_markdown(tabulate(many, reference="twin"))
    assert "| psnr_rgb (dB) minus that of twin, all images | difference |" in headed
    weak = next(line for line in headed.split("minus that of twin")[1].splitlines() if line.startswith("| weak"))
    assert re.fullmatch(r"\| weak \| -[\d.]+ \| -[\d.]+ to -[\d.]+ \| < 0\.001 \| 40 \|", weak)
    assert "psnr_rgb (dB) minus that of the best, all images" in table_markdown(tabulate(many))


def test_intervals_stand_in_the_markdown_unless_they_are_left_out(many):
    table = tabulate(many)
    ends = table.interval(many[0], "psnr_rgb", "10-20")
    assert f"({ends})" in table_markdown(table)
    assert f"({ends})" not in table_markdown(table, intervals=False)


# LaTeX


def test_latex_has_a_row_a_bin_a_column_a_method_and_arrows(many):
    text = table_latex(tabulate(many), intervals=False)
    rows = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert len(rows) == 1 + 2 * 3
    assert {row.count("&") for row in rows} == {4}
    assert [row.split(" & ")[1] for row in rows[1:]] == ["10-20", "20-30", "all"] * 2
    assert r"psnr\_rgb (dB) $\uparrow$" in rows[1]
    assert r"mae $\downarrow$" in rows[4]
    assert [text.count(rule) for rule in (r"\toprule", r"\midrule", r"\bottomrule")] == [1, 2, 1]


def test_latex_marks_the_best_and_what_is_level_with_it(many):
    assert table_latex(tabulate(many[:2])).count(r"\textbf{") == 2 * 3
    text = table_latex(tabulate(many))
    assert text.count(r"\textbf{") == 0
    assert text.count(r"\textit{") == 2 * 2 * 3
    assert "Holm-corrected" in text.split(r"\caption")[1].splitlines()[0]


def test_latex_prints_intervals_in_a_line_of_their_own_unless_they_are_left_out(many):
    table = tabulate(many)
    ends = table.interval(many[0], "psnr_rgb", "all").replace(" to ", "--")
    assert table_latex(table).count(rf"{{\scriptsize {ends}}}") == 1
    assert "scriptsize" not in table_latex(table, intervals=False)


def test_latex_takes_labels_literally(many):
    assert escaped("a_b & 50% #1 {x} ~ ^ \\cmd $y$ <z>\nnext") == (
        r"a\_b \& 50\% \#1 \{x\} \textasciitilde{} \textasciicircum{} \textbackslash{}cmd \$y\$ "
        r"\textless{}z\textgreater{} next"
    )
    rewrite(many[0].folder, label="\\input{/etc/passwd} †")
    text = table_latex(tabulate([Result.load(many[0].folder)]))
    assert r"\textbackslash{}input\{/etc/passwd\} \textdagger{}" in text
    assert r"\input" not in text


def unsound(text: str) -> list[str]:
    """What LaTeX would stumble over: characters that mean something to it, braces without a partner, uneven rows."""
    found = []
    allowed = (
        r"\\(?:begin|end|centering|caption|toprule|midrule|cmidrule|bottomrule|multicolumn|textbf|textit|scriptsize)\b"
    )
    allowed += (
        r"|\\text(?:ascii(?:tilde|circum)|backslash|less|greater|bar|quotedbl|dagger)\{\}|\$\\(?:up|down)arrow\$|\$-\$"
    )
    body = text.split("\n", 1)[1]  # the first line is a comment
    columns = len(re.search(r"\\begin\{tabular\}\{(\w+)\}", body)[1])
    rest = re.sub(allowed, "", body)
    for line in rest.splitlines():
        plain = re.sub(r"\\[&%$#_{}]", "", line)
        if plain.endswith("\\\\"):
            plain = plain.removesuffix("\\\\")
            spanned = sum(int(n) - 1 for n in re.findall(r"^\{(\d+)\}\{c\}", plain.replace("& ", "\n"), re.MULTILINE))
            if plain.count("&") + spanned != columns - 1:
                found.append(f"not {columns} columns: {line}")
            plain = plain.replace("&", "")
        found += [f"{character} in {line}" for character in "&%$#_~^\\" if character in plain]
        if plain.count("{") != plain.count("}"):
            found.append(f"braces in {line}")
    return found


HOSTILE = 'a_b & 50% #1 {x} ~ ^ \\cmd $y$ <z> "q" |†'


@pytest.mark.parametrize("intervals", [True, False])
def test_latex_has_no_row_that_latex_would_stumble_over(many, intervals):
    rewrite(many[0].folder, label=HOSTILE)
    metrics = METRICS | {"mae": METRICS["mae"] | {"unit": "%"}}
    for result in many:
        rewrite(result.folder, metrics=metrics)
    text = table_latex(tabulate([Result.load(result.folder) for result in many]), intervals)
    assert unsound(text) == []
    assert r"mae (\%) $\downarrow$" in text
    assert unsound(text.replace(r"50\%", "50%"))
    assert unsound(text.replace(r"a\_b \&", r"a\_b &"))
    assert unsound(text.replace(r"\{x", "{x"))


def test_latex_sets_published_columns_under_a_heading_of_their_own(gray):
    table = tabulate([Result.load(folder) for folder in gray], published=load_papers(["edgeconnect_table1"]))
    text = table_latex(table)
    assert unsound(text) == []
    lines = text.splitlines()
    top = lines.index(r"\toprule")
    assert lines[top + 1] == (
        r" & & \multicolumn{2}{c}{measured here} & \multicolumn{5}{c}{published, other protocol} \\"
    )
    assert lines[top + 2] == r"\cmidrule(lr){3-4} \cmidrule(lr){5-9}"
    (row,) = [line for line in lines if line.startswith(r"psnr\_gray (dB) $\uparrow$ & 10-20 &")]
    assert row.endswith(r"& 24.36 & 23.49 & 28.02 & 27.95 & 30.85 \\")
    assert r"\multicolumn" not in table_latex(tabulate([Result.load(folder) for folder in gray]))


# Metrics that no image has a value of


EXTRA: dict[str, Any] = {
    "edge_f1_exact_micro": METRICS["mae"]
    | {"definition": "Micro F1.", "higher_is_better": True, "pooled": (("hit", "drawn"), ("hit", "true"))},
    "fid_inception2015": METRICS["mae"] | {"definition": "FID.", "of_set": True, "backend": "torch-fidelity"},
    "kid_inception2015": METRICS["mae"] | {"definition": "KID.", "of_set": True},
    "psnr_rgb_raw": METRICS["psnr_rgb"] | {"definition": "PSNR of the raw output."},
}


@pytest.fixture
def every_kind(many):
    """`many` with a micro average, two numbers of the whole set, only one of which has replicates, and a raw metric."""
    for level, result in enumerate(many):
        rng = np.random.default_rng(level)
        drawn = np.full(40, 50.0)
        hit = rng.binomial(50, 0.9 if result.label != "weak" else 0.3, 40).astype(float)
        images = pl.read_parquet(result.folder / "per_image.parquet")
        images = images.with_columns(
            hit=pl.Series(hit), drawn=pl.Series(drawn), true=pl.Series(drawn + 10), psnr_rgb_raw=pl.col("psnr_rgb") - 1
        )
        images.write_parquet(result.folder / "per_image.parquet")
        metrics = {name: Meaning(**entry) for name, entry in (METRICS | EXTRA).items()}
        means = means_by_bin(images, metrics)
        for entry in means.values():
            entry |= {
                "fid_inception2015": 90.0 if result.label == "weak" else 41.5,
                "kid_inception2015": -0.001 * level,
            }
        drawn_fids = {name: list(60.0 + rng.normal(0, 0.5, 200)) for name in means}
        changes: dict[str, Any] = {"metrics": METRICS | EXTRA, "means": means}
        rewrite(result.folder, **changes, replicates={"fid_inception2015": drawn_fids})
    return [Result.load(result.folder) for result in many]


def test_every_kind_of_metric_is_marked_by_its_own_test(every_kind):
    weak, strong, _ = every_kind
    table = tabulate([weak, strong])
    for metric in ("psnr_rgb", "edge_f1_exact_micro", "fid_inception2015", "psnr_rgb_raw"):
        assert marks(table, metric) == {"strong": "best", "weak": ""}
    assert marks(table, "kid_inception2015") == {"strong": "level", "weak": "level"}  # no replicates, so no lead


def test_the_notes_say_what_kind_of_interval_and_test_a_metric_has(every_kind):
    notes = " ".join(tabulate(every_kind).notes())
    assert "edge_f1_exact_micro: ratios of sums over all images. Their p is that of a permutation test" in notes
    assert "fid_inception2015, kid_inception2015: numbers of a whole set" in notes
    assert "resampled photographs (200 draws; Student's t at 97.5 %)" in notes
    assert "weak: without replicates of kid_inception2015, so no interval, and no lead stands." in notes
    assert "Wilcoxon's signed-rank test" in notes


def test_the_notes_speak_only_of_tests_that_the_table_has(pair):
    notes = " ".join(tabulate([Result.load(folder) for folder in pair]).notes())
    assert "signed-rank" in notes
    assert "permutation" not in notes
    assert "whole set" not in notes


def test_every_format_shows_metrics_that_no_image_has_a_value_of(every_kind):
    table = tabulate(every_kind, reference="weak")
    half = student.ppf(0.975, 199) * np.std(every_kind[0].replicates["fid_inception2015"]["all"], ddof=1)
    ends = f"{90 - half:.2f} to {90 + half:.2f}"
    assert table.interval(every_kind[0], "fid_inception2015", "all") == ends
    assert f"({ends})" in table_markdown(table)
    text = table_markdown(table)
    assert "## fid_inception2015, lower is better" in text
    assert "- `fid_inception2015`: FID.; computed by torch-fidelity" in text
    assert "fid_inception2015 minus that of weak, all images" in text
    assert "kid_inception2015 minus that of weak" not in text
    console = Console(width=100, file=io.StringIO(), record=True)
    for view in terminal_tables(table, list(table.metrics)):
        console.print(view)
    printed = console.export_text()
    assert all(f"{metric}" in printed for metric in EXTRA)
    assert "41.50" in printed
    assert unsound(table_latex(table)) == []
    assert r"\textit{$-$0.0020}" in table_latex(table)


def test_the_csv_names_the_test_of_every_p_value(every_kind):
    rows = pl.read_csv(io.StringIO(table_csv(tabulate(every_kind, reference="weak")))).filter(
        pl.col("label") == "strong"
    )
    tests = {
        "psnr_rgb": "signed rank",
        "mae": "signed rank",
        "psnr_rgb_raw": "signed rank",
        "edge_f1_exact_micro": "swap",
        "fid_inception2015": "resampling",
        "kid_inception2015": None,
    }
    for row in rows.iter_rows(named=True):
        assert row["test"] == tests[row["metric"]]
        assert (row["p"] is None) == (row["test"] is None)
        assert row["mean"] is not None


def test_the_markdown_tells_the_versions_of_each_method_where_they_differ(pair):
    results = [Result.load(folder) for folder in pair]
    assert "- Evaluated with torch 2.13.0." in table_markdown(tabulate(results))
    rewrite(pair[1], versions={"torch": "2.14.0", "numpy": "2.4"})
    text = table_markdown(tabulate([Result.load(folder) for folder in pair]))
    assert "- weak: evaluated with torch 2.13.0." in text
    assert "- strong: evaluated with torch 2.14.0, numpy 2.4." in text


# Published numbers


@pytest.fixture
def gray(pair):
    """`pair` with the first metric called psnr_gray and the bins of the paper."""
    for folder in pair:
        images = pl.read_parquet(folder / "per_image.parquet").rename({"psnr_rgb": "psnr_gray"})
        images.write_parquet(folder / "per_image.parquet")
        metrics = {"psnr_gray": METRICS["psnr_rgb"], "mae": METRICS["mae"]}
        rewrite(folder, metrics=metrics, means=means_by_bin(images, {"psnr_gray": PSNR_METRIC, "mae": MAE_METRIC}))
    return pair


def test_published_numbers_stand_only_beside_their_own_metric_and_are_never_marked(gray):
    table = tabulate([Result.load(folder) for folder in gray], published=load_papers(["edgeconnect_table1"]))
    text = table_markdown(table, intervals=False)
    row = "| EdgeConnect (published, other protocol) | 27.95 | 24.92 | 21.75 | – |"  # noqa: RUF001
    assert row in text
    assert text.count("| EdgeConnect (") == 1  # not under mae
    assert "Table 1 of Nazeri et al., EdgeConnect, 2019 (Places2)" in text
    assert "| Canny † (published, other protocol) |" in text
    assert {result.label for result in table.results} == {"weak", "strong"}
    assert {key[2] for key in table.statistics.estimates} == {"weak", "strong"}


def test_rivals_stand_beside_their_published_columns_and_a_gap_of_the_paper_stays_one(gray):
    labels = ["contextual_attention", "partial_convolution"]
    for folder, label in zip(gray, labels, strict=True):
        rewrite(folder, label=label)
    table = tabulate([Result.load(folder) for folder in gray], published=load_papers(["edgeconnect_table1"]))
    section = table_markdown(table, intervals=False).partition("## psnr")[2].partition("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| ")]
    names = [row.split(" | ")[0].removeprefix("| ").removesuffix(" (published, other protocol)") for row in rows]
    assert sorted(names[1:3]) == labels
    assert names[3:8] == ["CA", "GLCIC", "PConv", "EdgeConnect", "Canny †"]
    gap = "| PConv (published, other protocol) | 28.02 | 24.90 | – | – |"  # noqa: RUF001
    assert gap in rows  # it has no fixed block
    assert "CA is contextual_attention here, PConv partial_convolution, Canny edgeconnect" in table_markdown(table)
    latex = [line for line in table_latex(table, intervals=False).splitlines() if "& fixed &" in line]
    assert latex[0].split(" & ")[-3] == "--"
    written = pl.read_csv(io.StringIO(table_csv(table))).filter(label="PConv")
    assert written["bin"].to_list() == ["10-20", "20-30"]


def test_every_format_calls_published_numbers_published(gray, tmp_path):
    compare(gray, tmp_path / "out", 0, published=["edgeconnect_table1"])
    rows = pl.read_csv(tmp_path / "out" / "table.csv").filter(pl.col("source").is_not_null())
    assert set(rows["source"]) == {"published, other protocol: Table 1 of Nazeri et al., EdgeConnect, 2019 (Places2)"}
    assert set(rows["metric"]) == {"psnr_gray"}
    assert rows["low"].null_count() == rows["p"].null_count() == rows.height == 4 * 3 + 2
    for name in ("table.md", "report.html"):
        assert "EdgeConnect (published, other protocol)" in (tmp_path / "out" / name).read_text()
    heads = [line for line in (tmp_path / "out" / "table.tex").read_text().splitlines() if "EdgeConnect &" in line]
    assert heads == [r" & Mask & weak & strong & CA & GLCIC & PConv & EdgeConnect & Canny \textdagger{} \\"]
    console = Console(width=100, file=io.StringIO(), record=True)
    table = tabulate([Result.load(gray[0])], published=load_papers(["edgeconnect_table1"]))
    for view in terminal_tables(table, list(table.metrics)):
        console.print(view)
    text = console.export_text()
    assert "27.95 " in text
    assert "27.95*" not in text


def test_published_numbers_are_in_our_unit():
    by_label = {method.label: method for method in load_papers(["edgeconnect_table1"])}
    assert list(by_label) == ["CA", "GLCIC", "PConv", "EdgeConnect", "Canny"]
    assert by_label["CA"].means["mae_relative_gray", "10-20"] == pytest.approx(0.0241)
    assert by_label["GLCIC"].means["ssim_uniform51_gray", "fixed"] == 0.814
    assert ("psnr_gray", "fixed") not in by_label["PConv"].means
    assert [label for label, method in by_label.items() if method.oracle] == ["Canny"]


def test_published_numbers_without_a_metric_in_common_are_refused(pair, tmp_path):
    sentence = refusal(pair, tmp_path / "out", published=["edgeconnect_table1"])
    assert "The published numbers are psnr_gray, ssim_uniform51_gray" in sentence
    assert "no result was scored so" in sentence


def test_an_unknown_published_table_or_reference_is_refused(pair, tmp_path):
    assert "give edgeconnect_table1" in refusal(pair, tmp_path / "out", published=["lama"])
    assert "reference=mine is none of the results: give one of weak, strong" in refusal(
        pair, tmp_path / "out", reference="mine"
    )


def test_a_label_cannot_break_the_markdown_table(pair):
    rewrite(pair[0], label="a|b\n*c*")
    assert r"| a\|b \*c\* |" in table_markdown(tabulate([Result.load(folder) for folder in pair]))


def test_the_terminal_table_fits_100_columns_and_takes_labels_literally(tmp_path):
    bins = ["1-10", "10-20", "20-30", "30-40", "40-50", "50-60", "fixed"]
    names = [f"photo {i}" for i in range(7)]
    folder = write_result(tmp_path / "a", [20.0] * 7, bins=bins, names=names, label="[red]edges[/red] " + "long " * 9)
    console = Console(width=100, file=io.StringIO(), record=True)
    table = tabulate([Result.load(folder)])
    for view in terminal_tables(table, list(table.metrics)):
        console.print(view)
    text = console.export_text()
    assert max(len(line) for line in text.splitlines()) <= 100
    assert "[red]edges[/red]" in text
    assert text.count("20.00*") == 8
    assert text.count("n=1 ") >= 7


# The command


def test_compare_writes_the_table_the_csv_and_the_report(pair, tmp_path):
    table = compare(pair, tmp_path / "deep" / "out", pictures=2)
    assert sorted(path.name for path in (tmp_path / "deep" / "out").iterdir()) == [
        "costs.csv",
        "report.html",
        "seeds.csv",
        "table.csv",
        "table.md",
        "table.tex",
    ]
    assert (tmp_path / "deep" / "out" / "table.csv").read_text() == table_csv(table)


def refusal(results: list[Path], out: Path, pictures: int = 2, **options: Any) -> str:
    """The sentence that `compare` refuses with, having written nothing."""
    with pytest.raises(ValueError, match=r"\w") as error:
        compare(results, out, pictures, **options)
    assert not out.is_dir()
    assert "\n" not in str(error.value)
    return str(error.value)


def test_nothing_to_compare_is_told(tmp_path):
    assert "give result folders" in refusal([], tmp_path / "out")


def test_out_may_not_be_a_file(pair, tmp_path):
    (tmp_path / "out").write_text("")
    assert "is a file" in refusal(pair, tmp_path / "out")


def test_a_negative_number_of_pictures_is_refused(pair, tmp_path):
    assert "pictures=-1 is negative" in refusal(pair, tmp_path / "out", pictures=-1)


def test_different_manifests_are_refused_with_each_hash(pair, tmp_path):
    rewrite(pair[1], manifest={"sha256": "beef" * 16, "items": 6, "size": 16})
    sentence = refusal(pair, tmp_path / "out")
    assert f"{pair[0]} has c0ffee000000" in sentence
    assert f"{pair[1]} has beefbeefbeef" in sentence


def test_other_images_under_the_same_manifest_hash_are_refused(pair, tmp_path):
    other = write_result(tmp_path / "other", [1.0] * 6, names=[f"elsewhere {i}" for i in range(6)])
    assert "other images or masks" in refusal([pair[0], other], tmp_path / "out")


def test_the_order_of_the_images_does_not_matter(pair, tmp_path):
    images = pl.read_parquet(pair[0] / "per_image.parquet")
    images.reverse().write_parquet(pair[0] / "per_image.parquet")
    rewrite(pair[0])
    assert len(compare(pair, tmp_path / "out", pictures=0).results) == 2


def test_duplicate_labels_are_refused(pair, tmp_path):
    rewrite(pair[1], label="weak")
    sentence = refusal(pair, tmp_path / "out")
    assert 'Two results are called "weak"' in sentence
    assert "label=" in sentence


def test_two_definitions_of_one_metric_are_never_put_into_one_column(pair, tmp_path):
    rewrite(pair[1], metrics=METRICS | {"mae": METRICS["mae"] | {"definition": "Mean error in the hole."}})
    sentence = refusal(pair, tmp_path / "out")
    assert f"mae means different things in {pair[0]} (Mean absolute error. Unit: none, lower is better)" in sentence
    assert f"{pair[1]} (Mean error in the hole. Unit: none, lower is better)" in sentence


def test_a_frechet_distance_in_other_features_shares_no_column_with_fid(pair, tmp_path):
    def score(folder, name, value, weights):
        means = json.loads((folder / "result.json").read_text())["means"]
        means = {bin_name: entry | {name: value} for bin_name, entry in means.items()}
        of_set = METRICS["mae"] | {"definition": f"{name} with the weights {weights}", "of_set": True}
        rewrite(folder, metrics=METRICS | {name: of_set}, means=means)

    score(pair[0], "fid_inception2015", 41.5, "0123")
    score(pair[1], "fd_hed", 7.25, "4567")
    results = [Result.load(folder) for folder in pair]
    table = tabulate(results)
    cells = {name: [table.mean(result, name, "all") for result in results] for name in table.metrics}
    assert (cells["fid_inception2015"], cells["fd_hed"]) == ([41.5, None], [None, 7.25])
    score(pair[0], "fd_hed", 7.25, "89ab")
    assert "fd_hed means different things" in refusal(pair, tmp_path / "out")


@pytest.mark.parametrize(("change", "words"), [({"unit": "%"}, "Unit: %"), ({"higher_is_better": True}, "higher is")])
def test_neither_are_two_units_or_directions(pair, tmp_path, change, words):
    rewrite(pair[1], metrics=METRICS | {"mae": METRICS["mae"] | change})
    assert words in refusal(pair, tmp_path / "out")


def test_a_missing_completed_picture_is_told(pair, tmp_path):
    missing = pair[0] / "completed" / picture_name(NAMES[0])
    missing.unlink()
    assert f"weak has no completed picture of {NAMES[0]} ({missing} is missing)" in refusal(
        pair, tmp_path / "out", pictures=6
    )


def test_folders_survive_the_grammar_of_hydra(tmp_path):
    folders = ["my results/a b", "x,y", "it's [one] {two}", 'say "hi"', "ends with \\", "plain", "a:b(c)"]
    (tmp_path / "lr=0.1,seed=2").mkdir()
    with_equals = str(tmp_path / "lr=0.1,seed=2")
    arguments = folders_as_override(["out=here", *folders, with_equals, "pictures=3"])
    assert arguments[1:] == ["out=here", "pictures=3"]
    (override,) = OverridesParser.create().parse_overrides(arguments[:1])
    assert override.key_or_group == "results"
    assert override.value() == [*folders, with_equals]


def test_flags_and_their_values_are_no_folders():
    arguments = ["--cfg", "job", "-cd", "conf", "+new=1", "~old", "--help"]
    assert folders_as_override(arguments) == arguments


def test_the_command_line_compares_folders_with_awkward_names(pair, tmp_path, monkeypatch, capsys):
    awkward = tmp_path / "it's, 100% (new) lr=0.1"
    pair[0].rename(awkward)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["inpaintlab", awkward.name, "strong", "out=my table", "pictures=1"])
    main()
    assert (tmp_path / "my table" / "report.html").is_file()
    printed = capsys.readouterr().out
    assert "psnr_rgb (dB), higher is better" in printed
    assert "psnr_rgb (dB) minus that of the best, all images" in printed
    assert "*: the best mean of its column" in " ".join(printed.split())


def test_the_verb_says_in_one_line_what_is_wrong(tmp_path):
    done = run_here("compare", "nowhere", cwd=tmp_path)
    assert done.returncode == 1
    assert len(done.stderr.strip().splitlines()) == 1
    assert done.stderr.startswith("inpaintlab compare: nowhere is not a folder")
