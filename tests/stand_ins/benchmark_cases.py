"""Cases of the benchmark that hang, fail or die, for a process that imports this module by its name."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.settings import Settings

Rows = Iterator[dict[str, Any]]


def row(name: str) -> dict[str, Any]:
    """A row of the table of checks."""
    return {"name": name, "passed": True, "measured": "all well", "limit": "none"}


def well(root: Path, folder: Path, settings: Settings, name: str) -> Rows:
    """Gives its row."""
    yield row(name)


def hangs(root: Path, folder: Path, settings: Settings, note: Path) -> Rows:
    """Gives a row, then hangs as a compiler does: deaf to SIGTERM, with a process of its own; notes both."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    note.write_text(f"{os.getpid()} {child.pid}")
    yield row("before it hangs")
    time.sleep(600)


def refuses(*_: Any) -> Rows:
    """Says why it measures nothing."""
    raise ValueError("nothing compiles here")
    yield {}


def fails(*_: Any) -> Rows:
    """Has an error in itself."""
    raise KeyError("lost")
    yield {}


def dies(*_: Any) -> Rows:
    """Dies as a process does whose memory the system takes."""
    os.kill(os.getpid(), signal.SIGKILL)
    yield {}


def plain_alone(case: Any, root: Path, settings: Settings) -> Rows:
    """A step of the plain side alone."""
    from benchmarks import alone  # seconds that the other cases need not wait

    yield alone.run(case, None, 1, root, settings)


def compiled_step(case: Any, root: Path, settings: Settings) -> Rows:
    """A compiled step, whose graphs are traced and run as they are, because kernels take a minute."""
    from rich.console import Console

    from benchmarks import photographs, sides, steps
    from inpaintlab.inpainting import Compilation, Compiling

    sides.chosen_compilation = lambda *_: Compilation(True, "the test asks for it")
    sides.compiling = lambda limit: Compiling(Console(quiet=True), limit, backend="eager")
    batch = photographs.batch(root, case.size, case.batch)
    yield steps.measure(case, "float32+compile", batch, settings)
