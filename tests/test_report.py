"""Laws of the HTML report."""

import base64
import io
import math
import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from inpaintlab.report import page, pictures, plots
from inpaintlab.report.table import Table, tabulate
from inpaintlab.results import Result
from inpaintlab.testset import Manifest, ManifestDataset
from test_compare import BINS, NAMES, rewrite, write_result

VOID = {"meta", "img", "line", "path", "use", "br"}


class Page(HTMLParser):
    """Everything that the tests ask of a page: attributes by tag, headings, the text, and whether tags match."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag, f"</{tag}> closes something else"

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.text += data


@pytest.fixture
def table(tmp_path) -> Table:
    """Two methods, of which `a` leads; its worst images are the first of the list."""
    a = write_result(tmp_path / "a", [20.0, 21.0, 22.0, 23.0, 24.0, 25.0])
    b = write_result(tmp_path / "b", [19.0, 12.0, math.inf, 12.0, 12.0, 12.0], oracle=True)
    return tabulate([Result.load(a), Result.load(b)])


@pytest.fixture
def photographs(monkeypatch):
    """Originals for every image, as a manifest whose photographs are at hand would give them."""

    def found(folder: Path, names: list[str], root: str | None):
        return {name: (Image.new("RGB", (16, 16), "green"), Image.new("RGB", (16, 16), "red")) for name in names}

    monkeypatch.setattr(pictures, "originals", found)


def test_the_page_is_well_formed_and_asks_nothing_of_the_network(table, photographs):
    text = page(table, 6)
    parsed = Page(text)
    assert parsed.open == []
    assert "script" not in {tag for tag, _ in parsed.tags}
    assert "link" not in {tag for tag, _ in parsed.tags}
    for _, attributes in parsed.tags:
        for name in ("src", "href", "xlink:href", "srcset", "data"):
            value = attributes.get(name)
            assert value is None or value.startswith(("data:image/", "#"))
    assert not re.search(r"url\(\s*['\"]?(?!#)", text)
    assert "@import" not in text


def test_ids_are_unique(table):
    ids = [attributes["id"] for _, attributes in Page(page(table, 0)).tags if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_every_label_metric_and_definition_is_on_the_page(table):
    text = Page(page(table, 2)).text
    for result in table.results:
        assert result.label in text
        assert result.checkpoint is not None
        assert result.checkpoint["sha256"] in text
    for name, metric in table.metrics.items():
        assert name in text
        assert metric.definition in text
    for words in ("6 images of 16×16 pixels", "c0ffee000000", "1,200 iterations", "19,200 images seen", "channels: 64"):  # noqa: RUF001
        assert words in text


def test_a_label_with_html_in_it_is_only_text(tmp_path):
    label = "<script>alert('x')</script> & \"quoted\" $x_1$"
    table = tabulate([Result.load(write_result(tmp_path / "a", [20.0] * 6, label=label))])
    text = page(table, 2)
    assert "<script" not in text
    assert label in Page(text).text


def test_the_page_says_where_weights_came_from_and_what_implementations_do_differently(tmp_path):
    files = [{"name": name, "sha256": digits * 32} for name, digits in (("gen.pth", "cd"), ("dis.pth", "ef"))]
    checkpoint = {"path": "ec.ckpt", "sha256": "ab" * 32, "iterations": None, "images_seen": None}
    checkpoint["imported"] = {"layout": "edgeconnect", "files": files}
    folder = write_result(
        tmp_path / "released",
        [20.0] * 6,
        checkpoint=checkpoint,
        switches={"fill": "white", "joint": "code"},
        post_processing="fast marching + Poisson blending",
    )
    text = Page(page(tabulate([Result.load(folder)]), 1)).text
    for told in ("edgeconnect: gen.pth", "cdcdcdcdcdcd", "dis.pth", "efefefefefef", "fill: white; joint: code"):
        assert told in text
    assert "fast marching + Poisson blending" in text


def test_a_classical_method_without_checkpoint_commit_or_parameters_is_shown(tmp_path):
    folder = write_result(tmp_path / "telea", [20.0] * 6, checkpoint=None, commit=None, parameters=None)
    text = Page(page(tabulate([Result.load(folder)]), 1)).text
    assert "not recorded" in text


def test_the_best_mean_is_strong_and_an_oracle_never_is(table):
    rows = re.findall(r"<tr><th scope=\"row\">.*?</tr>", page(table, 0), flags=re.DOTALL)
    for row in rows:
        assert row.count("<strong>") == (0 if "†" in row else len(table.bins))


def test_worst_images_come_first_and_the_best_follow(table, photographs):
    text = Page(page(table, 6)).text
    worst, best = text.split("Worst of a")[1].split("Best of a")
    assert [worst.index(name) for name in NAMES[:2]] == sorted(worst.index(name) for name in NAMES[:2])
    assert best.index(NAMES[5]) < best.index(NAMES[4]) < best.index("The rest") < best.index(NAMES[2])


def test_each_picture_has_words_and_each_completion_its_value(table, photographs):
    parsed = Page(page(table, 6))
    images = [attributes for tag, attributes in parsed.tags if tag == "img"]
    assert len(images) == 6 * 4
    assert all(attributes["alt"] for attributes in images)
    for words in ("original", "input", "20.00 dB", "25.00 dB", "∞ dB"):
        assert words in parsed.text


def test_without_the_photographs_the_page_says_so_and_shows_the_completions(table, monkeypatch):
    def lost(folder: Path, names: list[str], root: str | None):
        raise ValueError("photos/cat.png is missing.")

    monkeypatch.setattr(pictures, "originals", lost)
    parsed = Page(page(table, 6))
    assert "The photographs cannot be read on this machine (photos/cat.png is missing), so only" in parsed.text
    assert len([tag for tag, _ in parsed.tags if tag == "img"]) == 6 * 2


def test_no_pictures_means_no_grid(table):
    parsed = Page(page(table, 0))
    assert "img" not in {tag for tag, _ in parsed.tags}
    assert "Worst of" not in parsed.text


def test_a_picture_that_is_no_picture_is_told(table):
    table.results[0].picture(NAMES[0]).write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"is not a readable picture: evaluate a again"):
        page(table, 6)


def frozen(folder: Path) -> Manifest:
    """A manifest of one picture on disk with one square hole, saved into the folder."""
    (folder / "photos" / "test").mkdir(parents=True)
    Image.effect_noise((24, 20), 60).convert("RGB").save(folder / "photos" / "test" / "noise.png")
    manifest = Manifest.create(
        source={"_target_": "inpaintlab.sources.Folder", "root": str(folder / "photos")},
        crop={"_target_": "inpaintlab.crops.CentreSquare", "size": 16},
        bins={"fixed": {"_target_": "inpaintlab.masks.Block", "fraction": 0.5}},
        split="test",
        size=16,
        seed=0,
    )
    manifest.save(folder / "manifest.json")
    return manifest


def test_originals_are_those_of_the_manifest_even_when_the_photographs_moved(tmp_path):
    manifest = frozen(tmp_path)
    item = ManifestDataset(manifest)[0]
    (tmp_path / "photos").rename(tmp_path / "moved")
    image, hole = pictures.originals(tmp_path, [item["name"]], str(tmp_path / "moved"))[item["name"]]
    assert np.array_equal(np.asarray(image), (item["image"] * 255).round().byte().permute(1, 2, 0).numpy())
    known = item["mask"][0].numpy() == 0
    assert np.array_equal(np.asarray(hole)[known], np.asarray(image)[known])
    assert len(np.unique(np.asarray(hole)[~known], axis=0)) == 1


def test_photographs_that_are_gone_and_images_that_are_not_listed_are_told(tmp_path):
    name = frozen(tmp_path).items[0].name
    with pytest.raises(ValueError, match="does not list the image elsewhere"):
        pictures.originals(tmp_path, ["elsewhere"], None)
    with pytest.raises((ValueError, OSError), match="nowhere"):
        pictures.originals(tmp_path, [name], str(tmp_path / "nowhere"))
    with pytest.raises(ValueError, match="no manifest"):
        pictures.originals(tmp_path / "photos", [name], None)


# Which images


def many(tmp_path: Path, count: int) -> Result:
    """A result of `count` images whose PSNR grows with their number."""
    names = [f"photo {i:03}" for i in range(count)]
    bins = [BINS[i % 6] for i in range(count)]
    return Result.load(write_result(tmp_path / "many", [float(i) for i in range(count)], bins=bins, names=names))


@pytest.mark.parametrize("count", [0, 1, 2, 3, 7, 24, 100])
def test_the_grid_never_repeats_an_image_and_has_as_many_as_asked(tmp_path, count):
    chosen = pictures.pick(many(tmp_path, 60), "psnr_rgb", True, count)
    names = [name for group in chosen.values() for name in group]
    assert len(names) == len(set(names)) == min(count, 60)


def test_a_quarter_is_worst_a_quarter_best_and_the_rest_covers_every_bin_alike(tmp_path):
    result = many(tmp_path, 60)
    chosen = pictures.pick(result, "psnr_rgb", True, 24)
    assert chosen["worst"] == [f"photo {i:03}" for i in range(6)]
    assert chosen["best"] == [f"photo {i:03}" for i in range(59, 53, -1)]
    bins = dict(result.per_image.select("name", "bin").iter_rows())
    shares = [[bins[name] for name in chosen["rest"]].count(bin_name) for bin_name in set(BINS)]
    assert shares == [4, 4, 4]


def test_the_worst_is_the_highest_where_lower_is_better(tmp_path):
    assert pictures.pick(many(tmp_path, 8), "psnr_rgb", False, 4)["worst"] == ["photo 007"]


def test_a_value_that_is_no_number_is_the_worst(tmp_path):
    result = Result.load(write_result(tmp_path / "a", [1.0, math.nan, math.inf, 2.0, 3.0, 4.0]))
    chosen = pictures.pick(result, "psnr_rgb", True, 4)
    assert (chosen["worst"], chosen["best"]) == ([NAMES[1]], [NAMES[2]])


# Pictures and plots


def decoded(uri: str) -> Image.Image:
    head, data = uri.split(",")
    assert head in ("data:image/png;base64", "data:image/jpeg;base64")
    return Image.open(io.BytesIO(base64.b64decode(data)))


def noise(side: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8))


def test_small_pictures_are_kept_to_the_bit():
    assert np.array_equal(decoded(pictures.data_uri(noise(64), 100_000)), noise(64))


def test_large_pictures_are_reduced():
    assert decoded(pictures.data_uri(Image.new("RGB", (1024, 512)), 100_000)).size == (256, 128)


@pytest.mark.parametrize("most_bytes", [100_000, 40_000, 10_000, 4_000])
def test_pictures_keep_to_their_share_of_the_page(most_bytes):
    uri = pictures.data_uri(noise(256), most_bytes)
    assert len(base64.b64decode(uri.split(",")[1])) <= most_bytes


def test_the_hole_is_painted_and_the_known_pixels_are_untouched():
    image = torch.rand(3, 4, 4, generator=torch.Generator().manual_seed(0))
    mask = torch.zeros(1, 4, 4)
    mask[:, :2] = 1
    painted = pictures.painted(image, mask)
    assert torch.equal(painted[:, 2:], image[:, 2:])
    assert torch.allclose(painted[:, 0, 0], torch.tensor(pictures.HOLE_COLOUR))


def test_a_running_mean_is_the_mean_of_neighbours():
    x, y = plots.running_mean(np.array([3.0, 1.0, 2.0, 4.0]), np.array([30.0, 10.0, 20.0, 70.0]), 2)
    assert x == pytest.approx([1.5, 2.5, 3.5])
    assert y == pytest.approx([15, 25, 50])


def test_a_plot_is_one_svg_with_a_colour_for_each_method_and_the_ink_of_the_page(table):
    text = plots.plot(table, "psnr_rgb")
    assert ET.fromstring(text).tag == "{http://www.w3.org/2000/svg}svg"
    for position in range(2):
        assert plots.colour(position).lower() in text.lower()
    assert "currentColor" in text
    assert "<style" not in text


def test_the_same_numbers_give_the_same_plot(table):
    assert plots.plot(table, "mae") == plots.plot(table, "mae")


def test_more_methods_than_colours_differ_in_their_dashes():
    looks = {(plots.colour(position), plots.key_dashes(position)) for position in range(20)}
    assert len(looks) == 20


def test_a_method_without_a_metric_and_without_finite_values_is_left_out_of_the_plot(tmp_path):
    names = [f"photo {i}" for i in range(30)]
    bins = [BINS[i % 6] for i in range(30)]
    broken = write_result(tmp_path / "broken", [math.nan] * 30, bins=bins, names=names)
    whole = write_result(tmp_path / "whole", [20.0 + i for i in range(30)], bins=bins, names=names)
    table = tabulate([Result.load(broken), Result.load(whole)])
    assert plots.colour(0).lower() in plots.plot(table, "psnr_rgb").lower()
    rewrite(whole, metrics={"psnr_rgb": {"definition": "x", "unit": "dB", "higher_is_better": True}})
    table = tabulate([Result.load(broken), Result.load(whole)])
    assert Page(page(table, 4)).open == []
