"""A visit through its documented interface: a photograph, its hole, edges, jobs, results, and the end of it."""

import io
import json
import random
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from inpaintlab.web.jobs import MOST_OF_A_VISIT
from stand_ins.served import Painter, Served, Visitor, encoded, offered, pixels, served

RNG = np.random.default_rng(3)
PHOTO = RNG.integers(0, 256, (24, 40, 3), np.uint8)
HOLE = np.zeros((24, 40), bool)
HOLE[6:14, 10:25] = True


@pytest.fixture(scope="module")
def running() -> Iterator[Served]:
    with served(offered(dark=Painter(0.2), bright=Painter(0.8))) as server:
        yield server


@pytest.fixture
def visitor(running: Served) -> Iterator[Visitor]:
    with running.client() as client:
        here = Visitor(client)
        yield here
        client.delete(here.path)


def ready(visitor: Visitor, photo: bytes | None = None, hole: np.ndarray = HOLE) -> None:
    assert visitor.put("photograph", photo or encoded(PHOTO)).status_code == 200
    assert visitor.put("mask", encoded(hole)).status_code == 200


def test_the_limits_and_the_methods_are_told_before_anything_is_sent(running: Served) -> None:
    with running.client() as client:
        about = client.get("/api/about").json()
    assert [one["method"] for one in about["methods"]] == ["dark", "bright"]
    assert (about["most_pixels"], about["most_bytes"], about["keeps"]) == (4_000_000, 8_000_000, False)


def test_each_address_of_the_interface_is_described(running: Served) -> None:
    with running.client() as client:
        description = client.get("/openapi.json").json()
    told = {(path, verb): one for path, verbs in description["paths"].items() for verb, one in verbs.items()}
    assert len(told) == 19
    assert [key for key, one in told.items() if not one.get("description")] == []
    puts = [one for (_, verb), one in told.items() if verb == "put"]
    assert all("requestBody" in one for one in puts)


def test_known_pixels_come_back_untouched_and_the_hole_is_filled(visitor: Visitor) -> None:
    ready(visitor)
    job = visitor.run("complete", "dark", "bright")
    assert [one["method"] for one in job["results"]] == ["dark", "bright"]
    for one, grey in zip(job["results"], (51, 204), strict=True):
        result = visitor.result(one["result"])
        np.testing.assert_array_equal(result[~HOLE], PHOTO[~HOLE])
        assert (result[HOLE] == grey).all()
        assert one["seconds"] >= 0


@pytest.mark.parametrize("mode", ["L", "RGBA", "LA", "P", "I;16"])
def test_a_result_has_the_photographs_own_mode_and_depth(visitor: Visitor, mode: str) -> None:
    if mode == "I;16":
        photo = Image.fromarray((PHOTO[..., 0].astype(np.uint16) << 8) + 7)
    else:
        photo = Image.fromarray(PHOTO).convert(mode)
    ready(visitor, encoded(photo))
    job = visitor.run("complete", "dark")
    result = Image.open(io.BytesIO(visitor.get(f"results/{job['results'][0]['result']}.png").content))
    assert result.mode == ("RGB" if mode == "P" else mode)
    before = photo.convert("RGB") if mode == "P" else photo
    np.testing.assert_array_equal(np.asarray(result)[~HOLE], np.asarray(before)[~HOLE])


def test_a_photograph_is_turned_as_its_exif_data_say(visitor: Visitor) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise
    answer = visitor.put("photograph", encoded(PHOTO, exif=exif.tobytes())).json()
    assert (answer["width"], answer["height"]) == (24, 40)
    turned = np.rot90(PHOTO, -1)
    np.testing.assert_array_equal(pixels(visitor.get("photograph").content), turned)
    hole = np.rot90(HOLE, -1)
    assert visitor.put("mask", encoded(np.ascontiguousarray(hole))).status_code == 200
    result = visitor.result(visitor.run("complete", "dark")["results"][0]["result"])
    np.testing.assert_array_equal(result[~hole], turned[~hole])


