"""Laws of the figures that are drawn of result folders."""

import csv
import io
import math
import re
import struct
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from inpaintlab.comparison import tabulate
from inpaintlab.edges import EdgeFiles
from inpaintlab.evaluation import Result
from inpaintlab.figure import Drawn, failures, heatmap, qualitative, sigma_curves, sigma_pictures, write
from inpaintlab.figure.sigma import _of_set
from inpaintlab.figure.worst_edges import _true_edges, lowest
from stand_ins.commands import run_here
from stand_ins.figure_results import FID, SIZE, figure_result, frozen

MOVED = {"root": None, "mask_root": None}
IMAGES = 8
VALUES = [20.0, 23.0, 21.0, 22.0, 19.0, 26.0, 18.0, 25.0]
DRAWN = {
    "drawn_edge_precision": [0.5, 0.1, 0.1, math.nan, 0.9, 0.3, 0.2, 0.8],
    "drawn_edge_recall": [0.2, 0.9, 0.8, 0.7, 0.6, 0.5, math.nan, 0.2],
}


@pytest.fixture(scope="module")
def manifest():
    return frozen()


@pytest.fixture(scope="module")
def folders(tmp_path_factory, manifest):
    """Results at sigma 1 and 3 and without edges, and those of the oracle at 1 and 3."""
    results = tmp_path_factory.mktemp("results")
    made = {}
    for label, sigma, hole, gain in (
        ("s1", 1.0, "drawn", 0.0),
        ("s3", 3.0, "drawn", 1.0),
        ("none", None, "drawn", -2.0),
        ("o1", 1.0, "original", 5.0),
        ("o3", 3.0, "original", 4.0),
    ):
        psnr = [value + gain + 0.1 * place for place, value in enumerate(VALUES)]
        fid = [40.0 - gain, *(40.0 - gain + step for step in (-1.0, 0.5, 1.0, -0.5))]
        drawn = DRAWN if label == "s1" else None
        made[label] = str(
            figure_result(results / label, manifest, psnr, sigma=sigma, fid=fid, drawn=drawn, raw=True, hole_edges=hole)
        )
    return made


def curves(results, **changes) -> Drawn:
    settings = {"metric": "psnr_rgb", "set_metric": "auto", "bin_name": "all", "axis": "sigma"} | MOVED
    return sigma_curves(list(results), **(settings | changes))


def pictures(results, **changes) -> Drawn:
    return sigma_pictures(list(results), **({"images": [], "count": 2, "metric": "psnr_rgb"} | MOVED | changes))


def all_methods(results, **changes) -> Drawn:
    return qualitative(list(results), **({"images": [], "count": 2, "metric": "psnr_rgb"} | MOVED | changes))


def rows(drawn: Drawn) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(drawn.numbers.write_csv())))


# All of them


@pytest.mark.parametrize("kind", ["fig3_qualitative", "fig6_sigma", "fig7_sigma", "fig9_failures", "heatmap"])
def test_the_same_inputs_give_the_same_bytes_with_numbers_and_a_caption(monkeypatch, tmp_path, folders, manifest, kind):
    monkeypatch.setattr("inpaintlab.figure.caption.commit", lambda: "cd" * 20)  # somebody may commit meanwhile
    draw = {
        "fig3_qualitative": lambda: all_methods(folders.values()),
        "fig6_sigma": lambda: curves(folders.values(), axis="density"),
        "fig7_sigma": lambda: pictures(folders.values()),
        "fig9_failures": lambda: failures([folders["s1"]], count=2, **MOVED),
        "heatmap": lambda: heatmap(list(folders.values()), metric="psnr_rgb", diagonal={}),
    }[kind]
    once, again = write(kind, tmp_path / "a", draw), write(kind, tmp_path / "b", draw)
    assert [path.name for path in once] == [f"{kind}.{ending}" for ending in ("png", "pdf", "csv", "md")]
    assert [path.read_bytes() for path in once] == [path.read_bytes() for path in again]
    png, pdf = once[0].read_bytes(), once[1].read_bytes()
    assert struct.pack(">II", 7874, 7874) in png[: png.index(b"IDAT")]  # 200 dots an inch, in dots a metre
    assert b"CreationDate" not in pdf
    assert b"tIME" not in png
    caption = once[3].read_text()
    for part in (manifest.sha256, "ab" * 32, "last.ckpt", "Peak signal" if kind != "fig9_failures" else "drawn edges"):
        assert part in caption
    assert "8 images (4 photographs) of 16 x 16 pixels" in caption
    assert "- Command: `" in caption
    assert ("†" in caption) == (kind != "fig9_failures")
    assert list(tmp_path.joinpath("a").glob(".*")) == []


