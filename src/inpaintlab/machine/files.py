"""Files that are written whole or not at all, and what they hold: JSON, texts, hashes."""

import errno
import hashlib
import json
import os
from pathlib import Path
from typing import Any

FULL_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""What a system says when a file finds no place: a full disk, a user's share of it, the largest file allowed."""


def write_json(path: Path, data: dict[str, Any]) -> None:
    """Write `data` as indented JSON, whole or not at all.

    Raises ValueError when a value has no place in JSON (NaN, infinity, an object).
    """
    try:
        text = json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path} cannot be written as JSON: {error}.") from error
    write_texts(path.parent, {path.name: text + "\n"})


def write_texts(folder: Path, texts: dict[str, str]) -> None:
    """Write several files (name -> text, UTF-8) into a folder; none of them appears before all are on the disk."""
    parts = {name: folder / f".{name}.{os.getpid()}.partial" for name in texts}
    try:
        for name, text in texts.items():
            parts[name].write_text(text, encoding="utf-8", newline="\n")
        for name, part in parts.items():
            os.replace(part, folder / name)
    finally:
        for part in parts.values():
            part.unlink(missing_ok=True)


def file_sha256(path: Path) -> str:
    """Hash of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
