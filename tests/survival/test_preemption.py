"""A training that a signal asks to end: it saves between two steps, and the same command goes on."""

import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from lightning import Callback, Trainer
from lightning.pytorch.callbacks import EarlyStopping

from inpaintlab.machine import INTERRUPTED, PARENT, REQUEUE, receiving_requests, was_asked
from inpaintlab.models import GLCIC
from inpaintlab.runs import Progress, reason_of, state_of
from inpaintlab.survival import Preemption
from inpaintlab.training.callbacks import callbacks
from inpaintlab.training.validation import Validation
from stand_ins.commands import SCRIPT, checkpoint, run, run_here, same_weights, start, tiny
from stand_ins.warm import Process

SETTINGS = [*tiny("glcic", 4), "every.checkpoint=100", "every.validation=6", "every.panel=100"]  # of 12 batches
Signalled = Callable[[int, int], None]


@pytest.fixture
def signalled(monkeypatch: pytest.MonkeyPatch) -> Signalled:
    """``signalled(number, batch)``: the process gets a signal in the middle of that batch, the first being 1."""

    def arrange(number: int, batch: int) -> None:
        def learn(self: GLCIC, *arguments: Any) -> Any:
            if self.schedule.iteration + 1 == batch:
                os.kill(os.getpid(), number)
            return untouched(self, *arguments)

        monkeypatch.setattr(GLCIC, "learn", learn)

    untouched = GLCIC.learn
    return arrange


@pytest.fixture(autouse=True)
def handlers_as_before() -> Iterator[None]:
    """A command leaves the handlers of this process as they were; one that ignores hang-ups (nohup) hears them here."""
    hang_up = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP)
    before = [signal.getsignal(number) for number in numbers]
    yield
    after = [signal.getsignal(number) for number in numbers]
    signal.signal(signal.SIGHUP, hang_up)
    assert after == before


def train(folder: Path, *settings: str, name: str = "a") -> subprocess.CompletedProcess[str]:
    return run_here("train", *SETTINGS, *settings, f"name={name}", cwd=folder)


def done(run_dir: Path) -> int:
    return int(checkpoint(run_dir)["inpaintlab"]["iterations"])


CODES = {signal.SIGTERM: 75, signal.SIGUSR1: 75, signal.SIGUSR2: 75, signal.SIGHUP: 75, signal.SIGINT: 130}


@pytest.mark.parametrize(("number", "code"), CODES.items(), ids=lambda given: str(int(given)))
def test_each_signal_is_a_request(number: int, code: int) -> None:
    with receiving_requests() as request:
        request.begin()
        os.kill(os.getpid(), number)
        assert request.code == code


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 75), (signal.SIGINT, 130)])
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
    for batch, stands in [(6, 6), (9, 10)]:  # a step is done when its two batches are; 6 is to be validated
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


