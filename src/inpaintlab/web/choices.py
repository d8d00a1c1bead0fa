"""Choices between two pictures whose methods are hidden, and the log of them."""

import csv
import io
import os
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import final

from inpaintlab.web.messages import Choice

COLUMNS = ("time", "session", "participant", "case", "left", "right", "chosen", "winner", "seconds")
"""Of the log: when (UTC), whose way through the study, which picture, what stood where, the side, its method."""


def row(session: str, participant: str, case: str, left: str, right: str, choice: Choice) -> dict[str, str]:
    """A line of the log.

    Args:
        session: whose way through the study, shortened so that it opens nothing.
        participant: the code that a participant gave; may be empty.
        case: the picture.
        left: the method on the left side.
        right: the other.
        choice: what was chosen.
    """
    winner = {"left": left, "right": right, "same": ""}[choice.chosen]
    now = datetime.now(UTC).isoformat(timespec="seconds")
    values = (now, session, participant, case, left, right, choice.chosen, winner, f"{choice.seconds:.2f}")
    return dict(zip(COLUMNS, values, strict=True))


def as_csv(rows: Sequence[dict[str, str]], *, header: bool = True) -> str:
    """Rows as CSV."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, COLUMNS, lineterminator="\n")
    if header:
        writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()


@final
class Log:
    """A CSV file to which a line is added for each choice; each is on the disk before the visitor hears of it.

    Args:
        path: the file; its folder is made.

    Raises:
        ValueError: another file is there.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and path.stat().st_size:
            with path.open(encoding="utf-8") as file:
                if file.readline().rstrip("\n") != ",".join(COLUMNS):
                    raise ValueError(f"{path} is no log of choices; give another folder as keep=DIR, or move it.")

    def add(self, entry: dict[str, str]) -> None:
        """Add a line.

        Raises:
            OSError: it cannot be written.
        """
        with self._lock:
            # one write at the end of the file, so that two servers with one log do not mix their lines
            number = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
            try:
                text = as_csv([entry], header=os.fstat(number).st_size == 0)
                os.write(number, text.encode())
                os.fsync(number)
            finally:
                os.close(number)
