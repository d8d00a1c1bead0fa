"""The page in a browser, as a user would use it: load, paint, edit an edge, complete, compare, download."""

import io
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from skimage import data

from inpaintlab.models import OpenCVInpainting
from inpaintlab.programs import load
from inpaintlab.web import Log, Offered, Study, read_contender
from stand_ins.served import Painter, Served, encoded, offered, served

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")]
PHOTO = data.astronaut()[:200, 100:340]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def running() -> Iterator[Served]:
    method = load("starter-edgeconnect", device="cpu")
    methods = {"edgeconnect": Offered("edgeconnect", method.inpainter)}
    with served(methods | offered(telea=OpenCVInpainting(method="telea", radius=3))) as server:
        yield server


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "my photo.png"
    path.write_bytes(encoded(PHOTO))
    return path


class Page:
    """A page, its pointer in the photograph's pixels, and whatever it asked of others or complained of."""

    def __init__(self, browser: Any, url: str, **options: Any) -> None:
        self.context = browser.new_context(accept_downloads=True, **options)
        self.page = self.context.new_page()
        self.faults: list[str] = []
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("console", lambda line: self.faults.append(line.text) if line.type == "error" else None)
        self.page.on("request", lambda one: None if one.url.startswith((url, "blob:")) else self.faults.append(one.url))
        self.page.goto(url)
        self.page.wait_for_selector("html[data-ready]")

    def load(self, photo: Path) -> None:
        self.page.set_input_files("#file", str(photo))
        self.says("Paint what is to be filled")

    def says(self, text: str) -> None:
        from playwright.sync_api import expect

        expect(self.page.locator("#status")).to_contain_text(text, timeout=60_000)

    def drag(self, *points: tuple[float, float], keys: tuple[str, ...] = ()) -> None:
        """Over the photograph, which the page fits into its canvas with a rim of 14 pixels; ``keys`` on the way."""
        box = self.page.locator("#canvas").bounding_box()
        scale = min((box["width"] - 28) / PHOTO.shape[1], (box["height"] - 28) / PHOTO.shape[0], 8)
        left = box["x"] + (box["width"] - PHOTO.shape[1] * scale) / 2
        top = box["y"] + (box["height"] - PHOTO.shape[0] * scale) / 2
        mouse = self.page.mouse
        mouse.move(left + points[0][0] * scale, top + points[0][1] * scale)
        mouse.down()
        for key in keys:
            self.page.keyboard.press(key)
        for x, y in points[1:]:
            mouse.move(left + x * scale, top + y * scale, steps=4)
        mouse.up()

    def downloaded(self, text: str) -> bytes:
        with self.page.expect_download() as waiting:
            self.page.locator("#downloads a", has_text=text).click()
        self.name = waiting.value.suggested_filename
        return Path(waiting.value.path()).read_bytes()

    def close(self) -> None:
        self.context.close()
        assert self.faults == []


def picture(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content)))


