"""A process that is forked from a warm one is what a start of Python would have given."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stand_ins.commands import SCRIPT, run, run_anew, start

TELLING = """
import atexit, json, os, random, signal, sys, threading
import numpy
atexit.register(print, "the end")
print(json.dumps({
    "argv": sys.argv, "folder": os.getcwd(), "name": __name__, "variables": dict(os.environ), "path": sys.path,
    "threads": threading.active_count(), "interrupt": str(signal.getsignal(signal.SIGINT)), "group": os.getpgrp(),
    "streams": [(s.encoding, s.errors, s.line_buffering) for s in (sys.stdout, sys.stderr)],
    "open": len(os.listdir("/proc/self/fd")),
}))
print("to the other", file=sys.stderr)
threading.Timer(0.2, print, ["a thread ends first"]).start()
"""


def told(begin: Callable[..., Any], folder: Path, last: str = "") -> tuple[int, dict[str, Any], list[str], str]:
    """Exit code, what a script found in its process, the rest that it printed, and the end of its other stream."""
    (folder / "telling.py").write_text(TELLING + last)
    script = (sys.executable, str(folder / "telling.py"), "a", "b c")
    done = begin(*script, cwd=folder, home=folder / "home", WANDB_MODE="", PYTHONPATH="/nowhere", NEW="1")
    found, *rest = done.stdout.splitlines()
    return done.returncode, json.loads(found), rest, done.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("last", "code"), [("", 0), ("sys.exit(75)", 75), ("sys.exit('no')", 1), ("raise KeyError('x')", 1)]
)
def test_a_forked_process_is_like_one_that_was_started(tmp_path: Path, last: str, code: int) -> None:
    forked, started = told(run, tmp_path, last), told(run_anew, tmp_path, last)
    assert forked[0] == code
    assert "NEW" in forked[1]["variables"]
    assert forked[2] == ["a thread ends first", "the end"]
    started[1]["variables"].pop("LC_CTYPE", None)  # which Python sets for its children, where there is no locale
    assert forked == started


def test_a_module_runs_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("import sys; print(__spec__.name, sys.argv)")
    command = (sys.executable, "-m", "mine", "a")
    forked, started = (begin(*command, cwd=tmp_path, home=tmp_path / "home") for begin in (run, run_anew))
    assert (forked.returncode, forked.stdout) == (0, f"mine {[str(tmp_path / 'mine.py'), 'a']}\n")
    assert (forked.returncode, forked.stdout, forked.stderr) == (started.returncode, started.stdout, started.stderr)


def test_forked_processes_share_no_chance(tmp_path: Path) -> None:
    (tmp_path / "draw.py").write_text("import random, numpy; print(random.random(), numpy.random.rand())")
    draws = [run(sys.executable, str(tmp_path / "draw.py"), cwd=tmp_path, home=tmp_path / "home") for _ in range(2)]
    numbers = [number for done in draws for number in done.stdout.split()]
    assert len(set(numbers)) == 4


def test_a_forked_process_takes_signals_and_tells_what_ended_it(tmp_path: Path) -> None:
    (tmp_path / "wait.py").write_text("import time; print('on', flush=True); time.sleep(600)")
    output = tmp_path / "output.txt"
    process = start(sys.executable, str(tmp_path / "wait.py"), cwd=tmp_path, home=tmp_path / "home", output=output)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.1)
    assert process.poll() is None
    process.send_signal(signal.SIGSTOP)
    process.send_signal(signal.SIGCONT)
    process.kill()
    assert process.wait(60) == process.poll() == process.returncode == -signal.SIGKILL
    process.kill()  # as with subprocess, too late is no error


CHILDREN = """
import json, os, signal, subprocess, sys
def child(*command, **options):
    return subprocess.Popen([sys.executable, *command], **options)
piped = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
signal.signal(signal.SIGUSR1, signal.SIG_IGN)
with child("-m", "telling", "a", env={**os.environ, "LEVEL": sys.argv[1]}, cwd="inner", **piped) as process:
    print(json.dumps(process.communicate("said")[0]))
    print(process.returncode)
sleeping = child("inner/sleeping.py")
assert os.waitpid(sleeping.pid, os.WNOHANG) == (0, 0)
sleeping.kill()
print(sleeping.wait())
if sys.argv[1] == "0":
    print(json.dumps(subprocess.run([sys.executable, sys.argv[0], "1"], capture_output=True, text=True).stdout))
"""
TOLD_BY_A_CHILD = """
import json, os, signal, sys
os.environ.pop("LC_CTYPE", None)  # which Python sets for its children, where there is no locale
told = {"argv": sys.argv, "folder": os.getcwd(), "variables": dict(os.environ), "path": sys.path}
told |= {"said": sys.stdin.read(), "group": os.getpgrp(), "ignored": str(signal.getsignal(signal.SIGUSR1))}
told["open"] = len(os.listdir("/proc/self/fd"))
print(json.dumps(told))
sys.exit(3)
"""


def test_the_children_of_a_forked_process_are_like_those_of_one_that_was_started(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "children.py").write_text(CHILDREN)
    (tmp_path / "inner/telling.py").write_text(TOLD_BY_A_CHILD)
    (tmp_path / "inner/sleeping.py").write_text("import time; time.sleep(600)")
    script = (sys.executable, str(tmp_path / "children.py"), "0")
    done = [begin(*script, cwd=tmp_path, home=tmp_path / "home") for begin in (run, run_anew)]
    for each in done:
        assert (each.returncode, each.stderr) == (0, "")
    assert done[0].stdout.splitlines()[1:3] == ["3", "-9"]
    assert done[0].stdout == done[1].stdout


@pytest.mark.parametrize(("variables", "warm"), [({}, True), ({"OMP_NUM_THREADS": "3"}, False)])
def test_a_child_is_forked_unless_it_needs_a_python_of_its_own(
    tmp_path: Path, variables: dict[str, str], warm: bool
) -> None:
    (tmp_path / "child.py").write_text("import os, sys; print('torch' in sys.modules, os.getppid())")
    script = "import os, subprocess, sys\nprint(os.getpid(), flush=True)\n"
    script += f"subprocess.run([sys.executable, 'child.py'], env=os.environ | {variables!r})"
    (tmp_path / "parent.py").write_text(script)
    done = run(sys.executable, str(tmp_path / "parent.py"), cwd=tmp_path, home=tmp_path / "home")
    parent, told, its_parent = done.stdout.split()
    assert (told, its_parent) == (str(warm), parent)


def test_what_needs_a_python_of_its_own_is_refused(tmp_path: Path) -> None:
    for command in ((sys.executable, "-c", "1"), (sys.executable, "-X", "dev", SCRIPT), ("ls",)):
        with pytest.raises(ValueError, match="run_anew"):
            run(*command, cwd=tmp_path, home=tmp_path / "home")
