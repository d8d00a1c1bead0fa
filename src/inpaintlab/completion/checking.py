"""The first reading of a user's photographs, which finds every fault before anything is written."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from threading import Condition
from typing import Any, final

from omegaconf import DictConfig

from inpaintlab.completion.formats import not_held, require_held
from inpaintlab.completion.photographs import Photograph, read_photograph, with_held_formats
from inpaintlab.imaging import opened
from inpaintlab.inpainting import Extent, extents
from inpaintlab.machine import cores, file_sha256

AT_ONCE = 2**25
"""Pixels of photographs that are in memory together, at about 25 bytes each; a larger photograph is alone."""

THREADS = min(16, cores())
"""Threads that read files, and as many that write them: decoding and compression let Python go on meanwhile."""

_DECIDING = ("hole_colour", "threshold", "blend", "window")
"""Settings beside the method that decide pixels."""


@final
@dataclass(frozen=True)
class Checked:
    """A photograph whose files were read once, with what is kept of them.

    Args:
        photograph: its files.
        pixels: how many it has.
        extent: its size, and where its hole lies.
        all_hole: whether none of them is known.
        remarks: sentences on a mask that may be none.
        digests: hashes of the files' bytes: photograph, mask, and drawing if there is one.
    """

    photograph: Photograph
    pixels: int
    extent: Extent
    all_hole: bool
    remarks: tuple[str, ...]
    digests: tuple[str, ...]


def check_photographs(photographs: Sequence[Photograph], cfg: DictConfig) -> list[Checked]:
    """Read all files of all photographs, in threads.

    They are read once more when their turn comes: reading twice is better than an error after half of the folder.

    Args:
        photographs: their files.
        cfg: the settings of ``inpaintlab complete``.

    Returns:
        What is kept of each; those whose own format cannot hold them will be PNG files, if they may.

    Raises:
        ValueError: files that cannot be read, sizes that differ, or a mask that is a photograph; of the first
            photograph that has such a fault; or the format of the file to write cannot hold a photograph.
    """
    room = _Room(AT_ONCE)

    def check(photograph: Photograph) -> tuple[Checked, bool]:
        with opened(photograph.image) as header:
            pixels = header.width * header.height
        with room.taken(pixels):
            contents = read_photograph(photograph, cfg)
            holds = photograph.out is None or not not_held(contents.original, photograph.out)
            if photograph.out is not None and not photograph.kept:
                require_held(contents.original, photograph.out)
            all_hole = bool(contents.mask.numpy().all())
            (extent,) = extents(contents.mask)
        files = [photograph.image, photograph.mask, *([photograph.edges] if photograph.edges else [])]
        return Checked(photograph, pixels, extent, all_hole, contents.remarks, tuple(map(file_sha256, files))), holds

    with ThreadPoolExecutor(THREADS) as threads:
        found = list(threads.map(check, photographs))
    held = with_held_formats(photographs, [holds for _, holds in found])
    return [replace(checked, photograph=photograph) for (checked, _), photograph in zip(found, held, strict=True)]


def hash_of(checked: Checked, identity: dict[str, Any], cfg: DictConfig, *, networks: bool = True) -> str:
    """A hash of all that a completed photograph follows from: its files, the method and the settings.

    Args:
        checked: its files, read once.
        identity: of the method, see `build_method`.
        cfg: the settings of ``inpaintlab complete``.
        networks: whether the method has some; memory decides no pixels of one that has none.
    """
    method = {key: identity[key] for key in ("config", "seed", "switches")}
    weights = identity["checkpoint"] and identity["checkpoint"]["sha256"]
    content = {
        **method,
        "weights": weights,
        "precision": cfg.trainer.precision,
        "files": list(checked.digests),
        **{key: cfg[key] for key in _DECIDING},
        "memory": float(cfg.memory) if networks and cfg.window != "whole" else None,
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


@final
class _Room:
    """Lets threads hold so many pixels together; one who wants more than all of them holds them alone.

    Args:
        pixels: the most that are held together.
    """

    def __init__(self, pixels: int) -> None:
        self.free = self.all = pixels
        self.changed = Condition()

    @contextmanager
    def taken(self, pixels: int) -> Iterator[None]:
        """Wait for room, and hold it while the context lasts."""
        pixels = min(pixels, self.all)
        with self.changed:
            self.changed.wait_for(lambda: self.free >= pixels)
            self.free -= pixels
        try:
            yield
        finally:
            with self.changed:
                self.free += pixels
                self.changed.notify_all()
