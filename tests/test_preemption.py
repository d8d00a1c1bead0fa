"""A training that a signal asks to end: it saves between two steps, and the same command goes on."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from commands import checkpoint, run_here, same_weights, tiny
from inpaintlab.jobs import Progress
from inpaintlab.models.glcic import GLCIC
from inpaintlab.signals import INTERRUPTED, REQUEUE, was_asked
from inpaintlab.validation import Validation

SETTINGS = [*tiny("glcic", 4), "every.checkpoint=100", "every.validation=6", "every.panel=100"]  # of 12 batches
Signalled = Callable[[int, int], None]


@pytest.fixture
def signalled(monkeypatch: pytest.MonkeyPatch) -> Signalled:
    """``signalled(number, batch)``: the process gets a signal in the middle of that batch, the first being 1."""

    def arrange(number: int, batch: int) -> None:
        def learn(self: GLCIC, *arguments: Any) -> Any:
            assert self.schedule is not None
            if self.schedule.iteration + 1 == batch:
                os.kill(os.getpid(), number)
            return untouched(self, *arguments)

        monkeypatch.setattr(GLCIC, "learn", learn)

    untouched = GLCIC.learn
    return arrange


@pytest.fixture(autouse=True)
def handlers_as_before() -> Iterator[None]:
    """A command leaves the handlers of this process as they were."""
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2)
    before = [signal.getsignal(number) for number in numbers]
    yield
    assert [signal.getsignal(number) for number in numbers] == before


def train(folder: Path, *settings: str, name: str = "a") -> subprocess.CompletedProcess[str]:
    return run_here("train", *SETTINGS, *settings, f"name={name}", cwd=folder)


def done(run_dir: Path) -> int:
    return int(checkpoint(run_dir)["inpaintlab"]["iterations"])


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (signal.SIGTERM, 75),
        (signal.SIGUSR1, 75),
        (signal.SIGUSR2, 75),
        (signal.SIGINT, 130),
    ],
)
def test_a_signal_ends_a_training_after_its_batch(tmp_path: Path, signalled: Signalled, number: int, code: int) -> None:
    signalled(number, 3)
    ended = train(tmp_path)
    assert ended.returncode == code, ended.stderr
    assert done(tmp_path / "runs/a") == 3
    assert ended.stdout.count("asked to end: saved after 3 batches; the same command goes on from there") == 1
    assert "done:" not in ended.stdout
    noted = Progress.load(tmp_path / "runs/a")
    assert noted is not None
    assert (noted.iterations, noted.total) == (3, 12)


def test_a_run_that_was_asked_to_end_ends_like_an_unbroken_one(tmp_path: Path, signalled: Signalled) -> None:
    steps = ["accumulate=2", "average=0.9", "clip_gradients=0.5"]
    for batch, stands in [(1, 2), (6, 6), (9, 10)]:  # a step is done when its two batches are; 6 is to be validated
        signalled(signal.SIGTERM, batch)
        assert train(tmp_path, *steps).returncode == REQUEUE
        assert done(tmp_path / "runs/a") == stands
    signalled(signal.SIGTERM, 0)
    last = train(tmp_path, *steps)
    assert last.returncode == 0, last.stderr
    whole = train(tmp_path, *steps, name="b")
    assert whole.returncode == 0, whole.stderr
    broken, unbroken = (Progress.load(tmp_path / "runs" / name) for name in "ab")
    assert same_weights(checkpoint(tmp_path / "runs/a"), checkpoint(tmp_path / "runs/b"))
    assert same_weights(checkpoint(tmp_path / "runs/a", "best.ckpt"), checkpoint(tmp_path / "runs/b", "best.ckpt"))
    assert broken is not None
    assert unbroken is not None
    assert [at for at, _ in unbroken.validations] == [6, 12]
    assert broken.validations == unbroken.validations


def test_a_signal_in_the_last_batch_lets_the_run_end(tmp_path: Path, signalled: Signalled) -> None:
    signalled(signal.SIGTERM, 12)
    ended = train(tmp_path, "every.validation=5")
    assert ended.returncode == 0, ended.stderr
    assert "done:" in ended.stdout
    assert done(tmp_path / "runs/a") == 12


def test_a_signal_in_a_validation_ends_it_and_the_next_start_makes_up_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Validation, "on_validation_epoch_start", lambda *given: os.kill(os.getpid(), signal.SIGTERM))
        ended = train(tmp_path)
    assert ended.returncode == REQUEUE, ended.stderr
    assert "saved after 6 batches" in ended.stdout
    assert done(tmp_path / "runs/a") == 6
    assert not (tmp_path / "runs/a/best.ckpt").exists()
    assert train(tmp_path).returncode == 0
    noted = Progress.load(tmp_path / "runs/a")
    assert noted is not None
    assert [at for at, _ in noted.validations] == [6, 12]


def test_a_signal_before_the_first_batch_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inpaintlab.data.DataModule.check", lambda data: os.kill(os.getpid(), signal.SIGTERM))
    ended = train(tmp_path)
    assert ended.returncode == REQUEUE
    assert "ended by SIGTERM before the first batch: the same command starts again" in ended.stdout
    assert not (tmp_path / "runs").exists()


ALIVE = """
import os, signal, sys, time
from inpaintlab.signals import heard
with heard() as request:
    request.begin()
    for name in sys.argv[1:]:
        if name.startswith("SIG"):
            os.kill(os.getpid(), getattr(signal, name))
        else:
            request._since -= float(name)  # as if so many seconds had gone by
    print(request.code)
