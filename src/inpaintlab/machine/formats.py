"""The formats of our own files: this version reads the present one and no other."""

from pathlib import Path


def require_format(path: Path, found: int, present: int, mend: str) -> None:
    """See that a file has the ``present`` format.

    Every earlier format is of version 0.1, which was never released, so nothing here reads one.

    Args:
        path: the file, for the sentence.
        found: the format that it says it has.
        present: the one that this version writes.
        mend: how to make the file again, as in "evaluate this method again".

    Raises:
        ValueError: its format is an earlier or a later one.
    """
    if found < present:
        raise ValueError(f"{path} is of inpaintlab 0.1, which was never released, and cannot be read any more: {mend}.")
    if found > present:
        raise ValueError(f"{path} has format {found}, but this inpaintlab reads format {present}: update inpaintlab.")