def test_what_is_shown_may_be_smaller_and_what_is_downloaded_is_whole(visitor: Visitor) -> None:
    ready(visitor)
    name = visitor.run("complete", "dark")["results"][0]["result"]
    assert pixels(visitor.get("photograph", longest="20").content).shape == (12, 20, 3)
    assert pixels(visitor.get(f"results/{name}.png", longest="20").content).shape == (12, 20, 3)
    assert visitor.result(name).shape == (24, 40, 3)


def test_a_mask_of_any_common_kind_is_taken_and_comes_back_white_on_black(visitor: Visitor) -> None:
    visitor.put("photograph", encoded(PHOTO))
    drawn = np.zeros((24, 40, 4), np.uint8)
    drawn[HOLE] = (255, 0, 0, 255)
    kinds = {
        "one bit": (encoded(HOLE), "white"),
        "grey": (encoded(HOLE.astype(np.uint8) * 255), "white"),
        "inverted": (encoded(~HOLE), "black"),
        "a red drawing on a transparent ground": (encoded(drawn), "white"),
    }
    for content, colour in kinds.values():
        answer = visitor.put("mask", content, hole=colour)
        assert answer.json()["hole_ratio"] == pytest.approx(HOLE.mean())
        np.testing.assert_array_equal(pixels(visitor.get("mask.png").content) > 0, HOLE)
    layer = pixels(visitor.get("mask.png", transparent="true").content)
    np.testing.assert_array_equal(layer[..., 1] > 0, HOLE)


BOMB = Image.new("1", (10_000, 10_000))
"""100 megapixels in 12 kB."""


@pytest.mark.parametrize(
    ("what", "content", "status"),
    [
        ("photograph", b"GIF89a not really", 400),
        ("photograph", b"<svg xmlns='http://www.w3.org/2000/svg'/>", 400),
        ("photograph", b"", 400),
        ("photograph", encoded(PHOTO)[:200], 400),
        ("photograph", encoded(BOMB), 400),
        ("mask", encoded(np.zeros((24, 41), np.uint8)), 400),
        ("mask", encoded(np.zeros((40, 24), np.uint8)), 400),
        ("mask", encoded(PHOTO), 400),
        ("mask", encoded(BOMB), 400),
        ("mask", b"text", 400),
        ("edges", encoded(np.zeros((23, 40), np.uint8)), 400),
        ("edges", b"text", 400),
    ],
    ids=lambda value: str(value)[:12],
)
def test_a_wrong_file_is_refused_in_one_sentence(visitor: Visitor, what: str, content: bytes, status: int) -> None:
    visitor.put("photograph", encoded(PHOTO))
    answer = visitor.put(what, content)
    assert answer.status_code == status, answer.text
    told = answer.json()["detail"]
    assert told.endswith(".")
    assert "\n" not in told
    assert "max_pixels" not in told  # a setting that no visitor has


def test_pixels_are_counted_before_they_are_decoded(visitor: Visitor) -> None:
    answer = visitor.put("photograph", encoded(BOMB))
    assert "10,000 x 10,000" in answer.json()["detail"]
    assert "4,000,000" in answer.json()["detail"]


@pytest.mark.parametrize("what", ["mask", "edges"])
def test_what_belongs_to_a_photograph_comes_after_it(visitor: Visitor, what: str) -> None:
    assert visitor.put(what, encoded(HOLE)).status_code == 409
    assert visitor.get(f"{what}.png").status_code == 409
    assert visitor.order("complete", "dark").status_code == 409


def test_a_job_needs_a_hole_and_known_methods(visitor: Visitor) -> None:
    visitor.put("photograph", encoded(PHOTO))
    assert visitor.order("complete", "dark").status_code == 409
    visitor.put("mask", encoded(HOLE))
    assert visitor.order("complete", "nobody").status_code == 400
    assert visitor.order("complete", "dark", "dark").status_code == 400
    assert visitor.order("complete").status_code == 422
    assert visitor.order("edges", "dark").status_code == 409  # it knows none


