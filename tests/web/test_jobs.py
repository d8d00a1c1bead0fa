"""The queue itself: it outlives what goes wrong with one job, and holds nothing of jobs that are over."""

import threading

import pytest

from inpaintlab.web.jobs import Job, Queue
from inpaintlab.web.visits import Made, Visit


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
