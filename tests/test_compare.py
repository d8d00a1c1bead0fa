"""Laws of result folders and of the tables that compare them."""

import hashlib
import io
import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from PIL import Image
from rich.console import Console

from inpaintlab import compare as command
from inpaintlab.compare import compare, folders_as_override
from inpaintlab.report.table import csv, markdown, tabulate, terminal_tables
from inpaintlab.results import Result, bin_order, means_by_bin, picture_name, write_json, write_texts

BINS = ["20-30", "20-30", "fixed", "10-20", "10-20", "10-20"]
NAMES = [f"strokes {name}/photo_{i}" for i, name in enumerate(BINS)]
METRICS = {
    "psnr_rgb": {"definition": "Peak signal-to-noise ratio of one image.", "unit": "dB", "higher_is_better": True},
    "mae": {"definition": "Mean absolute error.", "unit": "", "higher_is_better": False},
}


def write_result(
    folder: Path,
    psnr: list[float],
    mae: list[float] | None = None,
    bins: list[str] = BINS,
    names: list[str] = NAMES,
    **changes: Any,
) -> Path:
    """A whole result folder of 16x16 pictures; `changes` replace keys of its result.json."""
    columns = {
        "name": names,
        "bin": bins,
        "hole_ratio": [0.15 + 0.01 * i for i in range(len(names))],
        "mask_sha256": [hashlib.sha256(name.encode()).hexdigest() for name in names],
        "psnr_rgb": psnr,
        "mae": mae or [1 / (1 + i) for i in range(len(names))],
        "seconds": [0.5] * len(names),
    }
    per_image = pl.DataFrame(columns)
    (folder / "completed").mkdir(parents=True)
    per_image.write_parquet(folder / "per_image.parquet")
    for i, name in enumerate(names):
        picture = np.full((16, 16, 3), 40 * (i % 6), dtype=np.uint8)
        Image.fromarray(picture).save(folder / "completed" / picture_name(name))
    data = {
        "format": 1,
        "label": folder.name,
        "method": "inpaintlab.models.glcic.GLCIC",
        "oracle": False,
        "trained": True,
        "config": {"model": {"channels": 64}},
        "checkpoint": {"path": "last.ckpt", "sha256": "ab" * 32, "iterations": 1200, "images_seen": 19200},
        "manifest": {"sha256": "c0ffee" + "0" * 58, "items": len(names), "size": 16},
        "metrics": METRICS,
        "means": means_by_bin(per_image, ["psnr_rgb", "mae"]),
        "seconds_per_image": 0.5,
        "parameters": 6_000_000,
        "machine": "two cores",
        "versions": {"torch": "2.13.0"},
        "commit": "d" * 40,
        "created": "2026-11-20T10:00:00+00:00",
    }
    write_json(folder / "result.json", data | changes)
    return folder


def rewrite(folder: Path, **changes: Any) -> None:
    data = json.loads((folder / "result.json").read_text())
    write_json(folder / "result.json", data | changes)


@pytest.fixture
def pair(tmp_path):
    """`strong` is better than `weak` in every bin but 10-20, where both print 20.00 dB."""
    weak = write_result(tmp_path / "weak", [10.0, 12.0, 14.0, 19.0, 20.0, 21.0])
    strong = write_result(tmp_path / "strong", [11.0, 13.0, 15.0, 18.0, 20.0, 22.0])
    return [weak, strong]


# The result folder


def test_means_are_those_computed_by_hand():
    images = pl.DataFrame({"bin": ["a", "b", "a"], "mae": [1.0, 2.0, 4.0]})
    assert means_by_bin(images, ["mae"]) == {
        "all": {"n": 3, "mae": 7 / 3},
        "a": {"n": 2, "mae": 2.5},
        "b": {"n": 1, "mae": 2.0},
    }


def test_infinite_psnr_is_left_out_of_the_mean_and_counted():
    images = pl.DataFrame({"bin": ["a", "a", "b"], "psnr_rgb": [30.0, math.inf, math.inf]})
    means = means_by_bin(images, ["psnr_rgb"])
    assert means["a"] == {"n": 2, "psnr_rgb": 30.0, "psnr_rgb_infinite": 1}
    assert means["b"] == {"n": 1, "psnr_rgb": None, "psnr_rgb_infinite": 1}


