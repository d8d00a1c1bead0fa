"""The starter weights inside this package: small networks trained on photographs whose licences allow it."""

from dataclasses import dataclass
from pathlib import Path
from typing import final

_FOLDER = Path(__file__).parent / "starter"


@final
@dataclass(frozen=True)
class Starter:
    """One file of starter weights: a checkpoint without what only its training needed.

    Args:
        name: what stands for a path wherever a checkpoint is named.
        purpose: whose network it is, how wide, and what it was trained on.
        saw: of how many batches.
        sha256: the file's SHA-256 in hex.
    """

    name: str
    purpose: str
    saw: str
    sha256: str

    @property
    def path(self) -> Path:
        """The file."""
        return _FOLDER / f"{self.name}.ckpt"


STARTER_LAYOUT = "starter"
"""What their record says in place of the layout of published files."""

STARTER_LICENCE = "as this package; of 799 photographs under CC BY 2.0 and 650 under CC0 1.0"
STARTER_CREDITS = _FOLDER / "CREDITS.md"

STARTERS: tuple[Starter, ...] = (
    Starter(
        "starter-glcic",
        "GLCIC, width 1/4: flowers, garments",
        "5,209 batches of 16 crops of 64 pixels",
        "c2648270a8908e7bf2d9847d2d8e00da86d659a40b40dda6603be11308f4084a",
    ),
    Starter(
        "starter-edgeconnect",
        "EdgeConnect, width 1/8: flowers, garments",
        "6,200 batches of 8 crops of 64 pixels, 2,200 of them for the edges",
        "beea8bef2655c5ff1b4986a40b390e96ab3ceb2a32e9a87e3a59cc4331918931",
    ),
)
"""All starter weights."""


def starter_file(place: Path) -> Path:
    """The file of the starter weights that a path names, where nothing of that name lies there; else the path."""
    files = {starter.name: starter.path for starter in STARTERS}
    return files.get(str(place), place) if not place.exists() else place
