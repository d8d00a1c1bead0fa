"""Choices between two pictures whose methods are hidden, and the log of them."""

import csv
import errno
import io
import os
import re
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import final

from inpaintlab.web.messages import Choice

COLUMNS = ("time", "session", "participant", "case", "left", "right", "chosen", "winner", "seconds", "trial")
"""Of the log: when (UTC), whose session, which case, what stood where, the side, its method, which trial."""

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def row(
    session: str, participant: str, case: str, left: str, right: str, choice: Choice, trial: str = ""
) -> dict[str, str]:
    """A line of the log.

    Args:
        session: whose way through the study, shortened so that it opens nothing.
        participant: the code that a participant gave; may be empty.
        case: the picture.
        left: the method on the left side.
        right: the other.
        choice: what was chosen.
        trial: its number from 0; empty outside of a study.
    """
    winner = {"left": left, "right": right, "same": ""}[choice.chosen]
    now = datetime.now(UTC).isoformat(timespec="seconds")
    values = (now, session, participant, case, left, right, choice.chosen, winner, f"{choice.seconds:.2f}", trial)
    return dict(zip(COLUMNS, values, strict=True))


def as_csv(rows: Sequence[dict[str, str]], *, header: bool = True) -> str:
    """Rows as CSV, each one line."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, COLUMNS, lineterminator="\n")
    if header:
        writer.writeheader()
    writer.writerows({key: _plain(cell) for key, cell in one.items()} for one in rows)
    return buffer.getvalue()


def _plain(cell: str) -> str:
    """A cell that no spreadsheet takes for a formula, and none for two lines."""
    return ("'" if cell.startswith(_FORMULA) else "") + re.sub(r"[\x00-\x1f\x7f]", " ", cell)


@final
class Log:
    """A CSV file to which a line is added for each choice; each is on the disk before the visitor hears of it.

    Args:
        path: the file; its folder is made.

    Attributes:
        rows: how many it held at first.

    Raises:
        ValueError: another file is there.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.rows = path, 0
        self._lock = threading.Lock()
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and path.stat().st_size:
            with path.open(encoding="utf-8") as file:
                if file.readline().rstrip("\n") != ",".join(COLUMNS):
                    raise ValueError(f"{path} is no log of choices; give another folder as keep=DIR, or move it.")
                self.rows = sum(1 for _ in file)

    def add(self, entry: dict[str, str]) -> None:
        """Add a line.

        Raises:
            OSError: it cannot be written.
        """
        with self._lock:
            # one write at the end of the file, so that two servers with one log do not mix their lines
            number = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
            try:
                before = os.fstat(number).st_size
                line = as_csv([entry], header=before == 0).encode()
                if os.write(number, line) < len(line):  # a disk that is full takes a part
                    os.ftruncate(number, before)
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
                os.fsync(number)
            finally:
                os.close(number)