def test_a_user_paints_edits_an_edge_completes_compares_and_downloads(
    browser: Any, running: Served, photo: Path, tmp_path: Path
) -> None:
    at = Page(browser, running.url, viewport={"width": 1200, "height": 800})
    page = at.page
    assert "4 million pixels" in page.inner_text("#limits")
    at.load(photo)
    page.focus("#tool-brush")
    page.keyboard.press("ArrowLeft")  # round to the last one
    assert page.evaluate("document.activeElement.id") == "tool-eraser"
    page.keyboard.press("ArrowLeft")
    assert page.locator("#tool-rectangle").get_attribute("aria-checked") == "true"
    at.drag((60, 70), (110, 120))
    at.drag((150, 20), (180, 40), keys=("Control+z", "2", "b"))  # nothing, before it is painted
    assert page.locator("#panel-hole").is_visible()
    page.keyboard.press("Control+z")
    page.keyboard.press("Control+Shift+Z")
    page.keyboard.press("Control+z")  # the second rectangle is gone

    page.click("#tab-edges")
    at.says("Edges in")  # without being asked
    at.drag((62, 95), (108, 95))
    assert "Your edges are used" in page.inner_text("#edges-text")

    page.click("#complete")
    at.says("Completed with 2 methods")
    captions = page.locator("#grid figcaption").all_inner_texts()
    assert [caption.split("\n")[0] for caption in captions] == ["photograph", "edgeconnect", "telea"]
    assert all(caption.strip().endswith(" s") for caption in captions[1:])

    hole = picture(at.downloaded("the mask")) > 0
    assert at.name == "my photo-mask.png"
    expected = np.zeros(hole.shape, bool)
    expected[70:120, 60:110] = True
    assert (hole != expected).sum() <= 2 * (50 + 52)  # a pixel of the screen is less than one of the photograph
    edges = picture(at.downloaded("the edges"))
    assert (edges[94:97, 65:105].max(axis=0) > 200).all()
    for name in ("edgeconnect", "telea"):
        result = picture(at.downloaded(name))
        np.testing.assert_array_equal(result[~hole], PHOTO[~hole])
        assert (result[hole] != PHOTO[hole]).any()
    case = zipfile.ZipFile(io.BytesIO(at.downloaded("the case")))
    assert case.read("case/photographs/photograph.png") == photo.read_bytes()
    np.testing.assert_array_equal(picture(case.read("case/edges/photograph.png")), edges)

    page.click("#view-slider")
    assert page.locator("#slider-right").input_value() != ""
    before = page.locator("#slider-over").evaluate("image => getComputedStyle(image).clipPath")
    page.locator("#slider-at").focus()
    page.keyboard.press("End")
    assert page.locator("#slider-over").evaluate("image => getComputedStyle(image).clipPath") != before
    page.click("#view-blind")
    page.locator("#choose-left:not([disabled])").wait_for()
    assert page.inner_text("#blind-told") == ""
    page.keyboard.press("ArrowRight")
    page.locator("#blind-told", has_text="You said").wait_for()
    assert sorted(name in page.inner_text("#blind-told") for name in ("edgeconnect", "telea")) == [True, True]
    late: list[Any] = []
    page.route("**/pairs/*/left.png", lambda route: late.append(route))
    with page.expect_request("**/pairs/*/left.png"):
        page.click("#blind-again")
    page.keyboard.press("ArrowRight")  # of a pair that nobody has seen
    assert page.locator("#blind-right").evaluate("image => getComputedStyle(image).visibility") == "hidden"
    late[0].continue_()
    page.locator("#choose-left:not([disabled])").wait_for()
    assert page.inner_text("#blind-told") == ""

    page.click("#tab-hole")
    page.locator("#methods input[value=edgeconnect]").uncheck()
    page.click("#complete")
    at.says("Completed with one method")
    assert page.locator("#grid").is_visible()  # one method leaves nothing to choose from
    assert page.locator("#blind-left").get_attribute("src") is None
    page.locator("#grid button", has_text="Go on with this").click()
    at.says("Paint what is to be filled")
    assert page.locator("#complete").is_disabled()

    visits = len(running.server.hall.visits)
    page.goto("about:blank")
    page.wait_for_timeout(300)
    assert len(running.server.hall.visits) == visits - 1  # who leaves leaves nothing
    at.faults = [fault for fault in at.faults if fault != "about:blank"]
    at.close()


def _with_a_long_note(route: Any) -> None:
    """A job's answer as for a large photograph."""
    answer = route.fetch()
    job = answer.json()
    for one in job["results"]:
        one["notes"] = ["completed in a window, because the whole image takes more memory than there is " * 4]
    route.fulfill(response=answer, json=job)


def test_a_narrow_screen_has_all_of_it_within_its_width(
    browser: Any, running: Served, photo: Path, tmp_path: Path
) -> None:
    at = Page(
        browser,
        running.url,
        viewport={"width": 360, "height": 740},
        has_touch=True,
        is_mobile=True,
        color_scheme="dark",
    )
    page = at.page
    assert page.evaluate_handle("document.documentElement.dataset").get_property("theme").json_value() == "dark"
    at.load(photo)
    for tab in ("edges", "results", "hole"):
        page.tap(f"#tab-{tab}")
        assert page.locator("body").evaluate("body => body.scrollWidth") <= 360
    for button in ("#tool-brush", "#undo", "#complete", "#open", "#zoom-in"):
        box = page.locator(button).bounding_box()
        assert box["height"] >= 40, button  # a finger's width
        assert 0 <= box["x"] <= 360 - box["width"], button
    assert page.evaluate("scrollY") == 0
    (tmp_path / "text.png").write_text("no picture")
    page.set_input_files("#file", str(tmp_path / "text.png"))
    at.says("The photograph is no picture that can be read")
    for one in ("#complete", "#status"):  # without scrolling
        box = page.locator(one).bounding_box()
        assert 0 < box["y"] <= 740 - box["height"], one
    at.drag((60, 60), (120, 100))
    page.locator("#methods input[value=edgeconnect]").uncheck()
    page.route("**/jobs/*", _with_a_long_note)
    page.tap("#complete")
    at.says("Completed with one method")
    assert page.locator("#view-blind").is_disabled()
    shown = [image.bounding_box() for image in page.locator("#grid img").all()]
    assert len(shown) == 2
    for box in shown:  # as wide as the screen, whatever is told below
        assert box["width"] > 300
        assert box["height"] == pytest.approx(box["width"] * PHOTO.shape[0] / PHOTO.shape[1], abs=2)
    assert "because the whole image" in page.locator("#grid details").inner_html()
    at.faults = [fault for fault in at.faults if "400 (Bad Request)" not in fault]
    at.close()


