"""The look of each method in every plot: its colour, dashes and marker follow from its label, not from its place.

And the style sheet of pages.
"""

import hashlib
import math
from collections.abc import Iterable
from importlib import resources
from itertools import count
from typing import NamedTuple

# Okabe and Ito's palette for colour-blind readers, without yellow and black: one is invisible on the light page, one on
# the dark page.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#8C8C8C")


USUAL = (
    *("edgeconnect", "glcic", "contextual_attention", "partial_convolution", "context_encoder", "telea"),
    "mean_colour",
)
"""The methods that most tables have, in the order of the palette: beside each other they keep their colours."""


# Each further round through the palette has other dashes: lengths on and off, in multiples of the line's width.
_DASHES: tuple[tuple[float, ...], ...] = ((), (4.0, 2.0), (1.0, 1.5), (5.0, 1.5, 1.0, 1.5))


_MARKERS = ("o", "s", "^", "D", "v", "P", "X")


class Look(NamedTuple):
    """How a method is drawn.

    Args:
        colour: as #RRGGBB.
        dashes: of its line; empty for a solid one.
        marker: in matplotlib's words; it tells the colours apart on grey paper.
    """

    colour: str
    dashes: tuple[float, ...]
    marker: str

    @property
    def key(self) -> str:
        """The dashes for a legend in HTML, as an SVG stroke-dasharray of a line 3 px wide."""
        return " ".join(f"{math.ceil(3 * part)}" for part in self.dashes) or "none"


def looks(labels: Iterable[str]) -> dict[str, Look]:
    """The look of each of the methods that one table or figure shows; all differ, up to 28 methods.

    A label wishes for a colour: a usual one for its own, any other for that of its hash. So a method looks alike in
    every table and figure, whoever else is there, unless two of one table wish for the same colour. Then the usual one
    has it, or the first by name, and the other takes the next free one: that too is the same wherever these two meet
    and no third label interferes.
    """
    found: dict[str, int] = {}
    for label in sorted(set(labels), key=lambda label: (label not in USUAL, label)):
        wish = USUAL.index(label) if label in USUAL else _hash(label) % len(PALETTE)
        taken = set(found.values())
        found[label] = next(look for step in count() if (look := _look(wish, step)) not in taken)
    return {
        label: Look(
            PALETTE[look % len(PALETTE)],
            _DASHES[look // len(PALETTE) % len(_DASHES)],
            _MARKERS[look % len(PALETTE)],
        )
        for label, look in found.items()
    }


def style() -> str:
    """The style sheet of the report, and of other pages that look like it."""
    return resources.files(__package__).joinpath("report.css").read_text("utf-8")


def _look(wish: int, step: int) -> int:
    """The number of the look that comes ``step`` places after the wished colour: all colours, then other dashes."""
    round_, further = divmod(step, len(PALETTE))
    return round_ * len(PALETTE) + (wish + further) % len(PALETTE)


def _hash(label: str) -> int:
    return int.from_bytes(hashlib.sha256(label.encode("utf-8", "surrogateescape")).digest()[:8], "big")
