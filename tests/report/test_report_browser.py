"""Laws of the HTML report in a browser: what sorting, switching, choosing and clicking show.

Chromium runs the page with a script behind it that uses the page as a reader would and writes down what it saw.
"""

import html
import json
import math
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageColor
from test_report import write_result

from inpaintlab.comparison import tabulate
from inpaintlab.evaluation import Result
from inpaintlab.report import html_page, looks
from inpaintlab.report.pictures import Original
from inpaintlab.testsets import picture_name

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking"]
FLAGS += ["--disable-component-update", "--disable-sync", "--no-first-run", "--hide-scrollbars"]

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs the browser chromium or google-chrome")

HOSTILE = "</script><img src=x onerror='window.hacked = true'>"
COUNT = 40
NAMES = [f"{'10-20' if i < 20 else '20-30'}/photo {i:02} {HOSTILE}" for i in range(COUNT)]
BINS = [name.split("/")[0] for name in NAMES]
STRONG = [30.0 - 0.1 * i for i in range(COUNT)]  # its worst image is the last
WEAK = [20.0 + (0.2 * i if i != 7 else 9.0) for i in range(COUNT)]  # its worst is the first, its best number 7
BROKEN = [math.nan if i == 3 else math.inf if i == 4 else 15.0 for i in range(COUNT)]

DRIVER = """
const seen = {};
const one = (selector) => document.querySelector(selector);
const texts = (selector) => [...document.querySelectorAll(selector)].map((e) => e.textContent);
const set = (id, value) => {
  const control = document.getElementById(id);
  control.value = [...control.options].find((option) => option.text.includes(value)).value;
  control.dispatchEvent(new Event("change"));
};
const order = (metric) => texts(`.metric[data-metric="${metric}"] table.sortable tbody .method > span`);
const shown = (selector) => [...document.querySelectorAll(selector)].filter((e) => e.offsetHeight > 0);
const visible = () => shown(".metric").map((e) => e.dataset.metric);
const button = (column) => document.querySelectorAll(".metric:not([hidden]) table.sortable thead button")[column];
const click = (image) => {
  const point = one(`circle.point[data-image="${image}"]`).getBoundingClientRect();
  const [clientX, clientY] = [point.x + point.width / 2, point.y + point.height / 2];
  one("#scatter svg").dispatchEvent(new PointerEvent("pointermove", { clientX, clientY, bubbles: true }));
  seen.hovered = one("#readout").textContent;
  one("#scatter svg").dispatchEvent(new MouseEvent("click", { clientX, clientY, bubbles: true }));
};

seen.first = { visible: visible(), psnr: order("psnr_rgb") };
button(1).click();
seen.byBin = { psnr: order("psnr_rgb"), mae: order("mae"), sort: button(1).parentElement.getAttribute("aria-sort") };
button(1).click();
seen.byBinAgain = { psnr: order("psnr_rgb"), sort: button(1).parentElement.getAttribute("aria-sort") };
button(0).click();
seen.byName = { psnr: order("psnr_rgb"), told: one("#sorted").textContent, sorts: document.querySelectorAll(
  ".metric:not([hidden]) [aria-sort]").length };
set("table-metric", "mae");
seen.switched = { visible: visible() };

seen.points = document.querySelectorAll("circle.point").length;
click(7);
seen.pair = { heading: texts("#pair h4"), captions: texts("#pair figcaption"), ring: texts(".ring").length };
one("#scatter svg").dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowRight", bubbles: true }));
seen.next = texts("#pair h4");
set("scatter-x", "broken");
seen.finite = { points: document.querySelectorAll("circle.point").length, told: one("#readout").textContent };
set("scatter-bin", "10-20");
seen.inBin = document.querySelectorAll("circle.point").length;

const cases = () => texts("#cases h4");
seen.worst = cases();
set("gallery-kind", "best");
set("gallery-method", "weak");
seen.best = cases();
seen.values = texts("#cases .case:first-child figure.completed b");
set("gallery-metric", "mae");
seen.byMae = texts("#cases .case:first-child figure.completed b");
set("gallery-metric", "psnr_rgb");
set("gallery-kind", "worst");
set("gallery-method", "broken");
seen.undefined = { cases: cases(), text: one("#cases .case").textContent };
set("gallery-kind", "most different");
set("gallery-method", "strong");
set("gallery-other", "weak");
seen.different = cases();
set("gallery-kind", "random");
seen.random = cases();
one("#more button").click();
seen.more = cases().length;
while (!one("#more").hidden) one("#more button").click();
seen.all = { cases: cases().length, words: texts("#cases .values").length };
seen.all.told = one("#cases .case:has(.values)").textContent;
set("gallery-kind", "best");

seen.raw = [shown("#cases .raw").length > 0, (one("#raw").click(), shown("#cases .raw").length > 0)];
const rim = () => getComputedStyle(one("#cases .frame"), "::after").content;
seen.rim = [rim(), (one("#rim").click(), rim())];
seen.pictures = [...document.querySelectorAll("#cases img")].every((e) => e.complete && e.naturalWidth > 0);
seen.hacked = window.hacked ?? false;
seen.tooWide = document.documentElement.scrollWidth > window.innerWidth;
seen.width = window.innerWidth;

const told = document.body.appendChild(document.createElement("pre"));
told.id = "seen";
told.textContent = JSON.stringify(seen);
"""


