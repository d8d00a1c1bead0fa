"""Which checkpoint of a run's folder is meant."""

from pathlib import Path
from typing import Any

from inpaintlab.published import starter_file

BEST, LAST = "best.ckpt", "last.ckpt"


def chosen_file(place: Path, which: Any = None) -> Path:
    """The file of weights that a path and the setting ``which`` mean.

    Args:
        place: a run's folder, or a file; or the name of starter weights, where nothing of that name lies there.
        which: 'best' or 'last' of a folder; None takes ``best.ckpt`` where there is one, else ``last.ckpt``.

    Raises:
        ValueError: ``which`` is something else or beside a file, or there is no best one.
    """
    if which not in (None, "best", "last"):
        raise ValueError(f"which is {which!r}; it can be best or last, or null for the best where there is one.")
    place = starter_file(place)
    if not place.is_dir():
        if which is not None and place.is_file():
            raise ValueError(f"which={which} beside the file {place} would be ignored; leave it out, or name a folder.")
        return place
    best = place / BEST
    if which == "best" and not best.is_file():
        raise ValueError(
            f"{place} has no {BEST}, which a run's first validation writes; which=last takes its newest checkpoint."
        )
    return best if which != "last" and best.is_file() else place / LAST