@pytest.mark.parametrize(
    ("draw", "sentence"),
    [
        (lambda f, m, t: curves([]), "Give the result folders"),
        (lambda f, m, t: all_methods([str(t / "none")]), "is not a folder"),
        (lambda f, m, t: curves([f["s1"]]), "All results are of σ = 1"),  # noqa: RUF001
        (lambda f, m, t: curves([f["s1"], other(t, m, "twin")]), "both of predicted edges, σ = 1"),  # noqa: RUF001
        (lambda f, m, t: curves([f["s1"], other(t, m, "glcic", config={})]), "uses no edges"),
        (lambda f, m, t: curves([f["s1"], other(t, frozen(seed=1), "moved")]), "different manifests"),
        (lambda f, m, t: curves([f["s1"], f["s3"]], metric="psnr_rbg"), "Did you mean 'psnr_rgb'"),
        (lambda f, m, t: curves([f["s1"], f["s3"]], bin_name="5-10"), "no such bin"),
        (lambda f, m, t: pictures([f["s1"], f["s3"]], metric="fid_inception2015"), "no picture has a value"),
        (lambda f, m, t: all_methods([f["s1"]], metric="fid_inception2015"), "no picture has a value"),
        (lambda f, m, t: heatmap([], metric="psnr_rgb", diagonal={}), "results/*/*"),
        (lambda f, m, t: pictures([f["s1"], other(t, m, "lean", sigma=5.0)]), "raw=true"),
        (lambda f, m, t: pictures([f["s1"], f["s3"]], images=["fixed/test_0"]), "the test set has no"),
        (lambda f, m, t: failures([f["s1"], f["s3"]], count=1, **MOVED), "one result folder, not 2"),
        (lambda f, m, t: failures([f["s3"]], count=1, **MOVED), "no drawn_edge_precision"),
        (lambda f, m, t: heatmap([f["s1"]], metric="psnr_rgb", diagonal={"x": "s1"}), "diagonal.x=s1"),
    ],
)
def test_what_cannot_be_drawn_is_one_sentence(tmp_path, folders, manifest, draw, sentence):
    with pytest.raises(ValueError, match=re.escape(sentence)) as caught:
        draw(folders, manifest, tmp_path)
    assert "\n" not in str(caught.value)


def other(folder, manifest, label, **changes):
    return str(figure_result(folder / label, manifest, VALUES, **({"sigma": 1.0} | changes)))


def test_photographs_that_have_moved_are_asked_for_by_their_root(tmp_path):
    (tmp_path / "here" / "test").mkdir(parents=True)
    Image.new("RGB", (SIZE, SIZE), "teal").save(tmp_path / "here" / "test" / "a.png")
    source = {"_target_": "inpaintlab.data.Folder", "root": str(tmp_path / "here"), "max_pixels": 10**6}
    manifest = frozen(source=source | {"train": "train", "val": "val", "test": "test", "edges": None})
    result = str(figure_result(tmp_path / "a", manifest, [20.0, 21.0]))
    assert all_methods([result]).numbers.height == 2
    (tmp_path / "here").rename(tmp_path / "there")
    with pytest.raises(ValueError, match=r"give root=FOLDER"):
        all_methods([result])
    assert all_methods([result], root=str(tmp_path / "there")).numbers.height == 2


# fig6_sigma


def test_the_numbers_of_fig6_are_those_of_compare(folders):
    drawn = curves(folders.values())
    table = tabulate([Result.load(folder) for folder in map(Path, folders.values())])
    found = rows(drawn)
    assert [(row["label"], row["metric"]) for row in found[:4]] == [
        *(("s1", metric) for metric in ("psnr_rgb", "fid_inception2015")),
        *(("s3", metric) for metric in ("psnr_rgb", "fid_inception2015")),
    ]
    for row in found:
        estimate = table.statistics.estimates[row["metric"], "all", row["label"]]
        numbers = [float(row[key]) for key in ("mean", "low", "high")]
        assert numbers == pytest.approx([estimate.mean, estimate.low, estimate.high], rel=1e-8)
        assert row["sigma"] == {"s1": "1.0", "o1": "1.0", "s3": "3.0", "o3": "3.0", "none": ""}[row["label"]]
        assert row["line"].startswith("true" if row["label"][0] == "o" else "predicted")


