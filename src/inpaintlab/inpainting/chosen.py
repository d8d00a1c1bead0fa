"""Which checkpoint of a run's folder is meant."""

from pathlib import Path
from typing import Any

from inpaintlab.published import STARTERS, starter_file
from inpaintlab.recipes import nearest

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


def meant_instead(missing: Path) -> str:
    """The question whether other weights were meant than a file that is missing: a neighbour of it, starter weights.

    Returns:
        " Did you mean 'runs/glcic'?", with the leading space, or "".
    """
    with_weights = (one for one in _neighbours(missing) if one.suffix == ".ckpt" or (one / LAST).is_file())
    starters = [starter.name for starter in STARTERS] if missing.parent == Path() else []
    return nearest(str(missing), [*map(str, with_weights), *starters])


def _neighbours(place: Path) -> list[Path]:
    try:
        return sorted(place.parent.iterdir())
    except OSError:  # its folder is missing, too, or closed to us
        return []
