"""The queue itself: it outlives what goes wrong with one job, and holds nothing of jobs that are over."""

import threading

import numpy as np
import pytest

from inpaintlab.web.jobs import Job, Queue
from inpaintlab.web.pictures import Photo, completed_png, read_photo
from inpaintlab.web.visits import Made, RefusedError, Scene, Visit, Visits
from stand_ins.served import Painter, Visitor, encoded, offered, served


def over(queue: Queue, job: Job) -> Job:
    for _ in range(500):
        if job.is_over:
            return job
        threading.Event().wait(0.01)
    raise AssertionError(job.state)


@pytest.mark.parametrize("error", [BrokenPipeError("stderr is gone"), ValueError("I/O operation on closed file")])
def test_a_terminal_that_is_gone_does_not_end_the_queue(error: Exception) -> None:
    def report(line: str) -> None:
        raise error

    def fail(job: Job) -> None:
        raise RuntimeError("a layer")

    queue, visit = Queue(report), Visit("somebody")
    assert over(queue, queue.add(visit, fail)).state == "failed"
    assert over(queue, queue.add(visit, lambda job: None)).state == "done"
    assert queue.close(5.0)


def test_a_job_that_is_over_holds_no_pictures() -> None:
    go = threading.Event()

    def work(job: Job) -> None:
        job.made = [Made("n", "grey", 0.1, ("a note",), b"a picture", b"a small one")]
        go.wait(10)

    queue, visit = Queue(print), Visit("somebody")
    running, waiting = queue.add(visit, work), queue.add(visit, work)
    queue.cancel(waiting)
    assert waiting.work is not work
    go.set()
    over(queue, running)
    assert running.work is not work
    assert running.made == [Made("n", "grey", 0.1, ("a note",), b"")]
    assert queue.close(5.0)


def photo(size: int) -> Photo:
    return Photo(bytes(size), ".png", 8, 8, ())


def test_a_mask_of_a_photograph_that_was_replaced_meanwhile_is_refused() -> None:
    visit, old, new = Visit("somebody"), photo(1), photo(2)
    visit.begin(old)
    visit.begin(new)
    with pytest.raises(RefusedError) as refused:
        visit.change(old, lambda scene: Scene(scene.photo, b"mask"))
    assert refused.value.status == 409
    assert visit.scene == Scene(new)
    visit.change(new, lambda scene: Scene(scene.photo, b"mask"))
    assert visit.scene == Scene(new, b"mask")


def test_a_photograph_that_comes_while_a_mask_is_decoded_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    begun = threading.Event()

    def slow(*given: object) -> tuple[bytes, float, list[str]]:
        begun.set()
        threading.Event().wait(0.3)
        return b"mask", 0.5, []

    monkeypatch.setattr("inpaintlab.web.routes.read_hole", slow)
    with served(offered(grey=Painter())) as server, server.client() as client:
        visitor = Visitor(client)
        visitor.put("photograph", encoded(np.zeros((8, 8, 3), np.uint8)))
        thread = threading.Thread(target=visitor.put, args=("mask", b"x"))
        thread.start()
        begun.wait(5)
        new = encoded(np.ones((9, 7, 3), np.uint8))
        assert visitor.put("photograph", new).json()["width"] == 7
        thread.join()
        visit = server.server.hall.visits.find(visitor.path.rpartition("/")[2])
        assert visit.scene is not None
        assert (visit.scene.photo.content, visit.scene.mask) == (new, None)


@pytest.mark.parametrize(
    ("content", "held"),
    [
        # a scene that a job shares with its visit counts once
        ("waiting", 1000),
        ("waiting, and another photograph has come", 1000 + 10),
        ("cancelled, and another photograph has come", 10),
        ("done", 1000 + 300),
    ],
)
def test_all_that_is_held_is_counted_once(content: str, held: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inpaintlab.web.visits.MOST_HELD", held)
    go = threading.Event()

    def held_up(job: Job) -> None:
        go.wait(10)

    queue = Queue(print)
    visits = Visits(10.0, queue.forget, queue.held)
    other = visits.open()
    running = queue.add(other, held_up)
    visit = visits.open()
    visit.begin(photo(1000))
    scene = visit.with_photograph()
    job = queue.add(visit, lambda job: visit.take(scene, Made("n", "grey", 0.1, (), bytes(100), bytes(200))), scene)
    if "cancelled" in content:
        queue.cancel(job)
    if "another" in content:
        visit.begin(photo(10))
    if content == "done":
        go.set()
        over(queue, job)
    with visits.room(0):
        pass
    with pytest.raises(RefusedError), visits.room(1):
        pass
    go.set()
    over(queue, running)
    assert queue.close(5.0)


def test_a_job_is_taken_if_its_results_have_room_whatever_they_become(monkeypatch: pytest.MonkeyPatch) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (300, 400, 3), np.uint8)  # does not compress
    sent = encoded(picture, "JPEG", quality=20)
    taken, original = read_photo(sent, 10**6)
    hole = np.zeros((300, 400), bool)
    hole[:9, :9] = True
    png, small = completed_png(original, np.zeros((300, 400, 3), np.float32), hole, {})
    assert 10 * len(sent) < len(png) + len(small or b"") <= taken.most_of_a_result
    with served(offered(grey=Painter(), other=Painter())) as server, server.client() as client:
        visitor = Visitor(client)
        visitor.put("photograph", sent)
        visitor.put("mask", encoded(hole))
        monkeypatch.setattr("inpaintlab.web.visits.MOST_HELD", len(sent) + 1000 + taken.most_of_a_result)
        assert visitor.order("complete", "grey", "other").status_code == 503
        assert visitor.run("complete", "grey")["state"] == "done"
        assert visitor.order("complete", "grey").status_code == 503  # the first results are still there