@pytest.fixture
def with_callbacks(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """``with_callbacks(callback, ...)``: those of a user, which run before the one that ends a training."""

    def arrange(*users: Callback) -> None:
        def together(*arguments: Any, **named: Any) -> list[Callback]:
            found = callbacks(*arguments, **named)
            place = next(index for index, callback in enumerate(found) if isinstance(callback, Preemption))
            return [*found[:place], *users, *found[place:]]

        monkeypatch.setattr("inpaintlab.training.fit.callbacks", together)

    return arrange


class AsksToStop(Callback):
    """Asks as Lightning's callbacks do, after a batch or after a validation."""

    def __init__(self, after: int, hook: str) -> None:
        def ask(trainer: Trainer, module: Any, *_: Any) -> None:
            trainer.should_stop |= module.schedule.iteration == after

        setattr(self, hook, ask)


class EndsTheLoop(Callback):
    """Ends the trainer's loop from within, after 8 batches."""

    def on_train_batch_start(self, trainer: Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if pl_module.schedule.iteration == 8:
            raise StopIteration


def test_a_run_that_stopped_early_says_so_and_ends_like_an_unbroken_one(
    tmp_path: Path, with_callbacks: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By time, which is over after one batch; by callbacks; and by one that ends the training loop itself."""
    steps = ["accumulate=2", "average=0.9"]
    clock = SimpleNamespace(monotonic=iter(range(0, 1000, 5)).__next__)
    with monkeypatch.context() as patch:
        patch.setattr("inpaintlab.survival.preemption.time", clock)
        ended = [train(tmp_path, *steps, "trainer.max_time='00:00:00:05'")]
    asks = [AsksToStop(3, "on_train_batch_end"), AsksToStop(6, "on_validation_end"), EndsTheLoop()]
    for user in asks:
        with_callbacks(user)
        ended.append(train(tmp_path, *steps))
    assert [done.returncode for done in ended] == [REQUEUE] * 4, [done.stderr for done in ended]
    said = [line for done in ended for line in done.stdout.splitlines() if line.startswith(("stopped", "done"))]
    goes_on = "; the same command goes on from there"
    assert said == [
        f"stopped after 2 of 12 batches (trainer.max_time, 0:00:05){goes_on}",
        f"stopped after 4 of 12 batches (a callback asked for it){goes_on}",
        f"stopped after 6 of 12 batches (a callback asked for it){goes_on}",
        f"stopped after 8 of 12 batches (a callback asked for it){goes_on}",
    ]
    with_callbacks()
    assert train(tmp_path, *steps).returncode == 0
    assert train(tmp_path, *steps, name="b").returncode == 0
    assert same_weights(checkpoint(tmp_path / "runs/a"), checkpoint(tmp_path / "runs/b"))
    broken, unbroken = (Progress.load(tmp_path / "runs" / name) for name in "ab")
    assert broken is not None
    assert unbroken is not None
    assert broken.validations == unbroken.validations


@pytest.mark.parametrize("in_a_sweep", [False, True])
def test_a_job_that_early_stopping_ends_is_given_up_in_a_sweep_alone(
    tmp_path: Path, with_callbacks: Callable[..., None], monkeypatch: pytest.MonkeyPatch, in_a_sweep: bool
) -> None:
    monkeypatch.setattr("inpaintlab.training.fit.end_with_parent", lambda: None)
    with_callbacks(EarlyStopping("val/psnr_rgb", mode="max", stopping_threshold=0.0))
    variables = {PARENT: str(os.getpid())} if in_a_sweep else {}
    settings = [*SETTINGS, "every.validation=2", "name=a"]
    assert run_here("train", *settings, cwd=tmp_path, **variables).returncode == REQUEUE
    told = reason_of(tmp_path / "runs/a")
    assert state_of(tmp_path / "runs/a") == ("stopped" if in_a_sweep else "unfinished")
    assert told.startswith("stopped after 2 of 12 batches (EarlyStopping: ") if in_a_sweep else told == ""


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
    monkeypatch.setattr("inpaintlab.data.samples.DataModule.check", lambda data: os.kill(os.getpid(), signal.SIGTERM))
    ended = train(tmp_path)
    assert ended.returncode == REQUEUE
    assert "ended by SIGTERM before the first batch: the same command starts again" in ended.stdout
    assert not (tmp_path / "runs").exists()


ALIVE = """
import os, signal, sys, time
from inpaintlab.machine.signals import receiving_requests
with receiving_requests() as request:
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
from inpaintlab.machine.signals import receiving_requests
with receiving_requests() as request:
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
    deadline = time.monotonic() + 10
    while status.exists() and "Z (zombie)" not in status.read_text():
        assert time.monotonic() < deadline, "the child goes on"
        time.sleep(0.02)


def test_codes_tell_an_end_on_request_from_a_failure() -> None:
    asked = [75, 130, -signal.SIGTERM, -signal.SIGINT, -signal.SIGUSR1, -signal.SIGUSR2, -signal.SIGHUP]
    assert [was_asked(code) for code in asked] == [True] * 7
    assert [was_asked(code) for code in (0, 1, 2, -signal.SIGKILL, -signal.SIGSEGV, 143)] == [False] * 6
    assert (REQUEUE, INTERRUPTED) == (os.EX_TEMPFAIL, 128 + signal.SIGINT)


def test_a_process_of_nohup_goes_on_when_its_terminal_is_closed() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with receiving_requests() as request:
            request.begin()
            os.kill(os.getpid(), signal.SIGHUP)
            assert request.code == 0
            os.kill(os.getpid(), signal.SIGTERM)
            assert request.code == REQUEUE
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


HUNG_UP = """
import sys, time
from pathlib import Path
from types import SimpleNamespace
from inpaintlab.machine import receiving_requests
with receiving_requests() as request:
    request.begin()
    print("ready", flush=True)
    while not request.code:
        time.sleep(0.01)
    print("to a terminal that is gone", flush=True)
    print("and an error", file=sys.stderr, flush=True)
    Path(sys.argv[1]).write_text(f"saved {request.code}")
"""


def test_what_is_said_to_a_terminal_that_is_gone_keeps_nothing_from_being_saved(tmp_path: Path) -> None:
    terminal, screen = pty.openpty()
    saved = tmp_path / "saved"
    process = subprocess.Popen([sys.executable, "-c", HUNG_UP, str(saved)], stdout=screen, stderr=screen)
    os.close(screen)
    assert os.read(terminal, 5) == b"ready"
    os.close(terminal)
    process.send_signal(signal.SIGHUP)
    assert process.wait(60) == 0
    assert saved.read_text() == "saved 75"


WORKERS = """
import os, subprocess, sys, time
import torch
from torch.utils.data import DataLoader
from inpaintlab.machine.signals import receiving_requests, outlive_requests

class Samples(torch.utils.data.Dataset):
    def __len__(self):
        return 40
    def __getitem__(self, index):
        time.sleep(0.05)
        return index

if __name__ == "__main__":
    os.setsid()  # a group of its own, for the signal
    with receiving_requests() as request:
        request.begin()
        loader = DataLoader(
            Samples(), batch_size=1, num_workers=2, worker_init_fn=outlive_requests, persistent_workers=True
        )
        seen = []
        for number, batch in enumerate(loader):
            seen += batch.tolist()
            if number == 5:
                subprocess.call(f"kill -s {sys.argv[1]} 0", shell=True)  # to the whole group, from another process
    print(request.code, seen == list(range(40)), flush=True)
"""


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGUSR2"])
def test_workers_outlive_a_signal_that_reaches_all_processes_and_end_with_their_parent(
    tmp_path: Path, name: str
) -> None:
    (tmp_path / "script.py").write_text(WORKERS)
    command = (sys.executable, str(tmp_path / "script.py"), name.removeprefix("SIG"))
    begin = time.monotonic()
    ended = run(*command, cwd=tmp_path, home=tmp_path / "home")
    assert ended.stderr == ""
    assert ended.returncode == 0
    assert ended.stdout.split() == ["130" if name == "SIGINT" else "75", "True"]
    assert time.monotonic() - begin < 60


PARALLEL = ["trainer.devices=2", "trainer.strategy=ddp_find_unused_parameters_true"]


def rank_of(process: Process, rank: int) -> int:
    """The id of the process that trains as ``rank``: the one that was started, or its child."""
    if rank == 0:
        return process.pid
    for child in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split():
        if f"LOCAL_RANK={rank}".encode() in Path(f"/proc/{child}/environ").read_bytes().split(b"\0"):
            return int(child)
    raise AssertionError(f"no child trains as rank {rank}")


@pytest.mark.endurance
def test_a_signal_to_one_of_two_processes_ends_both_after_the_same_batch(tmp_path: Path) -> None:
    settings = [*tiny("glcic", 20), "every.checkpoint=10", "every.validation=60", "every.panel=1000", "accumulate=2"]
    command = [SCRIPT, "train", *settings, *PARALLEL, "name=a"]
    run_dir, output = tmp_path / "runs/a", tmp_path / "output.txt"
    stood = []
    for rank in (1, 0):
        process = start(*command, cwd=tmp_path, home=tmp_path / "home", output=output)
        try:
            deadline = time.monotonic() + 120
            while not ((run_dir / "last.ckpt").is_file() and done(run_dir) > max([0, *stood])):
                assert process.poll() is None, output.read_text()
                assert time.monotonic() < deadline, output.read_text()
                time.sleep(0.02)
            os.kill(rank_of(process, rank), signal.SIGTERM)
            assert process.wait(60) == REQUEUE, output.read_text()
        finally:
            process.kill()
            process.wait()
        stood.append(done(run_dir))
        assert stood[-1] % 2 == 0
        assert output.read_text().count("asked to end: saved after") == len(stood)
        assert f"asked to end: saved after {stood[-1]} batches" in output.read_text()
    assert 0 < stood[0] < stood[1] < 60, stood
    for name in ("a", "b"):
        ended = run(SCRIPT, "train", *settings, *PARALLEL, f"name={name}", cwd=tmp_path, home=tmp_path / "home")
        assert ended.returncode == 0, ended.stderr
    assert same_weights(checkpoint(run_dir), checkpoint(tmp_path / "runs/b"))
