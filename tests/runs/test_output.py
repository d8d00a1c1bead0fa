"""A run's folder says how it was started, and what was printed; the terminal gets what it always got."""

import io
import json
import logging
import shlex
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console
from rich.progress import Progress as Bar

from inpaintlab.machine import command_line
from inpaintlab.runs import keep_output, listen, output
from inpaintlab.runs.output import STARTS


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "_kept", None)
    monkeypatch.setattr(sys, "orig_argv", ["python", "/bin/inpaintlab", "train", "notes=it's two", "seed=2"])


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Callable[[], Terminal]:
    """Makes a stand-in the standard output and error; only in a test's own body, for pytest puts in its own between."""

    def attach() -> Terminal:
        stand_in = Terminal()
        monkeypatch.setattr(sys, "stdout", stand_in)
        monkeypatch.setattr(sys, "stderr", stand_in)
        return stand_in

    return attach


def log(folder: Path) -> list[str]:
    return (folder / "output.log").read_text().splitlines()


def test_a_start_is_appended_to_those_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, terminal: Callable[[], Terminal]
) -> None:
    terminal()
    for batches in (0, 7):
        listen(["seed=2"])
        keep_output(tmp_path, batches_done=batches)
    starts = [json.loads(line) for line in (tmp_path / STARTS).read_text().splitlines()]
    assert [start["batches_done"] for start in starts] == [0, 7]
    assert starts[0]["overrides"] == ["seed=2"]
    assert starts[0]["folder"] == str(Path.cwd())
    assert shlex.split(starts[0]["command"]) == ["inpaintlab", "train", "notes=it's two", "seed=2"]
    assert starts[0].keys() >= {"time", "host"}
    assert [line.partition("$ ")[2] for line in log(tmp_path)] == [starts[0]["command"]] * 2


def test_what_a_killed_start_left_torn_keeps_its_line(tmp_path: Path, terminal: Callable[[], Terminal]) -> None:
    terminal()
    (tmp_path / STARTS).write_bytes(b'{"time": "20')
    (tmp_path / "output.log").write_bytes(b"completion 4/")
    keep_output(tmp_path)
    assert log(tmp_path)[0] == "completion 4/"
    assert json.loads((tmp_path / STARTS).read_text().splitlines()[1])["host"]


def test_what_was_printed_before_the_run_began_is_kept_too(tmp_path: Path, terminal: Callable[[], Terminal]) -> None:
    shown = terminal()
    listen()
    print("a note")
    assert list(tmp_path.iterdir()) == []  # it may be refused yet
    keep_output(tmp_path)
    print("in the run")
    print("an error", file=sys.stderr)
    assert log(tmp_path)[1:] == ["a note", "in the run", "an error"]
    assert shown.getvalue() == "a note\nin the run\nan error\n"


def test_what_a_library_logs_is_kept(tmp_path: Path, terminal: Callable[[], Terminal]) -> None:
    terminal()
    handler = logging.StreamHandler()  # to the standard error of before
    logging.getLogger("a.library").addHandler(handler)
    listen()
    keep_output(tmp_path)
    logging.getLogger("a.library").warning("said a library")
    logging.getLogger("a.library").removeHandler(handler)
    assert log(tmp_path)[-1] == "said a library"


def test_the_copy_has_no_colours_and_the_terminal_keeps_them(tmp_path: Path, terminal: Callable[[], Terminal]) -> None:
    shown = terminal()
    listen()
    keep_output(tmp_path)
    Console(force_terminal=True, color_system="standard").print("[bold red]five[/] losses")
    assert log(tmp_path)[1:] == ["five losses"]
    assert "\x1b[1;31mfive\x1b[0m losses\n" in shown.getvalue()
    assert sys.stdout.isatty()


def test_a_line_that_is_drawn_again_is_kept_once_in_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, terminal: Callable[[], Terminal]
) -> None:
    shown = terminal()
    seconds = 100.0
    monkeypatch.setattr(output.time, "monotonic", lambda: seconds)
    listen()
    keep_output(tmp_path)
    for done in range(40):
        seconds = 100.0 + done
        sys.stdout.write(f"\r{done}/40")
    sys.stdout.write("\nend\r\n")
    assert log(tmp_path)[1:] == ["0/40", "15/40", "30/40", "39/40", "end"]
    assert shown.getvalue().count("\r") == 41


def test_a_bar_of_rich_leaves_its_end_and_what_is_printed_above_it(
    tmp_path: Path, terminal: Callable[[], Terminal]
) -> None:
    terminal()
    listen()
    keep_output(tmp_path)
    console = Console(force_terminal=True, width=60)
    with Bar(console=console, auto_refresh=False) as bar:
        task = bar.add_task("learning", total=20)
        for done in range(20):
            bar.advance(task)
            bar.refresh()
            if done == 10:
                print("a line")
    lines = log(tmp_path)[1:]
    assert [line for line in lines if "learning" not in line] == ["a line"]
    assert 1 <= len([line for line in lines if "learning" in line]) <= 2
    assert "100%" in lines[-1]
    assert "\x1b" not in "".join(lines)


def test_a_stream_that_goes_there_already_is_not_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, terminal: Callable[[], Terminal]
) -> None:
    terminal()
    with (tmp_path / "output.log").open("a") as file:
        monkeypatch.setattr(sys, "stdout", file)
        listen()
        print("before")
        keep_output(tmp_path)
        print("once")
        print("elsewhere", file=sys.stderr)
    assert [line for line in log(tmp_path) if not line.startswith("---")] == ["before", "elsewhere", "once"]


def test_a_log_that_cannot_be_written_does_not_end_the_run(tmp_path: Path, terminal: Callable[[], Terminal]) -> None:
    shown = terminal()
    listen()
    keep_output(tmp_path)
    (tmp_path / "output.log").unlink()
    (tmp_path / "output.log").mkdir()
    print("one")
    print("two")
    assert shown.getvalue() == f"one\n{tmp_path}/output.log gets no more lines: Is a directory\ntwo\n"


@pytest.mark.parametrize(
    ("typed", "command"),
    [
        (["python", "/x/bin/inpaintlab", "train", "a=1"], ["inpaintlab", "train", "a=1"]),
        (["python", "-m", "inpaintlab", "train"], ["inpaintlab", "train"]),
        (["python", "-u", "-X", "dev", "-m", "inpaintlab.verbs.train", "a=1"], ["inpaintlab", "train", "a=1"]),
        (["python", "mine.py", "inpaintlab"], ["python", "mine.py", "inpaintlab"]),
    ],
)
def test_a_command_is_told_as_it_can_be_typed_again(
    monkeypatch: pytest.MonkeyPatch, typed: list[str], command: list[str]
) -> None:
    monkeypatch.setattr(sys, "orig_argv", typed)
    assert command_line() == command