def test_a_photograph_that_is_all_hole_fails_in_one_sentence(visitor: Visitor) -> None:
    ready(visitor, hole=np.ones((24, 40), bool))
    job = visitor.run("complete", "dark")
    assert job["state"] == "failed"
    assert job["error"].endswith(".")


def test_a_new_photograph_lets_go_of_all_that_belonged_to_the_old_one(visitor: Visitor) -> None:
    ready(visitor)
    name = visitor.run("complete", "dark")["results"][0]["result"]
    visitor.put("photograph", encoded(PHOTO[:10]))
    assert visitor.get("mask.png").status_code == 404
    assert visitor.get(f"results/{name}.png").status_code == 404
    assert visitor.order("complete", "dark").status_code == 409


def test_what_becomes_ready_after_another_photograph_came_is_not_shown_for_it() -> None:
    slow = Painter()
    slow.go.clear()
    with served(offered(slow=slow)) as server, server.client() as client:
        visitor = Visitor(client)
        ready(visitor)
        job = visitor.order("complete", "slow").json()["job"]
        visitor.wait(job, "running")
        ready(visitor, encoded(PHOTO[::-1].copy()))
        slow.go.set()
        made = visitor.wait(job)["results"][0]["result"]
        assert visitor.get(f"results/{made}.png").status_code == 404
        case = zipfile.ZipFile(io.BytesIO(visitor.get("case.zip").content))
        assert [name for name in case.namelist() if "results" in name] == []


def test_nothing_is_left_after_a_visit(running: Served, visitor: Visitor) -> None:
    ready(visitor)
    before = len(running.server.hall.visits)
    assert visitor.client.delete(visitor.path).status_code == 204
    assert len(running.server.hall.visits) == before - 1
    assert visitor.get("photograph").status_code == 404


def test_a_visit_without_requests_is_forgotten() -> None:
    with served(offered(dark=Painter()), minutes=0.001) as server, server.client() as client:
        visitor = Visitor(client)
        threading.Event().wait(0.2)
        assert visitor.get("photograph").status_code == 404
        assert len(server.server.hall.visits) == 0


def test_nothing_is_written_anywhere_unless_the_owner_keeps_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with served(offered(dark=Painter(), bright=Painter())) as server, server.client() as client:
        visitor = Visitor(client)
        ready(visitor)
        visitor.run("complete", "dark", "bright")
        pair = client.post(f"{visitor.path}/pairs", json={}).json()["pair"]
        client.post(f"{visitor.path}/pairs/{pair}", json={"chosen": "left"})
        visitor.get("case.zip")
    assert list(tmp_path.iterdir()) == []


def test_the_owner_can_keep_cases_and_choices(tmp_path: Path) -> None:
    with served(offered(dark=Painter(), bright=Painter()), keep=tmp_path / "kept") as server, server.client() as client:
        visitor = Visitor(client)
        ready(visitor)
        for _ in range(2):
            visitor.run("complete", "dark", "bright")
        pair = client.post(f"{visitor.path}/pairs", json={}).json()["pair"]
        client.post(f"{visitor.path}/pairs/{pair}", json={"chosen": "left", "seconds": 1.5})
        about = client.get("/api/about").json()
    assert about["keeps"]
    cases = sorted(path for path in (tmp_path / "kept").iterdir() if path.is_dir())
    assert len(cases) == 2
    assert (cases[0] / "photographs" / "photograph.png").read_bytes() == encoded(PHOTO)
    assert json.loads((cases[1] / "case.json").read_text())["results"][1]["method"] == "bright"
    rows = (tmp_path / "kept" / "choices.csv").read_text().splitlines()
    assert len(rows) == 2
    assert rows[1].endswith(",1.50,")
    # the choice is one between the results of the second case
    assert rows[1].split(",")[3] == cases[1].name == json.loads((cases[1] / "case.json").read_text())["case"]


