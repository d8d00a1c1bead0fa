"""Whatever ends the processes that load images, or leaves them no room, is told in a sentence that says what to do."""

import os
import re
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from inpaintlab.machine import EndsBetweenSteps, LoaderError, is_loader_failure, loading_explained


class Ending(Dataset[torch.Tensor]):
    """Samples of which the third ends the process that loads it."""

    def __init__(self, how: int) -> None:
        self.how = how

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> torch.Tensor:
        if index == 2:
            os.kill(os.getpid(), self.how)
        return torch.zeros(4)


def loaded_in_a_fork(how: int) -> str:
    """What is raised where a loading process ends so; in another process, because torch's handlers stay."""
    read, write = os.pipe()
    process = os.fork()
    if not process:
        try:
            loading_explained(lambda: list(DataLoader(Ending(how), num_workers=1)), "data.workers", "data.batch_size")
        except LoaderError as error:
            os.write(write, str(error).encode())
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read) as told:
        message = told.read()
    os.waitpid(process, 0)
    return message


@pytest.mark.parametrize(
    ("how", "said"),
    [
        # Where it ends while it hands over a batch, nobody hears by which signal.
        (signal.SIGKILL, "no memory left"),
        (signal.SIGSEGV, r"Segmentation fault.*inpaintlab doctor|has ended"),
        (signal.SIGBUS, r"no room left in shared memory \(/dev/shm has|has ended"),
    ],
)
def test_the_end_of_a_loading_process_is_explained(how: int, said: str) -> None:
    message = loaded_in_a_fork(how)
    assert re.search(said, message)
    assert "data.workers=" in message
    assert message.endswith("The same command goes on from what is saved.")
    assert "\n" not in message


def test_the_end_of_a_loading_process_is_heard_between_two_steps() -> None:
    heard, before = [], signal.getsignal(signal.SIGCHLD)
    signal.signal(signal.SIGCHLD, lambda *_: heard.append(loading.in_step))
    try:
        loading = EndsBetweenSteps()
        loading.begin()
        os.kill(os.getpid(), signal.SIGCHLD)
        assert heard == []
        loading.end()
        assert heard == [False]
        os.kill(os.getpid(), signal.SIGCHLD)
        assert heard == [False, False]
        loading.leave()
        assert signal.getsignal(signal.SIGCHLD).__name__ == "<lambda>"  # type: ignore[union-attr]
    finally:
        signal.signal(signal.SIGCHLD, before)


def fail(error: Exception) -> None:
    raise error


@pytest.fixture(autouse=True)
def hearing_as_before() -> Iterator[None]:
    """What a failure switches off stays on for other tests."""
    before = signal.getsignal(signal.SIGCHLD)
    yield
    signal.signal(signal.SIGCHLD, before)


LIMITED = """
import resource, torch
from torch.utils.data import DataLoader
from inpaintlab.machine import loading_explained
resource.setrlimit(resource.RLIMIT_FSIZE, (10000, 10000))
try:
    loading_explained(lambda: list(DataLoader(torch.zeros(8, 100000), num_workers=1)), "workers", "batch_size")
except OSError as error:
    print(error)
"""


def test_a_limit_on_the_size_of_files_that_shared_memory_meets_is_explained() -> None:
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY
    done = subprocess.run([sys.executable, "-c", LIMITED], capture_output=True, text=True, timeout=100)
    assert done.stderr == ""
    assert done.stdout.startswith("The limit on the size of files (ulimit -f) is smaller than a batch")


@pytest.mark.parametrize(
    ("message", "said"),
    [
        # what torch says, in a worker and in the process that reads from it
        ("unable to write to file </torch_12_3_0>: No space left on device (28)", "no room left in shared memory"),
        ("unable to mmap 64 bytes from file </torch_1_2>: Cannot allocate memory (12)", "no memory left"),
        ("unable to open shared memory object </torch_1> in read-write mode: Too many open files (24)", "open files"),
        ("Too many open files. Communication with the workers is no longer possible.", "ulimit -n"),
        ("received 0 items of ancdata", "ulimit -n"),
        ("Caught MemoryError in DataLoader worker process 0.\nOriginal Traceback ...\nMemoryError", "no memory left"),
        ("DataLoader worker (pid(s) 12, 13) exited unexpectedly", r"\(12, 13\) has ended"),
        ("DataLoader worker (pid 12) is killed by signal: Segmentation fault. ", r"\(12\) .*\(Segmentation fault\)"),
        ("DataLoader worker (pid 12) is killed by signal: Bus error. It is possible ...", "left in shared memory"),
    ],
)
def test_what_torch_says_about_shared_memory_and_limits_is_explained(message: str, said: str) -> None:
    with pytest.raises(LoaderError, match=said):
        loading_explained(lambda: fail(RuntimeError(message)), "workers", "batch_size")
    assert is_loader_failure(RuntimeError(message))


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("CUDA out of memory"),
        OSError(28, "No space left on device", "runs/a/last.ckpt"),
        OSError(24, "Too many open files", "a.png"),
        ValueError("DataLoader worker (pid 1) exited unexpectedly"),
        MemoryError(),
    ],
)
def test_other_errors_come_through_as_they_are(error: Exception) -> None:
    with pytest.raises(type(error)) as caught:
        loading_explained(lambda: fail(error), "workers", "batch_size")
    assert caught.value is error
    assert not is_loader_failure(error)