@pytest.mark.parametrize(("metric", "value"), [("mae", math.inf), ("psnr_rgb", -math.inf), ("psnr_rgb", math.nan)])
def test_values_of_a_broken_method_are_never_left_out_to_flatter_it(metric, value):
    images = pl.DataFrame({"bin": ["a", "a"], metric: [0.5, value]})
    assert means_by_bin(images, [metric])["a"] == {"n": 2, metric: None}


def test_a_bin_called_all_is_refused():
    with pytest.raises(ValueError, match="rename the bin"):
        means_by_bin(pl.DataFrame({"bin": ["all"], "mae": [1.0]}), ["mae"])


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
    assert picture_name("strokes 10-20/coffee_r0.c1é") == "strokes_10-20_coffee_r0.c1_.png"


def test_a_written_result_reads_back(pair):
    result = Result.load(pair[0])
    assert (result.label, result.trained, result.parameters) == ("weak", True, 6_000_000)
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
        ({"format": 2}, "has format 2, but this inpaintlab reads up to format 1: update"),
        ({"format": "x"}, "no .format. number"),
        ({"oracle": "no"}, "\"oracle\" is 'no', which is not bool"),
        ({"manifest": {"sha256": "0", "items": 7}}, "has 6 images, but the manifest in result.json has 7"),
        ({"means": {}}, "per_image.parquet has the bins 10-20, 20-30, fixed, all"),
        ({"metrics": {"ssim": METRICS["mae"]}}, "lacks the column ssim"),
        ({"metrics": {"mae": {"unit": ""}}}, "the metric mae has no 'definition'"),
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
    with pytest.raises(ValueError, match=r"per_image\.parquet cannot be read"):
        Result.load(pair[0])
    (pair[1] / "result.json").write_text("{")
    with pytest.raises(ValueError, match="not readable as JSON"):
        Result.load(pair[1])


def test_two_images_with_one_picture_file_are_refused(tmp_path):
    folder = write_result(tmp_path / "a", [1.0, 2.0], bins=["x", "x"], names=["a/b", "a_b"])
    with pytest.raises(ValueError, match=r"two images share the picture a_b.png"):
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


def test_the_best_of_each_column_is_bold_and_ties_are_both_bold(pair):
    lines = markdown(tabulate([Result.load(folder) for folder in pair])).splitlines()
    strong, weak = [line for line in lines if line.startswith(("| strong", "| weak"))][:2]
    assert strong == "| strong | **20.00** | **12.00** | **15.00** | **16.50** |"
    assert weak == "| weak | **20.00** | 11.00 | 14.00 | 16.00 |"


def test_the_best_is_the_lowest_where_lower_is_better(tmp_path):
    low = Result.load(write_result(tmp_path / "low", [1.0] * 6, mae=[0.1] * 6))
    high = Result.load(write_result(tmp_path / "high", [1.0] * 6, mae=[0.2] * 6))
    table = tabulate([low, high])
    assert table.is_best(low, "mae", "all")
    assert not table.is_best(high, "mae", "all")


def test_an_oracle_is_marked_and_never_best(pair):
    rewrite(pair[1], oracle=True)
    table = tabulate([Result.load(folder) for folder in pair])
    oracle, weak = table.results
    assert not any(table.is_best(oracle, "psnr_rgb", name) for name in table.bins)
    assert all(table.is_best(weak, "psnr_rgb", name) for name in table.bins)
    assert "| strong † |" in markdown(table)
    assert any(note.startswith("† ") for note in table.notes())
    assert table.leader() is weak


def test_untrained_methods_are_marked_and_do_not_lead(pair):
    rewrite(pair[1], trained=False)
    table = tabulate([Result.load(folder) for folder in pair])
    assert "| strong (untrained) |" in markdown(table)
    assert table.leader().label == "weak"


def test_identical_images_and_missing_metrics_are_told_under_the_table(tmp_path):
    exact = write_result(tmp_path / "exact", [math.inf, *[20.0] * 5])
    other = write_result(tmp_path / "other", [10.0] * 6)
    rewrite(other, metrics={"psnr_rgb": METRICS["psnr_rgb"]})
    table = tabulate([Result.load(exact), Result.load(other)])
    assert any(note.startswith("exact: 1 of 6 images are reproduced exactly") for note in table.notes())
    assert any("was not computed" in note for note in table.notes())
    assert table.cell(table.results[1], "mae", "all") == "–"  # noqa: RUF001
    assert table.is_best(table.results[0], "mae", "all")