def test_a_choice_that_cannot_be_logged_is_told_in_one_sentence_and_can_be_made_again(tmp_path: Path) -> None:
    log = tmp_path / "choices.csv"
    with served(offered(dark=Painter(), bright=Painter()), keep=tmp_path) as server, server.client() as client:
        visitor = Visitor(client)
        ready(visitor)
        visitor.run("complete", "dark", "bright")
        pair = client.post(f"{visitor.path}/pairs", json={}).json()["pair"]
        log.mkdir()  # where the file should be
        answer = client.post(f"{visitor.path}/pairs/{pair}", json={"chosen": "left"})
        assert answer.status_code == 507
        assert answer.json()["detail"].endswith(".")
        assert str(tmp_path) not in answer.text
        assert str(log) in server.lines[0]
        assert len(visitor.get("choices.csv").text.splitlines()) == 1
        log.rmdir()
        assert client.post(f"{visitor.path}/pairs/{pair}", json={"chosen": "left"}).status_code == 200
    assert len(log.read_text().splitlines()) == 2


# -------------------------------------------------------------------------------------------------------- one queue


def test_one_job_runs_at_a_time_and_each_hears_its_place() -> None:
    slow = Painter(steps=2)
    slow.go.clear()
    with served(offered(slow=slow)) as server, server.client() as client:
        visitors = [Visitor(client) for _ in range(3)]
        jobs = []
        for visitor in visitors:
            ready(visitor)
            jobs.append(visitor.order("complete", "slow").json()["job"])
        first = visitors[0].wait(jobs[0], "running")
        assert (first["method"], first["place"]) == ("slow", 0)
        places = [
            visitor.client.get(f"{visitor.path}/jobs/{job}").json() for visitor, job in zip(visitors, jobs, strict=True)
        ]
        assert [(one["state"], one["place"]) for one in places] == [("running", 0), ("waiting", 1), ("waiting", 2)]
        assert client.delete(f"{visitors[1].path}/jobs/{jobs[1]}").json()["state"] == "cancelled"
        assert client.get(f"{visitors[2].path}/jobs/{jobs[2]}").json()["place"] == 1
        slow.go.set()
        assert visitors[2].wait(jobs[2])["state"] == "done"
        assert visitors[1].wait(jobs[1])["state"] == "cancelled"


def test_a_running_job_ends_at_its_next_word_when_it_is_cancelled() -> None:
    slow = Painter(steps=1000)
    slow.go.clear()
    with served(offered(slow=slow, dark=Painter(0.2))) as server, server.client() as client:
        visitor = Visitor(client)
        ready(visitor)
        job = visitor.order("complete", "slow", "dark").json()["job"]
        visitor.wait(job, "running")
        client.delete(f"{visitor.path}/jobs/{job}")
        slow.go.set()
        over = visitor.wait(job)
        assert (over["state"], over["results"]) == ("cancelled", [])
        assert over["share"] < 1
        assert visitor.run("complete", "dark")["state"] == "done"  # the queue goes on


def test_who_leaves_cancels_what_was_ordered() -> None:
    slow = Painter(steps=1000)
    slow.go.clear()
    with served(offered(slow=slow)) as server, server.client() as client:
        one, other = Visitor(client), Visitor(client)
        for visitor in (one, other):
            ready(visitor)
        one.wait(one.order("complete", "slow").json()["job"], "running")
        job = other.order("complete", "slow").json()["job"]
        client.delete(one.path)
        slow.steps = 1
        slow.go.set()
        assert other.wait(job)["state"] == "done"


def test_a_visitor_has_few_jobs_at_a_time() -> None:
    slow = Painter()
    slow.go.clear()
    with served(offered(slow=slow)) as server, server.client() as client:
        visitor = Visitor(client)
        ready(visitor)
        answers = [visitor.order("complete", "slow") for _ in range(MOST_OF_A_VISIT + 1)]
        assert [answer.status_code for answer in answers] == [202] * MOST_OF_A_VISIT + [429]
        slow.go.set()