def test_pictures_come_in_by_paste_and_drop_and_masks_from_files(
    browser: Any, running: Served, photo: Path, tmp_path: Path
) -> None:
    at = Page(browser, running.url)
    page = at.page
    page.evaluate(
        """([content, kind]) => {
            const bytes = Uint8Array.from(atob(content), (one) => one.charCodeAt(0)), data = new DataTransfer();
            data.items.add(new File([bytes], "photo.png", { type: "image/png" }));
            document.dispatchEvent(kind === "paste" ? new ClipboardEvent("paste", { clipboardData: data })
                : new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true }));
        }""",
        [_base64(photo.read_bytes()), "paste"],
    )
    at.says("Paint what is to be filled")
    mask = np.zeros(PHOTO.shape[:2], np.uint8)
    mask[50:90, 30:80] = 255
    (tmp_path / "mask.png").write_bytes(encoded(mask))
    page.click("#panel-hole summary")
    page.set_input_files("#mask-file", str(tmp_path / "mask.png"))
    at.says("A mask with a hole of 4.2 %")
    page.locator("#numbers [name=x]").fill("100")
    page.locator("#numbers [name=y]").fill("10")
    page.click("#numbers button")
    page.keyboard.press("i")
    page.keyboard.press("i")
    page.locator("#methods input[value=edgeconnect]").uncheck()
    page.check("#blend")
    page.click("#complete")
    at.says("Completed")
    mask[10:74, 100:164] = 255
    np.testing.assert_array_equal(picture(at.downloaded("the mask")) > 0, mask > 0)
    at.close()


def test_a_server_that_has_forgotten_the_visit_gets_the_photograph_again(
    browser: Any, running: Served, photo: Path
) -> None:
    at = Page(browser, running.url)
    at.load(photo)
    at.drag((60, 60), (120, 100))
    visits = running.server.hall.visits
    for name in list(visits._visits):
        visits.close(name)
    at.page.locator("#methods input[value=edgeconnect]").uncheck()
    at.page.click("#complete")
    at.says("Completed")
    hole = picture(at.downloaded("the mask")) > 0
    np.testing.assert_array_equal(picture(at.downloaded("telea"))[~hole], PHOTO[~hole])
    for name in list(visits._visits):
        visits.close(name)
    at.page.set_input_files("#file", str(photo))
    at.page.click("text=A new photograph")
    at.says("Paint what is to be filled")
    at.faults = [fault for fault in at.faults if "404 (Not Found)" not in fault]
    at.close()


def test_a_photograph_larger_than_the_screen_is_painted_and_completed_in_its_own_pixels(
    browser: Any, running: Served, tmp_path: Path
) -> None:
    large = np.tile(PHOTO, (2, 11, 1))[:300, :2600]
    (tmp_path / "large.png").write_bytes(encoded(large))
    at = Page(browser, running.url)
    at.load(tmp_path / "large.png")
    at.page.click("#panel-hole summary")
    for name, value in {"x": 2001, "y": 20, "width": 101, "height": 51}.items():
        at.page.locator(f"#numbers [name={name}]").fill(str(value))
    at.page.click("#numbers button")
    at.page.locator("#methods input[value=edgeconnect]").uncheck()
    at.page.click("#complete")
    at.says("Completed")
    hole = np.zeros(large.shape[:2], bool)
    hole[20:71, 2001:2102] = True
    np.testing.assert_array_equal(picture(at.downloaded("the mask")) > 0, hole)
    np.testing.assert_array_equal(picture(at.downloaded("telea"))[~hole], large[~hole])
    shown = at.page.locator("#grid img").nth(1)
    assert shown.evaluate("image => image.decode().then(() => image.naturalWidth)") == 2048
    at.close()