def test_curves_of_fig6_lie_inside_their_panel_with_the_ends_of_their_intervals(folders):
    drawn = curves(folders.values(), set_metric=None)
    (axes,) = drawn.figure.axes
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    assert left < 1.0 < 3.0 < right
    for low, high in drawn.numbers.select("low", "high").rows():
        assert bottom < low < high < top


def test_the_points_of_fig6_stand_at_their_sigmas_and_no_edges_is_a_level(folders):
    panels = curves(folders.values()).figure.axes
    assert [axes.get_ylabel() for axes in panels] == ["psnr_rgb (dB) ↑", "fid_inception2015 ↓"]
    for axes in panels:
        points = {tuple(line.get_xdata()) for line in axes.lines if line.get_marker() not in ("None", "", "_", "|")}
        assert (1.0, 3.0) in points
    assert curves(folders.values(), set_metric=None).figure.axes[1:] == []


def test_a_line_is_of_the_edges_that_fill_and_surround_the_hole(tmp_path, manifest):
    kinds = {"drawn": {}, "true": {"hole_edges": "original"}, "empty": {"hole_edges": "none"}}
    kinds |= {"rim": {"test_edges": "whole"}, "both": {"hole_edges": "none", "test_edges": "whole"}}
    made = [
        other(tmp_path, manifest, f"{name}{sigma}", sigma=float(sigma), **settings)
        for name, settings in kinds.items()
        for sigma in (1, 2)
    ]
    drawn = curves(made)
    lines = {row["label"]: row["line"].removesuffix(" (oracle †)") for row in rows(drawn)}
    assert {lines[f"{name}1"] for name in kinds} == {lines[f"{name}2"] for name in kinds}
    assert [lines[f"{name}1"] for name in kinds] == [
        *("predicted edges", "true edges", "hole left empty", "predicted edges, true ones around the hole"),
        "hole left empty, true ones around the hole",
    ]
    for line in lines.values():
        assert f"“{line}" in drawn.caption


def test_auto_takes_an_fid_before_fd_hed_and_draws_one_panel_without_either(tmp_path, manifest):
    def drawn(fid, **settings):
        folder = tmp_path / str(settings)
        return curves([other(folder, manifest, str(s), sigma=s, fid=fid, **settings) for s in (1.0, 2.0)])

    fid = [40.0, 39.0, 41.0, 40.5, 39.5]
    for name in ("fid_edgeconnect", "fd_hed", "kid"):
        assert {row["metric"] for row in rows(drawn(fid, set_metric=name))} == {"psnr_rgb", name}
    alone = drawn(None)
    assert len(alone.figure.axes) == 1
    assert "share no metric of a whole set" in alone.caption
    metrics = dict.fromkeys(("kid", "fd_hed", "fid_edgeconnect"), FID)
    both = [Result.load(Path(other(tmp_path, manifest, "several")))]
    assert _of_set([replace(both[0], metrics=metrics)]) == "fid_edgeconnect"
    assert _of_set([replace(both[0], metrics=dict.fromkeys(("kid", "fd_hed"), FID))]) == "fd_hed"


def test_the_density_axis_has_more_edges_at_a_lower_sigma(folders):
    by_label = {row["label"]: float(row["density"]) for row in rows(curves(folders.values(), axis="density"))}
    assert by_label["none"] == 0
    assert by_label["s1"] == by_label["o1"] >= by_label["s3"]


# fig3_qualitative and fig7_sigma


def test_images_are_chosen_by_a_hash_with_no_photograph_twice_and_named_ones_are_taken(folders, manifest):
    drawn = all_methods([folders["s1"], folders["o1"]], count=4)
    names = list(dict.fromkeys(row["image"] for row in rows(drawn)))
    photographs = {item.name: item.image for item in manifest.items}
    assert len({photographs[name] for name in names}) == 4
    assert rows(all_methods([folders["o1"], folders["s1"]], count=2))[0]["image"] == names[0]
    named = [manifest.items[5].name]
    assert {row["image"] for row in rows(all_methods([folders["s1"]], images=named))} == set(named)
    everything = rows(all_methods([folders["s1"]], count=99))
    assert len(everything) == len(manifest.items)


# fig9_failures


def test_the_worst_are_chosen_by_number_and_equal_ones_by_name(folders, manifest):
    result = Result.load(Path(folders["s1"]))
    names = [item.name for item in manifest.items]
    assert lowest(result, "drawn_edge_precision", 3) == [*sorted([names[1], names[2]]), names[6]]
    assert lowest(result, "drawn_edge_recall", 2) == sorted([names[0], names[7]])
    found = rows(failures([folders["s1"]], count=2, **MOVED))
    assert [(row["lowest"], row["place"]) for row in found] == [
        *(("precision", place) for place in "12"),
        *(("recall", place) for place in "12"),
    ]
    assert "1 of precision, 1 of recall" in failures([folders["s1"]], count=1, **MOVED).caption