def test_a_method_that_fails_is_told_to_the_owner_and_the_next_job_runs() -> None:
    class Broken(Painter):
        def fill(self, image: np.ndarray, hole: np.ndarray) -> np.ndarray:
            raise KeyError("/home/owner/secret")

    with served(offered(broken=Broken(), dark=Painter())) as server, server.client() as client:
        visitor = Visitor(client)
        ready(visitor)
        job = visitor.run("complete", "broken")
        assert job["state"] == "failed"
        assert "secret" not in job["error"]
        assert "secret" in server.lines[0]
        assert visitor.run("complete", "dark")["state"] == "done"


def test_fifty_requests_at_once_are_all_answered(running: Served) -> None:
    statuses = []

    def visit() -> None:
        with running.client() as client:
            visitor = Visitor(client)
            statuses.append(visitor.put("photograph", encoded(PHOTO)).status_code)
            statuses.append(visitor.put("mask", encoded(HOLE)).status_code)
            statuses.append(200 if visitor.run("complete", "dark")["state"] == "done" else 0)
            client.delete(visitor.path)

    threads = [threading.Thread(target=visit) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [200] * 150


# ----------------------------------------------------------------------------------------------------- what goes out


def test_a_choice_is_blind_until_it_is_made(visitor: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    coin = random.Random(1)
    monkeypatch.setattr("inpaintlab.web.visits.random.SystemRandom", lambda: coin)
    ready(visitor)
    visitor.run("complete", "dark", "bright")
    sides = set()
    for _ in range(5):
        pair = visitor.client.post(f"{visitor.path}/pairs", json={}).json()["pair"]
        pictures = {side: visitor.get(f"pairs/{pair}/{side}.png").content for side in ("left", "right")}
        assert all(Image.open(io.BytesIO(content)).info == {} for content in pictures.values())
        truth = {side: {51: "dark", 204: "bright"}[pixels(content)[HOLE][0, 0]] for side, content in pictures.items()}
        told = visitor.client.post(f"{visitor.path}/pairs/{pair}", json={"chosen": "right", "seconds": 2}).json()
        assert told == truth
        sides.add(told["left"])
        again = visitor.client.post(f"{visitor.path}/pairs/{pair}", json={"chosen": "right", "seconds": 2.5})
        assert again.json() == truth  # of which the first answer may have been lost
        again = visitor.client.post(f"{visitor.path}/pairs/{pair}", json={"chosen": "left"})
        assert again.status_code == 409  # nobody chooses anew after the answer
    assert sides == {"dark", "bright"}
    rows = visitor.get("choices.csv").text.splitlines()
    assert len(rows) == 6
    assert all(row.split(",")[6:8] == ["right", row.split(",")[5]] for row in rows[1:])


def test_two_results_are_needed_for_a_choice(visitor: Visitor) -> None:
    ready(visitor)
    visitor.run("complete", "dark")
    assert visitor.client.post(f"{visitor.path}/pairs", json={}).status_code == 409


def test_the_case_has_the_photographs_own_bytes_and_safe_names() -> None:
    info = PngInfo()
    info.add_text("Author", "somebody")
    content = encoded(PHOTO, pnginfo=info)
    names = {
        "../up": Painter(),
        "A": Painter(),
        "a": Painter(),
        "con/..": Painter(),
        "CON": Painter(),
        "lpt1.x": Painter(),
        "console": Painter(),
    }
    with served(offered(**names)) as server, server.client() as client:
        visitor = Visitor(client)
        ready(visitor, content)
        visitor.run("complete", *names)
        answer = visitor.get("case.zip")
    archive = zipfile.ZipFile(io.BytesIO(answer.content))
    assert archive.read("case/photographs/photograph.png") == content
    folders = [Path(name).parts for name in archive.namelist() if "/results/" in name]
    assert len({parts[2].lower() for parts in folders}) == len(names)
    # no file of Windows may be called like these, whatever its ending
    assert {parts[2].lower().partition(".")[0] for parts in folders} & {"con", "lpt1"} == set()
    assert "console" in {parts[2] for parts in folders}
    assert all(len(parts) == 4 and ".." not in parts for parts in folders)
    assert answer.headers["content-disposition"] == "attachment"
