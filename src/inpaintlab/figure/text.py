"""Text on paper: labels are data of any script and length, so they are measured, broken into lines, and given fonts."""

import functools
from collections.abc import Iterable, Sequence

from matplotlib import font_manager
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.font_manager import FontProperties

BASE = "DejaVu Sans"
"""It comes with matplotlib, so text looks alike on every machine; it has Latin, Greek, Cyrillic, Arabic, Hebrew."""


POINTS = 72.0  # an inch


SMALL, NORMAL = 6.5, 8.0
"""Sizes of text in points: of labels at pictures, and of axes and titles."""


LINE = 1.25  # height of a line, in sizes of its text


_BREAKS = "_-./,:="
"""Where there is no space, a label is broken behind these; elsewhere only where it must be."""


def families(texts: Iterable[str]) -> list[str]:
    """The fonts in which all of these texts can be drawn: matplotlib's own, then others of this machine.

    A character that no font has is drawn as the frame of its script, which matplotlib brings (see `without_font`).
    """
    chosen, missing = [BASE], _missing(texts)
    if not missing:
        return chosen
    for name, path in _installed():
        if has := missing & _characters(path):
            chosen.append(name)
            missing -= has
        if not missing:
            break
    return chosen


def without_font(texts: Iterable[str]) -> str:
    """The characters of these texts that no font of this machine has, in the order of their numbers."""
    texts = list(texts)
    known = families(texts)
    have = set().union(*(_characters(path) for name, path in _installed() if name in known))
    return "".join(map(chr, sorted(_missing(texts) - have)))


def lines(text: str, width: float, size: float, family: Sequence[str]) -> list[str]:
    """A text as lines of at most this width; nothing of it is left out, a line break in it becomes a space.

    Args:
        text: of any length.
        width: in inches; a single character may be wider.
        size: in points.
        family: see `families`.
    """
    rest, broken = " ".join(text.split()), []
    while rest:
        end = _fitting(rest, width, size, tuple(family))
        if end < len(rest):
            places = (rest.rfind(" ", 0, end + 1) + 1, max(rest.rfind(mark, 0, end) for mark in _BREAKS) + 1)
            # a break near the beginning would waste the line
            end = next((at for at in places if at > end // 3), end)
        broken.append(rest[:end].rstrip())
        rest = rest[end:].lstrip()
    return broken


def measured(text: str, size: float, family: Sequence[str]) -> float:
    """The width of a line of text in inches."""
    return _measured(text, size, tuple(family))


def _fitting(text: str, width: float, size: float, family: tuple[str, ...]) -> int:
    """How many characters of the text fit into a line; at least one."""
    low, high = 1, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if _measured(text[:middle], size, family) <= width else (low, middle - 1)
    return low


@functools.lru_cache(maxsize=4096)
def _measured(text: str, size: float, family: tuple[str, ...]) -> float:
    font = FontProperties(family=list(family), size=size)
    width, _, _ = _renderer().get_text_width_height_descent(text, font, False)
    return float(width) / POINTS


@functools.cache
def _renderer() -> RendererAgg:
    return RendererAgg(1, 1, POINTS)


def _missing(texts: Iterable[str]) -> set[int]:
    """The characters that the base font lacks; what shows nothing by itself is not missing."""
    base = _characters(font_manager.findfont(BASE))
    return {ord(character) for text in texts for character in text if character.isprintable()} - base


@functools.cache
def _installed() -> list[tuple[str, str]]:
    """Name and file of every upright font of usual weight, those without serifs first."""
    found = {
        entry.name: entry.fname
        for entry in font_manager.fontManager.ttflist
        if entry.style == "normal" and entry.weight in (400, "normal", "regular") and "Last Resort" not in entry.name
    }
    return sorted(found.items(), key=lambda item: ("Sans" not in item[0], item[0]))


@functools.cache
def _characters(path: str) -> frozenset[int]:
    return frozenset(font_manager.get_font(path).get_charmap())
