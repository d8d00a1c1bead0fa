"""The file names of the pictures that are made of a test set's images."""

import hashlib
import os
import unicodedata
from collections import Counter
from collections.abc import Iterable

_LONGEST = 140
"""Bytes of a file name with its ending. Most file systems take 255, those that encrypt names (eCryptfs) 143."""

_ENDING = ".png"

_KEPT = ("L", "M", "N")
"""Unicode's letters, their marks, and numbers."""


def picture_names(names: Iterable[str]) -> dict[str, str]:
    """A file name for each image of a test set, such as ``10-20_photo.jpg.png`` for ``10-20/photo.jpg``.

    Letters and numbers of every script are kept, and so are ``.``, ``-`` and emoji; every other character becomes
    ``_``. Where two names would meet, on some system at least (in letters' case, or in the Unicode form of an é), or
    one is longer than 140 bytes, a hash of the image's name is added. So the files of all images are different ones,
    and each follows from the names alone.

    Args:
        names: of the images; each once.

    Returns:
        Each image's name to its file's, which ends in ``.png``.
    """
    plain = {name: _plain(name) for name in names}
    times = Counter(map(_folded, plain.values()))
    return {name: _with_hash(text, name, times[_folded(text)] > 1) for name, text in plain.items()}


def picture_name(name: str) -> str:
    """The file name of an image that meets no other one, see `picture_names`."""
    return picture_names([name])[name]


def _plain(name: str) -> str:
    kinds = ((c, unicodedata.category(c)) for c in name)
    kept = (c if c in ".-" or kind[0] in _KEPT or kind == "So" else "_" for c, kind in kinds)
    return unicodedata.normalize("NFC", "".join(kept))


def _folded(text: str) -> str:
    """What is alike for a system that tells neither letters' case nor Unicode forms apart."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", text).casefold())


def _with_hash(text: str, name: str, meets: bool) -> str:
    room = _LONGEST - len(_ENDING)
    if not meets and len(text.encode()) <= room:
        return text + _ENDING
    end = f"-{hashlib.sha256(os.fsencode(name)).hexdigest()[:12]}"
    return text.encode()[: room - len(end)].decode(errors="ignore") + end + _ENDING