"""


@pytest.mark.parametrize(
    ("signals", "code"),
    [
        (["SIGTERM", "SIGTERM"], 0),  # a scheduler's, and the one that a parent passes on
        (["SIGUSR1", "10", "SIGTERM"], 0),  # the time is nearly up, the time is up
        (["SIGINT", "SIGTERM"], 0),  # Ctrl-C reaches a sweep as well, which asks its jobs to end
        (["SIGTERM", "10", "SIGUSR1"], 0),
        (["SIGTERM", "10", "SIGTERM"], -signal.SIGTERM),
        (["SIGINT", "SIGINT"], -signal.SIGINT),
        (["SIGTERM", "10", "SIGINT"], -signal.SIGINT),
    ],
)
def test_only_who_insists_ends_a_training_at_once(signals: list[str], code: int) -> None:
    ended = subprocess.run([sys.executable, "-c", ALIVE, *signals], capture_output=True, text=True)
    assert ended.returncode == code, ended.stderr
    assert ended.stdout.strip() == ("" if code else "130" if signals[0] == "SIGINT" else "75")


FAMILY = """
import os, signal, subprocess, sys
from inpaintlab.signals import heard
with heard() as request:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    print(child.pid, flush=True)
    request.children = [child]
    request.begin()
    os.kill(os.getpid(), signal.SIGINT)
    print(child.poll(), flush=True)
    os.kill(os.getpid(), signal.SIGINT)
"""


def test_a_sudden_end_takes_the_children_along() -> None:
    ended = subprocess.run([sys.executable, "-c", FAMILY], capture_output=True, text=True, timeout=60)
    assert ended.returncode == -signal.SIGINT, ended.stderr
    child, polled = ended.stdout.split()
    assert polled == "None"  # the first signal leaves it alone
    status = Path(f"/proc/{child}/status")
    assert not status.exists() or "Z (zombie)" in status.read_text()


def test_codes_tell_an_end_on_request_from_a_failure() -> None:
    asked = [75, 130, -signal.SIGTERM, -signal.SIGINT, -signal.SIGUSR1, -signal.SIGUSR2]
    assert [was_asked(code) for code in asked] == [True] * 6
    assert [was_asked(code) for code in (0, 1, 2, -signal.SIGKILL, -signal.SIGSEGV, 143)] == [False] * 6
    assert (REQUEUE, INTERRUPTED) == (os.EX_TEMPFAIL, 128 + signal.SIGINT)


WORKERS = """
import os, sys, time
import torch
from torch.utils.data import DataLoader
from inpaintlab.signals import heard, outlive_requests

class Samples(torch.utils.data.Dataset):
    def __len__(self):
        return 40
    def __getitem__(self, index):
        time.sleep(0.05)
        return index

if __name__ == "__main__":
    with heard() as request:
        request.begin()
        loader = DataLoader(
            Samples(), batch_size=1, num_workers=2, worker_init_fn=outlive_requests, persistent_workers=True
        )
        seen = []
        for number, batch in enumerate(loader):
            seen += batch.tolist()
            if number == 5:
                os.system(f"kill -s {sys.argv[1]} 0")  # to the whole group, from another process
    print(request.code, seen == list(range(40)), flush=True)
"""


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGUSR2"])
def test_workers_outlive_a_signal_that_reaches_all_processes_and_end_with_their_parent(name: str) -> None:
    begin = time.monotonic()
    ended = subprocess.run(
        [sys.executable, "-c", WORKERS, name.removeprefix("SIG")],
        capture_output=True,
        text=True,
        start_new_session=True,
        timeout=60,
    )
    assert ended.stderr == ""
    assert ended.returncode == 0
    assert ended.stdout.split() == ["130" if name == "SIGINT" else "75", "True"]
    assert time.monotonic() - begin < 60