@pytest.fixture(scope="module")
def text(tmp_path_factory) -> str:
    """The report of three methods on 40 images, 30 of them with pictures; `strong` leads, its raw output is there."""
    folder = tmp_path_factory.mktemp("results")
    hole = Image.new("L", (16, 16))
    hole.paste(255, (4, 4, 12, 12))
    original = Original(Image.new("RGB", (16, 16), "green"), Image.new("RGB", (16, 16), "red"), hole)
    results = []
    for label, psnr in (("strong", STRONG), ("weak", WEAK), ("broken", BROKEN)):
        mae = [100 / (10 + value) if math.isfinite(value) else 1.0 for value in psnr]
        write_result(folder / label, psnr, mae=mae, names=NAMES, bins=BINS, label=f"{label} {HOSTILE}")
        if label == "strong":
            (folder / label / "raw").mkdir()
            for name in NAMES:
                Image.new("RGB", (16, 16), "blue").save(folder / label / "raw" / picture_name(name))
        results.append(Result.load(folder / label))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("inpaintlab.report.cases.originals", lambda folder, names, root: dict.fromkeys(names, original))
        return html_page(tabulate(results), 30)


def browse(text: str, folder: Path, *flags: str) -> str:
    """Open the page in Chromium, with a home of its own, and return what it printed."""
    (folder / "page.html").write_text(text, encoding="utf-8")
    home = folder / "home"
    command = [str(CHROMIUM), *FLAGS, f"--user-data-dir={home}", "--virtual-time-budget=1000", *flags]
    done = subprocess.run(
        [*command, (folder / "page.html").as_uri()],
        env={"HOME": str(home), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def seen(text, tmp_path_factory) -> dict[str, Any]:
    """What the driver saw, on a narrow screen; for it alone the page's policy lets a second script run."""
    relaxed, count = re.subn(r"script-src 'sha256-[^']*'", "script-src 'unsafe-inline'", text)
    assert count == 1
    driven = relaxed.replace("</body>", f"<script>(() => {{ {DRIVER} }})();</script></body>")
    printed = browse(driven, tmp_path_factory.mktemp("driven"), "--window-size=500,900", "--dump-dom")
    found = re.search(r'<pre id="seen">(.*?)</pre>', printed, flags=re.DOTALL)
    assert found, "the driver did not come to its end"
    return json.loads(html.unescape(found[1]))


def labels(texts: list[str]) -> list[str]:
    return [text.split()[0] for text in texts]


def numbers(headings: list[str]) -> list[int]:
    return [int(re.search(r"photo (\d+)", heading)[1]) for heading in headings]  # type: ignore[index]


def test_one_metric_is_shown_at_a_time_and_another_can_be_chosen(seen):
    assert seen["first"]["visible"] == ["psnr_rgb"]
    assert seen["switched"]["visible"] == ["mae"]


def test_a_column_sorts_the_better_end_first_then_the_other_and_what_has_no_mean_stays_below(seen):
    assert labels(seen["first"]["psnr"]) == ["strong", "weak", "broken"]
    assert labels(seen["byBin"]["psnr"]) == ["strong", "weak", "broken"]
    assert seen["byBin"]["sort"] == "descending"
    assert labels(seen["byBin"]["mae"]) == ["strong", "weak", "broken"]
    assert labels(seen["byBinAgain"]["psnr"]) == ["weak", "strong", "broken"]
    assert seen["byBinAgain"]["sort"] == "ascending"


def test_methods_sort_by_name_and_the_page_says_how_it_is_sorted(seen):
    assert labels(seen["byName"]["psnr"]) == ["broken", "strong", "weak"]
    assert seen["byName"]["told"] == "sorted by method, ascending"
    assert seen["byName"]["sorts"] == 1


def test_a_point_tells_its_image_and_a_click_shows_the_pair(seen):
    assert seen["points"] == COUNT
    for words in (NAMES[7], "29.30 dB", "29.00 dB", "bin 10-20"):
        assert words in seen["hovered"]
    assert numbers(seen["pair"]["heading"]) == [7]
    shown = seen["pair"]["captions"]
    assert shown[:2] == ["original", "input"]
    assert labels(shown[2:]) == ["strong", "strong", "weak"]
    assert shown[2].endswith("29.30 dB")
    assert shown[4].endswith("29.00 dB")
    assert seen["pair"]["ring"] == 1


def test_the_arrow_keys_go_on_to_the_next_point_from_left_to_right(seen):
    across = sorted(range(COUNT), key=WEAK.__getitem__)
    assert numbers(seen["next"]) == [across[min(across.index(7) + 1, COUNT - 1)]]


def test_points_without_a_finite_value_are_left_out_and_counted(seen):
    assert seen["finite"]["points"] == COUNT - 2
    assert "undefined: 2" in seen["finite"]["told"]
    assert seen["inBin"] == 20 - 2


def test_galleries_show_the_worst_the_best_and_the_most_different_of_all_images(seen):
    assert numbers(seen["worst"]) == [39, 38, 37, 36, 35, 34]
    by_weak = sorted(range(COUNT), key=lambda i: -WEAK[i])
    assert numbers(seen["best"]) == by_weak[:6]
    apart = sorted(range(COUNT), key=lambda i: -abs(STRONG[i] - WEAK[i]))
    assert numbers(seen["different"]) == apart[:6]
    assert numbers(seen["undefined"]["cases"])[0] == 3
    assert "undefined" in seen["undefined"]["text"]
    assert len(set(numbers(seen["random"]))) == 6
    assert seen["more"] == 12


def test_captions_follow_the_chosen_metric(seen):
    assert seen["values"] == ["29.30 dB", "29.00 dB", "15.00 dB"]
    best_by_mae = min(range(COUNT), key=lambda i: 100 / (10 + WEAK[i]))
    assert seen["byMae"] == [f"{100 / (10 + psnr[best_by_mae]):.4f}" for psnr in (STRONG, WEAK, BROKEN)]


def test_images_without_pictures_in_the_page_are_told_by_their_file(seen):
    assert (seen["all"]["cases"], seen["all"]["words"]) == (COUNT, COUNT - 30)
    (without,) = numbers([seen["all"]["told"]])
    for words in (f"completed/{picture_name(NAMES[without])}", f"{STRONG[without]:.2f} dB", f"{WEAK[without]:.2f} dB"):
        assert words in seen["all"]["told"]


def test_raw_output_and_the_holes_outline_can_be_flipped(seen):
    assert seen["raw"] == [False, True]
    assert seen["rim"] == ["none", '""']


def test_hostile_names_run_nothing_even_without_the_policy(seen):
    assert seen["hacked"] is False


def test_the_page_is_not_wider_than_a_phone(seen):
    assert seen["width"] <= 500
    assert not seen["tooWide"]


def test_the_page_alone_runs_its_script_under_its_policy(text, tmp_path):
    printed = browse(text, tmp_path, "--dump-dom")
    assert re.search(r'<div class="metric" data-metric="mae" hidden', printed)
    assert '<section id="scatter">' in printed


@pytest.mark.parametrize(("scheme", "ground"), [(1, (255, 255, 255)), (0, (20, 23, 26))], ids=["light", "dark"])
def test_a_screenshot_is_a_page_in_the_readers_colours(text, tmp_path, scheme, ground):
    setting = f"--blink-settings=preferredColorScheme={scheme}"
    browse(text, tmp_path, setting, "--window-size=1280,1600", f"--screenshot={tmp_path / 'page.png'}")
    with Image.open(tmp_path / "page.png") as picture:
        pixels = np.asarray(picture.convert("RGB")).reshape(-1, 3)
    colours, counts = np.unique(pixels, axis=0, return_counts=True)
    assert tuple(colours[counts.argmax()]) == ground
    assert counts.max() < 0.97 * counts.sum()
    for look in looks(f"{label} {HOSTILE}" for label in ("strong", "weak", "broken")).values():
        assert (pixels == ImageColor.getrgb(look.colour)).all(axis=1).sum() > 20
