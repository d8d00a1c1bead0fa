"""Laws of the HTML report."""

import base64
import hashlib
import io
import json
import math
import re
import xml.etree.ElementTree as ET
from dataclasses import asdict, replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from inpaintlab.comparison import Table, cost_columns, tabulate, trained_on, weights
from inpaintlab.evaluation import Result
from inpaintlab.metrics import Meaning
from inpaintlab.recipes import in_words
from inpaintlab.report import html_page
from inpaintlab.report.appearance import PALETTE, USUAL, looks
from inpaintlab.report.cases import most_different, pick, worst_first
from inpaintlab.report.numbers import Numbers, as_json
from inpaintlab.report.pictures import HOLE_COLOUR, Original, data_uri, originals, painted, rim
from inpaintlab.report.plots import plot, running_mean
from inpaintlab.testsets import Manifest, ManifestDataset, picture_name
from stand_ins.results import BINS, METRICS, NAMES, rewrite
from stand_ins.results import write_result as write_plain_result

VOID = {"meta", "img", "line", "path", "use", "br", "input", "wbr"}


COST = {"parameters": 6_060_000, "gmac": 31.25, "milliseconds": 12.54, "peak_memory_bytes": 2**28}
COST |= {"batch_size": 1, "size": 16, "images_seen": 19200}


def write_result(folder: Path, psnr: list[float], **changes: Any) -> Path:
    """A whole result folder whose costs are known."""
    return write_plain_result(folder, psnr, **({"cost": COST} | changes))