def test_edges_that_come_from_files_are_those_of_the_originals(tmp_path):
    for folder, colour in (("photos", "teal"), ("maps", "white")):
        (tmp_path / folder / "test").mkdir(parents=True)
        Image.new("RGB", (SIZE, SIZE), colour).save(tmp_path / folder / "test" / "a.png")
    folders = {"root": str(tmp_path / "photos"), "edges": str(tmp_path / "maps"), "max_pixels": 10**6}
    split = {"train": "train", "val": "val", "test": "test"}
    manifest = frozen(source={"_target_": "inpaintlab.data.Folder"} | folders | split)
    files = {"config": {"edges": {"_target_": "inpaintlab.edges.EdgeFiles"}}}
    drawn = {metric: [0.5, 0.5] for metric in DRAWN}
    made = figure_result(tmp_path / "a", manifest, [20.0, 21.0], drawn=drawn, raw=True, **files)
    assert "marked by files" in failures([str(made)], count=1, **MOVED).caption
    true = _true_edges(Result.load(made), EdgeFiles(), [manifest.items[0].name], None, None)
    assert (true[manifest.items[0].name] == 255).all()


# heatmap


def test_a_cell_has_the_paired_difference_from_the_method_that_was_trained_for_its_column(tmp_path):
    tests = {"blocks": frozen(), "strokes": frozen(seed=1)}
    gains = {("on_blocks", "blocks"): 0.0, ("on_strokes", "blocks"): -1.5}
    gains |= {("on_blocks", "strokes"): 0.25, ("on_strokes", "strokes"): 0.0}
    made = [
        str(figure_result(tmp_path / column / row, tests[column], [value + gain for value in VALUES]))
        for (row, column), gain in gains.items()
    ]
    found = {(row["trained"], row["tested"]): row for row in rows(heatmap(made, metric="psnr_rgb", diagonal={}))}
    assert float(found["on_strokes", "blocks"]["difference"]) == pytest.approx(-1.5)
    assert float(found["on_strokes", "blocks"]["difference_low"]) == pytest.approx(-1.5)
    assert float(found["on_blocks", "strokes"]["difference"]) == pytest.approx(0.25)
    assert found["on_blocks", "blocks"]["difference"] == ""
    assert {row["diagonal"] for row in found.values()} == {"on_blocks", "on_strokes"}
    swapped = heatmap(made, metric="psnr_rgb", diagonal={"blocks": "on_strokes", "strokes": "on_blocks"})
    assert {row["trained"] for row in rows(swapped) if row["difference"] == ""} == {"on_blocks", "on_strokes"}


def test_a_row_is_one_method_and_a_column_one_test_set(tmp_path, manifest):
    first = figure_result(tmp_path / "a" / "m", manifest, VALUES)
    again = figure_result(tmp_path / "b" / "m", manifest, VALUES)
    with pytest.raises(ValueError, match="of one test set"):
        heatmap([str(first), str(again)], metric="psnr_rgb", diagonal={})
    weights = {"sha256": "cd" * 32, "iterations": 1, "images_seen": 1}
    others = figure_result(tmp_path / "c" / "m", frozen(seed=1), VALUES, checkpoint={"path": "x.ckpt", **weights})
    with pytest.raises(ValueError, match="one label and different weights"):
        heatmap([str(first), str(others)], metric="psnr_rgb", diagonal={})


# The command


def test_a_command_writes_a_figure_and_says_where(tmp_path, folders):
    done = run_here("figures", "fig6_sigma", folders["s1"], folders["s3"], "set_metric=null", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Wrote figures/fig6_sigma.png, figures/fig6_sigma.pdf, ")
    refused = run_here("figures", "fig6_sigma", folders["s1"], "out=other", cwd=tmp_path)
    assert refused.returncode == 1
    assert len(refused.stderr.splitlines()) == 1
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize(("words", "told"), [([], "name a figure"), (["fig6"], "Did you mean"), (["out=x"], "name a")])
def test_a_figure_has_to_be_named(tmp_path, words, told):
    done = run_here("figures", *words, cwd=tmp_path)
    assert done.returncode == 2
    assert told in done.stderr
    assert "heatmap" in done.stderr
