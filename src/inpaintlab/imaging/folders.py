"""Finding the pictures of a folder: photographs, masks and edge maps are all found by these rules."""

import errno
import os
import unicodedata
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import final

from inpaintlab.imaging.opening import ENDINGS
from inpaintlab.machine import shown

_MOST_NAMED = 5
"""How many endings or names a sentence lists."""


@final
@dataclass(frozen=True)
class Pictures:
    """The pictures in a folder and the folders below it, and all that stands beside them.

    Args:
        root: the folder.
        names: the pictures' paths below it, with forward slashes, sorted by their characters. Whether a file can be
            read is seen when it is opened: a link to nowhere or a FIFO that is called like a picture is among them.
        others: how many files have another ending, by the ending in lower case; "" for files without one. Hidden files
            are not counted.
        examples: one of these files for each ending.
        faults: a sentence for each folder that cannot be listed, and for each name that cannot be used. Training on
            the rest would be training on a part of the data, so whoever reads the folder stops at them.
        folders: the real paths of all folders that were searched.
    """

    root: Path
    names: tuple[str, ...]
    others: Counter[str]
    examples: dict[str, str]
    faults: tuple[str, ...]
    folders: frozenset[str]

    def require_sound(self) -> None:
        """Refuse a folder with faults.

        Raises:
            ValueError: there are some; the message holds the first ones.
        """
        if self.faults:
            more = len(self.faults) - _MOST_NAMED
            raise ValueError(" ".join(self.faults[:_MOST_NAMED]) + (f" {more} more of the kind." if more > 0 else ""))

    def left_out(self) -> str | None:
        """A sentence about the files that have no picture's ending; None if there are none."""
        if not self.others:
            return None
        kinds = [
            f"{count} {shown(ending) if ending else 'without an ending'} ({shown(self.examples[ending])})"
            for ending, count in sorted(self.others.items(), key=lambda item: (-item[1], item[0]))
        ]
        rest = f" and {len(kinds) - _MOST_NAMED} more endings" if len(kinds) > _MOST_NAMED else ""
        count = self.others.total()
        return (
            f"{shown(self.root)}: {count} file{'s are' if count > 1 else ' is'} left out, because of the ending: "
            f"{', '.join(kinds[:_MOST_NAMED])}{rest}; pictures end in {', '.join(ENDINGS)}."
        )


def find_pictures(root: Path) -> Pictures:
    """Search a folder and all folders below it.

    Each real folder is searched once, however many links lead to it: first under its own place, else under the first
    of its links in the order of their names. A link to a folder that holds ``root`` is not followed, so that the
    splits of a data set do not reach each other. Files and folders whose names begin with a dot, which systems and
    file managers leave behind, are left out.

    Args:
        root: the folder; if there is none, nothing is found.
    """
    names: list[str] = []
    faults = [] if _is_utf8(str(root)) else [f"The path {shown(root)} is not UTF-8; no list can hold it: rename it."]
    others: Counter[str] = Counter()
    examples: dict[str, str] = {}
    searched, real = {_identity(above) for above in root.resolve().parents}, set()
    waiting = [""] if root.is_dir() else []
    links: list[str] = []
    while waiting or links:
        # links come last, so that a folder has its own name wherever it lies below the root
        here = waiting.pop() if waiting else links.pop(0)
        folder = root / here
        try:
            if (identity := _identity(folder)) in searched:
                continue
            searched.add(identity)
            with os.scandir(folder) as found:
                entries = sorted(found, key=lambda entry: entry.name)
        except OSError as error:
            faults.append(f"The folder {shown(folder)} cannot be searched ({error.strerror}); allow it, or move it.")
            continue
        real.add(os.path.realpath(folder))
        for entry in entries:
            if entry.name.startswith("."):
                continue
            name = f"{here}/{entry.name}" if here else entry.name
            try:
                is_folder = entry.is_dir()
            except OSError as error:
                if error.errno != errno.ELOOP:  # links in a circle lead to no folder
                    faults.append(f"The link {shown(root / name)} cannot be followed ({error.strerror}); remove it.")
                    continue
                is_folder = False
            if is_folder:
                (links if entry.is_symlink() else waiting).append(name)
                continue
            ending = os.path.splitext(entry.name)[1].lower()
            if ending not in ENDINGS:
                others[ending] += 1
                examples[ending] = min(name, examples.get(ending, name))
            elif _is_utf8(name):
                names.append(name)
            else:
                faults.append(f"The name of {shown(folder / entry.name)} is not UTF-8; no list can hold it: rename it.")
        links.sort()
    return Pictures(root, tuple(sorted(names)), others, examples, tuple(sorted(faults)), frozenset(real))


def same_form(name: str) -> str:
    """A name in one Unicode form: an é may be one character or two, and systems turn one into the other."""
    return unicodedata.normalize("NFC", name)


def on_disk(root: Path, name: str) -> Path:
    """The path of ``name`` below ``root``, also where the disk has it in another Unicode form.

    Args:
        root: a folder.
        name: a path below it, or an absolute one.

    Returns:
        The path that exists; the path as it was given if there is none, or more than one in other forms.
    """
    given = root / name
    if name.isascii() or os.path.lexists(given):
        return given
    path = root
    for part in Path(name).parts:
        step = path / part
        if not os.path.lexists(step):
            wanted = same_form(part)
            try:
                alike = [other for other in os.listdir(path) if same_form(other) == wanted]
            except OSError:
                return given
            if len(alike) != 1:
                return given
            step = path / alike[0]
        path = step
    return path


def _identity(folder: Path) -> tuple[int, int]:
    state = folder.stat()
    return state.st_dev, state.st_ino


def _is_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