def test_the_csv_reads_back_with_full_precision(pair):
    rewrite(pair[0], label='a "quoted", label')
    table = tabulate([Result.load(folder) for folder in pair])
    rows = pl.read_csv(io.StringIO(csv(table)))
    assert rows.columns == ["label", "bin", "n", "metric", "mean"]
    assert rows.height == 2 * 4 * 2
    for result in table.results:
        for row in rows.filter(pl.col("label") == result.label).iter_rows(named=True):
            assert row["mean"] == result.means[row["bin"]][row["metric"]]
            assert row["n"] == result.means[row["bin"]]["n"]


def test_a_label_cannot_break_the_markdown_table(pair):
    rewrite(pair[0], label="a|b\n*c*")
    assert r"| a\|b \*c\* |" in markdown(tabulate([Result.load(folder) for folder in pair]))


def test_the_terminal_table_fits_100_columns_and_takes_labels_literally(tmp_path):
    bins = ["1-10", "10-20", "20-30", "30-40", "40-50", "50-60", "fixed"]
    names = [f"photo {i}" for i in range(7)]
    folder = write_result(tmp_path / "a", [20.0] * 7, bins=bins, names=names, label="[red]edges[/red] " + "long " * 9)
    console = Console(width=100, file=io.StringIO(), record=True)
    for view in terminal_tables(tabulate([Result.load(folder)])):
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
        "report.html",
        "table.csv",
        "table.md",
    ]
    assert (tmp_path / "deep" / "out" / "table.csv").read_text() == csv(table)


def refusal(results: list[Path], out: Path, pictures: int = 2) -> str:
    """The sentence that `compare` refuses with, having written nothing."""
    with pytest.raises(ValueError, match=r"\w") as error:
        compare(results, out, pictures)
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
    rewrite(pair[1], manifest={"sha256": "beef" * 16, "items": 6})
    sentence = refusal(pair, tmp_path / "out")
    assert f"{pair[0]} has c0ffee000000" in sentence
    assert f"{pair[1]} has beefbeefbeef" in sentence


def test_other_images_under_the_same_manifest_hash_are_refused(pair, tmp_path):
    other = write_result(tmp_path / "other", [1.0] * 6, names=[f"elsewhere {i}" for i in range(6)])
    assert "other images or masks" in refusal([pair[0], other], tmp_path / "out")


def test_the_order_of_the_images_does_not_matter(pair, tmp_path):
    images = pl.read_parquet(pair[0] / "per_image.parquet")
    images.reverse().write_parquet(pair[0] / "per_image.parquet")
    assert len(compare(pair, tmp_path / "out", pictures=0).results) == 2


def test_duplicate_labels_are_refused(pair, tmp_path):
    rewrite(pair[1], label="weak")
    sentence = refusal(pair, tmp_path / "out")
    assert 'Two results are called "weak"' in sentence
    assert "label=" in sentence


def test_two_definitions_of_one_metric_are_never_put_into_one_column(pair, tmp_path):
    rewrite(pair[1], metrics=METRICS | {"mae": METRICS["mae"] | {"definition": "Mean error in the hole."}})
    sentence = refusal(pair, tmp_path / "out")
    assert f"mae means different things in {pair[0]} (Mean absolute error.)" in sentence
    assert f"{pair[1]} (Mean error in the hole.)" in sentence


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
    assert arguments[:2] == ["out=here", "pictures=3"]
    (override,) = OverridesParser.create().parse_overrides(arguments[2:])
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
    command.main()
    assert (tmp_path / "my table" / "report.html").is_file()
    printed = capsys.readouterr().out
    assert "psnr_rgb (dB), higher is better" in printed
    assert "* is the best of its column." in printed


@pytest.mark.slow
def test_the_verb_says_in_one_line_what_is_wrong(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "inpaintlab.compare", "nowhere"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1].startswith("inpaintlab compare: nowhere is not a folder")