class Page(HTMLParser):
    """Everything that the tests ask of a page: attributes by tag, the text, scripts, and whether tags match."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.scripts: list[str] = []
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
        if self.open and self.open[-1] == "script":
            self.scripts.append(data)
        elif self.open and self.open[-1] != "style":
            self.text += data


@pytest.fixture
def table(tmp_path) -> Table:
    """Two methods, of which `a` leads; its worst images are the first of the list."""
    a = write_result(tmp_path / "a", [20.0, 21.0, 22.0, 23.0, 24.0, 25.0])
    b = write_result(tmp_path / "b", [19.0, 12.0, math.nan, 12.0, 12.0, 12.0], oracle=True)
    return tabulate([Result.load(a), Result.load(b)])


@pytest.fixture
def photographs(monkeypatch):
    """Originals for every image, as a manifest whose photographs are at hand would give them."""

    hole = Image.new("L", (16, 16))
    hole.paste(255, (4, 4, 12, 12))
    original = Original(Image.new("RGB", (16, 16), "green"), Image.new("RGB", (16, 16), "red"), hole)

    def found(folder: Path, names: list[str], root: str | None):
        return dict.fromkeys(names, original)

    monkeypatch.setattr("inpaintlab.report.cases.originals", found)


def test_the_page_is_well_formed_and_asks_nothing_of_the_network(table, photographs):
    text = html_page(table, 6)
    parsed = Page(text)
    assert parsed.open == []
    assert "link" not in {tag for tag, _ in parsed.tags}
    for _, attributes in parsed.tags:
        for name in ("src", "href", "xlink:href", "srcset", "data"):
            value = attributes.get(name)
            assert value is None or value.startswith(("data:image/", "#"))
    assert not re.search(r"url\(\s*['\"]?(?!#|data:image/)", text)
    for word in ("@import", "fetch(", "XMLHttpRequest", "import("):
        assert word not in text


def test_the_browser_is_told_to_fetch_nothing_and_to_run_no_script_but_the_pages_own(table):
    parsed = Page(html_page(table, 0))
    (policy,) = [a["content"] for _, a in parsed.tags if a.get("http-equiv") == "Content-Security-Policy"]
    rules = dict(rule.split(" ", 1) for rule in str(policy).split("; "))
    own = base64.b64encode(hashlib.sha256(parsed.scripts[-1].encode()).digest()).decode()
    assert (rules["default-src"], rules["img-src"], rules["script-src"]) == ("'none'", "data:", f"'sha256-{own}'")


def test_ids_are_unique(table):
    ids = [attributes["id"] for _, attributes in Page(html_page(table, 0)).tags if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_every_label_metric_and_definition_is_on_the_page(table):
    text = Page(html_page(table, 2)).text
    for result in table.results:
        assert result.label in text
        assert result.checkpoint is not None
        assert result.checkpoint["sha256"] in text
    for name, metric in table.metrics.items():
        assert name in text
        assert metric.definition in text
    for words in ("6 images of 16×16 pixels", "c0ffee000000", "1,200 iterations", "19,200 images seen", "channels: 64"):  # noqa: RUF001
        assert words in text


def test_labels_and_names_with_html_in_them_are_only_text(tmp_path):
    hostile = "</script><script>alert('x')</script> & \"quoted\" $x_1$ <!--"
    names = [f"{hostile} {i}" for i in range(6)]
    table = tabulate([Result.load(write_result(tmp_path / "a", [20.0] * 6, label=hostile, names=names))])
    text = html_page(table, 2)
    parsed = Page(text)
    assert text.count("<script") == len(parsed.scripts) == 2
    assert "<!--" not in text
    assert hostile in parsed.text
    assert hostile in json.loads(parsed.scripts[0])["methods"]
    assert json.loads(parsed.scripts[0])["names"] == names


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
    text = Page(html_page(tabulate([Result.load(folder)]), 1)).text
    for told in ("edgeconnect: gen.pth", "cdcdcdcdcdcd", "dis.pth", "efefefefefef", "fill: white; joint: code"):
        assert told in text
    assert "fast marching + Poisson blending" in text


def test_a_classical_method_without_checkpoint_commit_or_parameters_is_shown(tmp_path):
    folder = write_result(tmp_path / "telea", [20.0] * 6, checkpoint=None, commit=None, parameters=None)
    text = Page(html_page(tabulate([Result.load(folder)]), 1)).text
    assert "not recorded" in text


def test_the_best_mean_is_strong_and_an_oracle_never_is(table):
    rows = re.findall(r'<tr><th scope="row"><span class="method">.*?</tr>', html_page(table, 0), flags=re.DOTALL)
    assert len(rows) == 2 * 2
    for row in rows:
        assert row.count("<strong>") == (0 if "†" in row else len(table.bins))


def test_worst_images_come_first_and_the_best_follow(table, photographs):
    text = Page(html_page(table, 6)).text
    worst, best = text.split("Worst of a")[1].split("Best of a")
    assert [worst.index(name) for name in NAMES[:2]] == sorted(worst.index(name) for name in NAMES[:2])
    assert best.index(NAMES[5]) < best.index(NAMES[4]) < best.index("Most different between a and b")


def test_each_picture_has_words_and_each_completion_its_value(table, photographs):
    parsed = Page(html_page(table, 6))
    images = [attributes for tag, attributes in parsed.tags if tag == "img"]
    assert len(images) == 6 * 4
    assert all(attributes["alt"] for attributes in images)
    for words in ("original", "input", "20.00 dB", "25.00 dB", "undefined"):
        assert words in parsed.text


def test_without_the_photographs_the_page_says_so_and_shows_the_completions(table, monkeypatch):
    def lost(folder: Path, names: list[str], root: str | None):
        raise ValueError("photos/cat.png is missing.")

    monkeypatch.setattr("inpaintlab.report.cases.originals", lost)
    parsed = Page(html_page(table, 6))
    assert "The photographs cannot be read on this machine (photos/cat.png is missing), so only" in parsed.text
    assert len([tag for tag, _ in parsed.tags if tag == "img"]) == 6 * 2


def test_no_pictures_means_no_galleries(table):
    parsed = Page(html_page(table, 0))
    assert "img" not in {tag for tag, _ in parsed.tags}
    assert "Worst of" not in parsed.text


def test_raw_output_and_inner_pictures_are_shown_where_the_result_folder_has_them(table, photographs):
    raw, inside = table.results[0].folder / "raw", table.results[0].folder / "inside" / "edges"
    for folder, paint in ((raw, "blue"), (inside, "white")):
        folder.mkdir(parents=True)
        for name in NAMES:
            Image.new("RGB", (16, 16), paint).save(folder / picture_name(name))
    parsed = Page(html_page(table, 6))
    kinds = [attributes["class"] for tag, attributes in parsed.tags if tag == "figure" and "class" in attributes]
    first_case = kinds[: kinds.index("original", 1)]
    assert first_case == ["original", "input", "completed", "raw", "inside", "completed"]
    assert "a, raw output" in parsed.text
    assert "a, edges" in parsed.text
    (raw / picture_name(NAMES[0])).unlink()
    with pytest.raises(ValueError, match=r"a has no raw picture of .* is missing\): evaluate it again"):
        html_page(table, 6)


def test_a_picture_that_is_no_picture_is_told(table):
    raw = table.results[0].folder / "raw"
    raw.mkdir()
    (raw / picture_name(NAMES[0])).write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"is not a readable picture: evaluate a again"):
        html_page(table, 6)


def test_a_completion_that_is_not_the_scored_one_is_told(table):
    picture = table.results[0].picture(NAMES[0])
    Image.new("RGB", (16, 16), "white").save(picture)
    with pytest.raises(ValueError, match=r"\.png was changed after it was written: its hash differs; evaluate a again"):
        html_page(table, 6)


def frozen(folder: Path) -> Manifest:
    """A manifest of one picture on disk with one square hole, saved into the folder."""
    (folder / "photos" / "test").mkdir(parents=True)
    Image.effect_noise((24, 20), 60).convert("RGB").save(folder / "photos" / "test" / "noise.png")
    manifest = Manifest.create(
        source={"_target_": "inpaintlab.data.Folder", "root": str(folder / "photos")},
        crop={"_target_": "inpaintlab.data.CentreSquare", "size": 16},
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
    original = originals(tmp_path, [item["name"]], str(tmp_path / "moved"))[item["name"]]
    image, hole = original.image, original.painted
    assert np.array_equal(np.asarray(image), (item["image"] * 255).round().byte().permute(1, 2, 0).numpy())
    known = item["mask"][0].numpy() == 0
    assert np.array_equal(np.asarray(hole)[known], np.asarray(image)[known])
    assert len(np.unique(np.asarray(hole)[~known], axis=0)) == 1
    assert np.array_equal(np.asarray(original.hole) == 255, ~known)


def test_photographs_that_are_gone_and_images_that_are_not_listed_are_told(tmp_path):
    name = frozen(tmp_path).items[0].name
    with pytest.raises(ValueError, match="does not list the image elsewhere"):
        originals(tmp_path, ["elsewhere"], None)
    with pytest.raises((ValueError, OSError), match="nowhere"):
        originals(tmp_path, [name], str(tmp_path / "nowhere"))
    with pytest.raises(ValueError, match="no manifest"):
        originals(tmp_path / "photos", [name], None)


# Which images


def many(tmp_path: Path, count: int) -> Table:
    """Results of `count` images: `rising`, the leader, grows with their number, `falling` shrinks twice as fast."""
    names = [f"photo {i:03}" for i in range(count)]
    bins = [BINS[i % 6] for i in range(count)]
    rising = write_result(tmp_path / "rising", [100.0 + i for i in range(count)], bins=bins, names=names)
    falling = write_result(tmp_path / "falling", [50.0 - 2 * i for i in range(count)], bins=bins, names=names)
    return tabulate([Result.load(falling), Result.load(rising)])


@pytest.mark.parametrize("count", [1, 2, 3, 7, 24, 30, 60, 100])
def test_no_image_is_chosen_twice_and_as_many_as_asked_are(tmp_path, count):
    table = many(tmp_path, 60)
    chosen = pick(table, Numbers.of(table), count)
    positions = [position for group in chosen.values() for position in group]
    assert len(positions) == len(set(positions)) == min(count, 60)


def test_the_worst_the_best_and_the_most_different_are_a_quarter_each(tmp_path):
    table = many(tmp_path, 60)
    chosen = pick(table, Numbers.of(table), 24)
    assert chosen["worst"] == [0, 1, 2, 3, 4, 5]
    assert chosen["best"] == [59, 58, 57, 56, 55, 54]
    assert chosen["different"] == [53, 52, 51, 50, 49, 48]
    assert (len(chosen["random"]), chosen["more"]) == (6, [])


def test_more_pictures_are_first_those_that_the_galleries_of_other_methods_show(tmp_path):
    names = [f"photo {i:03}" for i in range(60)]
    table = many(tmp_path, 60)
    wave = [10 + 5 * math.sin(i) for i in range(60)]
    third = write_result(tmp_path / "wave", wave, bins=[BINS[i % 6] for i in range(60)], names=names)
    table = tabulate([*table.results, Result.load(third)])
    chosen = pick(table, Numbers.of(table), 50)
    shown = {position for group in chosen.values() for position in group}
    by_wave = sorted(range(60), key=wave.__getitem__)
    assert {*by_wave[:6], *by_wave[-6:]} <= shown


def test_random_images_are_the_same_every_time_and_not_the_first_of_the_list(tmp_path):
    table = many(tmp_path, 60)
    order = Numbers.of(table).shuffled()
    assert sorted(order) == list(range(60))
    assert order == Numbers.of(table).shuffled() != list(range(60))


def test_the_worst_is_the_highest_where_lower_is_better(tmp_path):
    numbers = Numbers.of(many(tmp_path, 8))
    assert worst_first(numbers, "mae", 0)[0] == 0  # mae falls with the number of the image


def test_a_value_that_is_no_number_is_the_worst_and_an_infinite_psnr_the_best(tmp_path):
    result = Result.load(write_result(tmp_path / "a", [1.0, math.nan, math.inf, 2.0, -math.inf, 4.0]))
    assert worst_first(Numbers.of(tabulate([result])), "psnr_rgb", 0) == [1, 4, 0, 3, 5, 2]


def test_an_image_that_one_method_alone_reproduces_is_the_most_different(tmp_path):
    a = Result.load(write_result(tmp_path / "a", [20.0, math.inf, math.inf, 25.0, math.nan, 20.0]))
    b = Result.load(write_result(tmp_path / "b", [21.0, 20.0, math.inf, 20.0, 20.0, 20.0]))
    assert most_different(Numbers.of(tabulate([a, b])), "psnr_rgb", 0, 1) == [1, 3, 0, 2, 5]


# Numbers


def embedded(table: Table) -> dict:
    return json.loads(Page(html_page(table, 0)).scripts[0])


def test_the_page_holds_every_value_to_six_digits_whatever_the_order_of_the_images(tmp_path):
    values = [20.12345678, math.nan, math.inf, -math.inf, 1e-9, 24.0]
    a = write_result(tmp_path / "a", values)
    b = write_result(tmp_path / "b", values[::-1], names=NAMES[::-1], bins=BINS[::-1])
    data = embedded(tabulate([Result.load(a), Result.load(b)]))
    assert data["names"] == NAMES
    expected = [20.1235, None, "Infinity", "-Infinity", 1e-9, 24]
    assert data["metrics"]["psnr_rgb"]["rows"] == {"0": expected, "1": expected}


def test_numbers_of_whole_sets_stand_in_the_table_and_nowhere_else(tmp_path):
    folder = write_result(tmp_path / "a", [20.0] * 6)
    data = json.loads((folder / "result.json").read_text())
    fid = asdict(Meaning("Distance of sets.", "", higher_is_better=False, of_set=True))
    means = {name: entry | {"fid": 61.5} for name, entry in data["means"].items()}
    rewrite(folder, metrics=data["metrics"] | {"fid": fid}, means=means)
    table = tabulate([Result.load(folder)])
    assert "fid" not in embedded(table)["metrics"]
    assert "61.5" in Page(html_page(table, 2)).text


def test_a_thousand_images_of_ten_methods_stay_small(tmp_path):
    names = [f"20-30/a rather long name of a photograph {i:04}.jpg" for i in range(1000)]
    random = np.random.default_rng(0)
    columns = {f"metric_{i}": dict(enumerate(random.normal(20, 5, (10, 1000)).tolist())) for i in range(12)}
    flags, units, decimals = dict.fromkeys(columns, True), dict.fromkeys(columns, ""), dict.fromkeys(columns, 4)
    numbers = Numbers(names, ["20-30"] * 1000, [25.0] * 1000, columns, flags, units, decimals)
    first = Result.load(write_result(tmp_path / "a", [20.0] * 6))
    table = tabulate([first])
    table = replace(table, metrics=dict.fromkeys(columns, next(iter(table.metrics.values()))))
    assert len(as_json(numbers, table)) < 1_300_000


# What is said of methods


def result_of(folder: Path, **changes) -> Result:
    return Result.load(write_result(folder, [20.0] * 6, **changes))


def test_each_method_says_whose_weights_it_has_and_what_they_were_trained_on(tmp_path):
    ours = {"path": "x", "sha256": "ab" * 32, "iterations": 7, "images_seen": 70}
    source = {"_target_": "inpaintlab.data.Folder", "_convert_": "all", "root": "photos"}
    training = {"data": source, "mask": {"_target_": "inpaintlab.masks.Block", "fraction": 0.5}, "size": 64}
    here = result_of(tmp_path / "here", checkpoint=ours | {"training": training})
    theirs = result_of(tmp_path / "theirs", checkpoint=ours | {"imported": {"layout": "edgeconnect", "files": []}})
    old = result_of(tmp_path / "old", checkpoint=ours)
    classical = result_of(tmp_path / "telea", checkpoint=None)
    floor = result_of(tmp_path / "floor", checkpoint=None, trained=False)
    told = [weights(result) for result in (here, theirs, old, classical, floor)]
    assert told == ["trained here", "published weights", "trained here", "learns nothing", "untrained"]
    on = [trained_on(result, "data") for result in (here, theirs, old, classical, floor)]
    assert on == ["Folder(root=photos)", "not recorded", "not recorded", "–", "–"]  # noqa: RUF001
    assert trained_on(here, "mask") == "Block(fraction=0.5)"
    text = Page(html_page(tabulate([here, theirs, classical]), 0)).text
    for words in (*told[:2], "Folder(root=photos)", "Block(fraction=0.5)", "learns nothing"):
        assert words in text


def test_nested_recipes_are_told_in_one_line():
    strokes = {"_target_": "inpaintlab.masks.Strokes", "strokes": [1, 8], "length": 0.125}
    recipe = {"_target_": "inpaintlab.masks.WithHoleRatio", "mask": strokes, "low": 0.1}
    assert in_words(recipe) == "WithHoleRatio(mask=Strokes(strokes=[1, 8], length=0.125), low=0.1)"
    assert in_words({"a": 1, "b": None}) == "{a=1, b=None}"


def test_costs_stand_beside_the_means_and_unknown_ones_are_a_dash(tmp_path):
    known, unknown = result_of(tmp_path / "known"), result_of(tmp_path / "unknown", cost={}, checkpoint=None)
    columns = {column.heading: column.texts for column in cost_columns([known, unknown])}
    assert columns == {
        "parameters, M": ["6.06", "–"],  # noqa: RUF001
        "GMAC": ["31.2", "–"],  # noqa: RUF001
        "ms": ["12.5", "–"],  # noqa: RUF001
        "peak MiB": ["256", "–"],  # noqa: RUF001
        "images seen": ["19,200", "–"],  # noqa: RUF001
    }
    assert cost_columns([unknown]) == []
    (head,) = re.findall("<thead><tr>.*?</tr>", html_page(tabulate([known, unknown]), 0))[:1]
    assert head.index(">all<") < head.index(">parameters, M<") < head.index(">images seen<")


# Pictures and plots


def decoded(uri: str) -> Image.Image:
    head, data = uri.split(",")
    assert head in ("data:image/png;base64", "data:image/webp;base64")
    return Image.open(io.BytesIO(base64.b64decode(data)))


def noise(side: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8))


def test_small_pictures_are_kept_to_the_bit():
    assert np.array_equal(decoded(data_uri(noise(64), 100_000)), noise(64))


def test_drawings_are_kept_to_the_bit_and_stay_gray():
    edges = Image.new("L", (256, 256))
    edges.paste(255, (20, 30, 22, 200))
    kept = decoded(data_uri(edges, 2_500))
    assert kept.mode == "L"
    assert np.array_equal(np.asarray(kept), np.asarray(edges))


def test_large_pictures_are_reduced():
    assert decoded(data_uri(Image.new("RGB", (1024, 512)), 100_000)).size == (256, 128)


@pytest.mark.parametrize("most_bytes", [100_000, 40_000, 10_000, 4_000, 2_500, 1_500])
def test_pictures_keep_to_their_share_of_the_page(most_bytes):
    uri = data_uri(noise(256), most_bytes)
    assert len(base64.b64decode(uri.split(",")[1])) <= most_bytes


def test_the_rim_is_the_hole_without_its_inside():
    hole = Image.new("L", (16, 16))
    hole.paste(255, (4, 5, 9, 12))
    outline = np.asarray(decoded(rim(hole)).convert("RGBA"))
    expected = np.zeros((16, 16), dtype=bool)
    expected[5:12, 4:9] = True
    expected[6:11, 5:8] = False
    assert np.array_equal(outline[..., 3] == 255, expected)
    assert np.array_equal(outline[..., 3] == 0, ~expected)
    assert outline[5, 4, :3].tolist() == [round(255 * part) for part in HOLE_COLOUR]


def test_the_hole_is_painted_and_the_known_pixels_are_untouched():
    image = torch.rand(3, 4, 4, generator=torch.Generator().manual_seed(0))
    mask = torch.zeros(1, 4, 4)
    mask[:, :2] = 1
    shown = painted(image, mask)
    assert torch.equal(shown[:, 2:], image[:, 2:])
    assert torch.allclose(shown[:, 0, 0], torch.tensor(HOLE_COLOUR))


def test_a_running_mean_is_the_mean_of_neighbours():
    x, y = running_mean(np.array([3.0, 1.0, 2.0, 4.0]), np.array([30.0, 10.0, 20.0, 70.0]), 2)
    assert x == pytest.approx([1.5, 2.5, 3.5])
    assert y == pytest.approx([15, 25, 50])


def test_a_plot_is_one_svg_with_a_colour_for_each_method_and_the_ink_of_the_page(table):
    text = plot(table, "psnr_rgb")
    assert ET.fromstring(text).tag == "{http://www.w3.org/2000/svg}svg"
    for look in looks(["a", "b"]).values():
        assert look.colour.lower() in text.lower()
    assert "currentColor" in text
    assert "<style" not in text


def test_the_same_numbers_give_the_same_plot(table):
    assert plot(table, "mae") == plot(table, "mae")


def test_more_methods_than_colours_differ_in_their_dashes():
    found = looks(f"method {number}" for number in range(20)).values()
    assert len({(look.colour, look.key) for look in found}) == 20
    assert len({look.colour for look in found}) == len(PALETTE)


def test_a_method_has_its_colour_wherever_it_stands_and_whoever_else_is_there():
    alone = {label: looks([label])[label] for label in (*USUAL, "mine", "ايدج", "a$b_c")}
    assert looks(reversed(USUAL)) == {label: alone[label] for label in USUAL}
    for label, look in alone.items():
        assert looks([*USUAL, label])[label].colour == look.colour or label not in USUAL
    two = looks(["mine", "glcic"])
    assert looks(["glcic", "mine"]) == two
    assert two["glcic"] == alone["glcic"]


def test_a_wish_that_two_share_is_the_usual_methods_and_then_the_first_names():
    same = [name for name in (f"m{number}" for number in range(60)) if looks([name])[name] == looks(["glcic"])["glcic"]]
    found = looks([*same[:2], "glcic"])
    wish = PALETTE.index(found["glcic"].colour)
    assert [found[label].colour for label in ("glcic", *sorted(same[:2]))] == [
        PALETTE[(wish + place) % len(PALETTE)] for place in range(3)
    ]


def test_an_infinite_mean_stands_on_the_upper_edge_of_the_plot_and_sorts_above_all(tmp_path):
    table = tabulate(
        [
            Result.load(write_result(tmp_path / label, psnr))
            for label, psnr in {"exact": [math.inf] * 6, "some": [math.inf, *[20.0] * 5], "none": [30.0] * 6}.items()
        ]
    )
    assert [result.label for result in table.results] == ["exact", "some", "none"]
    assert plot(table, "psnr_rgb").count("<use") > plot(tabulate(table.results[2:]), "psnr_rgb").count("<use")
    parsed = Page(html_page(table, 0))
    values = [
        attributes["data-value"] for tag, attributes in parsed.tags if attributes.get("class") == "all" and tag == "td"
    ]
    assert values[:3] == ["Infinity 6 Infinity", "Infinity 1 20.0", "30.0"]
    assert "∞ (20.00)" in parsed.text


def test_a_method_without_a_metric_and_without_finite_values_is_left_out_of_the_plot(tmp_path):
    names = [f"photo {i}" for i in range(30)]
    bins = [BINS[i % 6] for i in range(30)]
    broken = write_result(tmp_path / "broken", [math.nan] * 30, bins=bins, names=names)
    whole = write_result(tmp_path / "whole", [20.0 + i for i in range(30)], bins=bins, names=names)
    table = tabulate([Result.load(broken), Result.load(whole)])
    assert looks(["broken", "whole"])["whole"].colour.lower() in plot(table, "psnr_rgb").lower()
    rewrite(whole, metrics={"psnr_rgb": METRICS["psnr_rgb"]})
    table = tabulate([Result.load(broken), Result.load(whole)])
    assert Page(html_page(table, 4)).open == []