def test_a_mistake_is_told_on_the_page_and_a_job_can_be_cancelled(browser: Any, photo: Path, tmp_path: Path) -> None:
    slow = Painter(steps=1000)
    slow.go.clear()
    with served(offered(slow=slow), most_pixels=60_000, most_bytes=200_000) as server:
        at = Page(browser, server.url)
        (tmp_path / "text.png").write_text("no picture")
        at.page.set_input_files("#file", str(tmp_path / "text.png"))
        at.says("The photograph is no picture that can be read")
        (tmp_path / "big.png").write_bytes(encoded(np.zeros((400, 400), np.uint8)))
        at.page.set_input_files("#file", str(tmp_path / "big.png"))
        at.says("400 x 400 pixels; 60,000 are the most here")
        at.load(photo)
        assert at.page.locator("#complete").is_disabled()
        at.drag((60, 60), (120, 100))
        at.page.keyboard.press("Enter")
        at.says("slow…")
        at.page.keyboard.press("Escape")
        slow.go.set()
        at.says("Cancelled")
        at.faults = [fault for fault in at.faults if "400 (Bad Request)" not in fault]
        at.close()


def test_a_browser_comes_in_by_the_printed_address_or_by_typing_the_token(browser: Any) -> None:
    token = "a-token-that-nobody-guesses"
    with served(offered(grey=Painter()), host="0.0.0.0", token=token) as server:
        for come_in in (lambda page: page.goto(f"{server.url}/?token={token}"), lambda page: _type_token(page, token)):
            context = browser.new_context()
            page = context.new_page()
            page.goto(server.url)
            assert "the server printed" in page.inner_text("main")
            come_in(page)
            page.wait_for_selector("html[data-ready]")
            assert page.url == f"{server.url}/"  # the token is not seen in the address, nor kept in the history
            context.close()


def _type_token(page: Any, token: str) -> None:
    page.fill("input[name=token]", token)
    page.click("button")


def test_a_participant_goes_through_a_study(browser: Any, tmp_path: Path) -> None:
    for label, grey in (("dark", 50), ("bright", 200)):
        (tmp_path / label).mkdir()
        for case in ("a", "b", "c", "d"):
            Image.new("RGB", (80, 60), (grey,) * 3).save(tmp_path / label / f"{case}.png")
    log = Log(tmp_path / "choices.csv")
    study = Study([read_contender(tmp_path / label) for label in ("dark", "bright")], log, 1)
    with served({}, study=study) as server:
        context = browser.new_context()
        page = context.new_page()
        page.goto(server.url)
        page.fill("#participant", "P 1")
        page.click("text=Begin")
        page.locator("#choose-left:not([disabled])").wait_for()
        assert page.inner_text("#count") == "1 of 4"
        page.keyboard.press("Alt+ArrowLeft")  # the browser's own
        for _ in range(20):  # held: one choice
            page.keyboard.down("ArrowLeft")
        page.keyboard.up("ArrowLeft")
        page.locator("text=2 of 4").wait_for()

        late: list[Any] = []
        page.route("**/trials/2/left.png", lambda route: late.append(route))
        with page.expect_request("**/trials/2/left.png"):
            page.locator("#choose-same:not([disabled])").click()
        page.keyboard.press("ArrowRight")  # of a pair that nobody has seen
        assert page.locator("#right").evaluate("image => getComputedStyle(image).visibility") == "hidden"
        late[0].continue_()
        page.locator("#choose-left:not([disabled])").wait_for()
        assert page.inner_text("#count") == "3 of 4"

        page.route("**/trials/2", lambda route: (route.fetch(), route.abort()), times=1)  # the answer is lost
        page.keyboard.press("ArrowRight")
        page.locator("text=The server does not answer").wait_for()
        page.keyboard.press("ArrowDown")  # another choice than the one that was logged
        page.locator("text=4 of 4").wait_for()
        page.reload()
        page.locator("#choose-right:not([disabled])").click()
        page.locator("text=Thank you").wait_for()
        page.reload()
        assert page.locator("text=Begin").is_visible()  # the next participant
        context.close()
    rows = (tmp_path / "choices.csv").read_text().splitlines()
    assert [row.split(",")[6] for row in rows[1:]] == ["left", "same", "right", "right"]
    assert all(row.split(",")[2] == "P 1" for row in rows[1:])


def _base64(content: bytes) -> str:
    import base64

    return base64.b64encode(content).decode()
