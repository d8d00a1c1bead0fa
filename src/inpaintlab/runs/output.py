"""How a run was started, and what it printed: ``starts.jsonl`` and ``output.log`` in its folder.

Each start appends to them. What is printed still goes to the terminal, which it also still is for those that ask (rich,
tqdm). The copy has no colours, and of a line that is drawn again and again, as a progress bar is, a state in a while.
"""

import json
import logging
import os
import re
import shlex
import socket
import sys
import threading
import time
from collections import deque
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, final

from inpaintlab.machine import command_line
from inpaintlab.runs.record import OUTPUT

STARTS = "starts.jsonl"

_SECONDS_BETWEEN_STATES = 15.0  # of a line that is drawn again; without a terminal, a training prints one as often
_MOST_WAITING = 10_000  # lines before a run starts, or of one that never does
_CONTROL = re.compile(r"(\r|\n|\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[@-Z\\-_])")
_ERASED = "\x1b[2K"  # the whole line

_kept: "_Log | None" = None
"""The log of this process, once it listens."""


def listen(overrides: Sequence[str] = ()) -> None:
    """Remember from now on what this process prints, for the run that it may come to.

    Python's standard output and error are replaced by copies of them until the process ends, so that the error that
    ends it is kept too. What other programs and libraries in C write past Python is not.

    Args:
        overrides: the settings on the command line, for the record of the start.
    """
    global _kept
    _kept = log = _Log(overrides)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        stream = stream.stream if isinstance(stream, _Copied) else stream
        if stream is None:  # closed by whoever started the process
            continue
        copied = _Copied(stream, log)
        setattr(sys, name, copied)
        for logger in [logging.root, *logging.root.manager.loggerDict.values()]:
            for handler in getattr(logger, "handlers", ()):
                if isinstance(handler, logging.StreamHandler) and handler.stream is stream:
                    handler.setStream(copied)


def keep_output(folder: Path, **facts: Any) -> None:
    """Note the start of a run in its folder, and write there what this process prints, from `listen` on to its end.

    A stream that goes into ``output.log`` anyway, as a sweep sends it there, is not copied.

    Args:
        folder: the run's; it exists.
        facts: more that is noted of the start, such as the commit.

    Raises:
        OSError: the start could not be noted. If the log cannot be written later, one line says so.
    """
    if _kept is None:
        listen()
    assert _kept is not None
    _kept.begin(folder, facts)


@final
class _Log:
    """The file ``output.log``; what is added before it has its place waits."""

    def __init__(self, overrides: Sequence[str]) -> None:
        self.overrides = list(overrides)
        self.file: Path | None = None
        self.waiting: deque[tuple[_Copied, str]] = deque(maxlen=_MOST_WAITING)

    def begin(self, folder: Path, facts: dict[str, Any]) -> None:
        started = datetime.now(UTC).isoformat(timespec="seconds")
        command, here, host = shlex.join(command_line()), os.getcwd(), socket.gethostname()
        start = {"time": started, "command": command, "overrides": self.overrides, "folder": here, "host": host}
        _append(folder / STARTS, json.dumps(start | facts, ensure_ascii=False))
        file = folder / OUTPUT
        for stream in (sys.stdout, sys.stderr):  # what is printed before comes before
            if stream is not None:
                stream.flush()
        _append(file, f"--- {started} {host}:{here}$ {command}")
        waiting, self.waiting, self.file = list(self.waiting), deque(maxlen=_MOST_WAITING), file
        for origin, line in waiting:
            self.add(origin, line)

    def add(self, origin: "_Copied", line: str) -> None:
        """Add a line from a stream."""
        if self.file is None:
            self.waiting.append((origin, line))
        elif not origin.is_file(self.file):
            try:
                _append(self.file, line)
            except OSError as error:  # a full disk ends the training where it matters, with a sentence
                file, self.file = self.file, None
                origin.stream.write(f"{file} gets no more lines: {error.strerror}\n")


class _Copied:
    """A text stream that is what it was, with a copy of its lines for a log."""

    def __init__(self, stream: Any, log: _Log) -> None:
        self.stream = stream
        self.log = log
        self.line = ""
        self.returned = False  # the cursor stands at the beginning of the line, which is drawn again
        self.kept_at = 0.0
        self.lock, self.process = threading.Lock(), os.getpid()
        self.same: bool | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def write(self, text: str) -> int:
        """Write, as to the stream."""
        if os.getpid() != self.process:  # forked, maybe while another thread had the lock
            self.lock, self.process, self.line = threading.Lock(), os.getpid(), ""
        written = self.stream.write(text)
        with self.lock:
            for part in _CONTROL.split(text):
                self._read(part)
        return written

    def writelines(self, lines: Sequence[str]) -> None:
        """Write, as to the stream."""
        for line in lines:
            self.write(line)

    def is_file(self, path: Path) -> bool:
        """Whether the stream goes into this file."""
        if self.same is None:
            try:
                self.same = os.path.samestat(os.fstat(self.stream.fileno()), path.stat())
            except (OSError, ValueError, AttributeError):  # it has no file
                self.same = False
        return self.same

    def _read(self, part: str) -> None:
        """Take what a terminal would show: the text of a line, or what ends or erases it."""
        if part == "\n":
            self.log.add(self, self.line.rstrip())
            self.line, self.returned = "", False
        elif part == _ERASED:
            self._erase()
        elif part == "\r":
            self.returned = True
        elif part and not part.startswith("\x1b"):
            if self.returned:
                self._erase()
            self.line += part

    def _erase(self) -> None:
        if self.line.strip() and time.monotonic() - self.kept_at >= _SECONDS_BETWEEN_STATES:
            self.kept_at = time.monotonic()
            self.log.add(self, self.line.rstrip())
        self.line, self.returned = "", False


def _append(path: Path, line: str) -> None:
    """Append a line at once, after the end of one that a killed process did not write to its end."""
    with path.open("ab+") as file:
        torn = file.seek(0, os.SEEK_END) and (file.seek(-1, os.SEEK_END), file.read(1))[1] != b"\n"
        file.write(f"{chr(10) * bool(torn)}{line}\n".encode(errors="backslashreplace"))
