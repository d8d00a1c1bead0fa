"""What a test set shares with training: the same image, almost the same image, the same mask file."""

import os
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from multiprocessing.pool import ThreadPool
from typing import final

import imagehash
import numpy as np
from jaxtyping import UInt64
from PIL import Image, ImageOps

from inpaintlab.data import Source
from inpaintlab.machine import file_sha256
from inpaintlab.masks import MaskFolder
from inpaintlab.testsets.manifest import Manifest

_SHOWN = 20
"""How many leaks of a kind are listed."""


Watch = Callable[[int, int], None]
"""Called with the number of pictures done and of all pictures."""


@final
@dataclass(frozen=True)
class Leak:
    """One thing of the test set that training has as well."""

    kind: str
    """"same image", "similar image" or "same mask file"."""
    tested: str
    trained: str
    distance: int = 0
    """Bits of 64 in which the fingerprints of similar images differ."""


def image_leaks(
    manifest: Manifest,
    tested: Source,
    training: Source,
    split: str = "train",
    distance: int = 8,
    watch: Watch = lambda done, total: None,
) -> list[Leak]:
    """Images of a test set that are the same as, or much like, images of a training split.

    The same are images with the same hash over the file. Similar are images whose fingerprints differ in at most
    ``distance`` of 64 bits, as they are or mirrored, because training mirrors. The fingerprint is the perceptual hash
    of the imagehash package: the signs, against their median, of the lowest frequencies of the picture at 32 x 32
    pixels. It finds re-encoded, resized and most recoloured copies. It is not made for rotated copies, and one that was
    cropped by more than one or two percent a side often escapes.

    Args:
        manifest: the test set.
        tested: where the test set's images are read.
        training: the training set.
        split: which split of ``training``.
        distance: in bits. Random fingerprints, with half of the bits set, are within 8 once in 700 million pairs.
        watch: told of the progress.

    Raises:
        ValueError: pictures that cannot be found or read.
    """
    images, names = list(dict.fromkeys(item.image for item in manifest.items)), training.names(split)
    total = len(images) + len(names)
    ours = _fingerprints(tested, manifest.split, images, lambda done: watch(done, total))
    theirs = _fingerprints(training, split, names, lambda done: watch(len(images) + done, total))[:, 0]
    trained: dict[str, list[int]] = defaultdict(list)
    for index, name in enumerate(names):
        trained[training.sha256(split, name)].append(index)

    frozen = {item.image: item.image_sha256 for item in manifest.items}
    leaks = []
    for image, prints in zip(images, ours, strict=True):
        far = np.bitwise_count(prints[:, None] ^ theirs).min(axis=0)
        same = trained.get(frozen[image], [])
        leaks += [Leak("same image", image, names[index]) for index in same]
        similar = [index for index in np.flatnonzero(far <= distance).tolist() if index not in same]
        leaks += [Leak("similar image", image, names[index], int(far[index])) for index in similar]
    return leaks


def mask_leaks(manifest: Manifest, training: MaskFolder) -> list[Leak]:
    """Mask files of a test set that lie in training's mask folder, byte for byte, under whatever name.

    EdgeConnect was trained on the masks that others test on; such numbers are not comparable.
    """
    trained = defaultdict(list)
    for name in training.names:
        trained[file_sha256(training.root / name)].append(name)
    tested = {item.mask_file: item.mask_file_sha256 for item in manifest.items if item.mask_file}
    return [
        Leak("same mask file", file, name) for file, sha256 in tested.items() for name in trained.get(str(sha256), [])
    ]


def summary(leaks: list[Leak]) -> list[str]:
    """What a user is told: the first leaks of each kind, and how many there are."""
    lines = []
    counts = Counter(leak.kind for leak in leaks)
    for kind, count in counts.items():
        for leak in [leak for leak in leaks if leak.kind == kind][:_SHOWN]:
            bits = f" ({leak.distance} of 64 bits differ)" if kind == "similar image" else ""
            lines.append(f"{kind}: {leak.tested} is in training as {leak.trained}{bits}")
        if count > _SHOWN:
            lines.append(f"{kind}: {count - _SHOWN} more")
    counted = ", ".join(f"{kind}: {count}" for kind, count in counts.items())
    return [*lines, f"{counted}. Take them out of training, or out of the test set." if leaks else "Nothing is shared."]


def _fingerprints(
    source: Source, split: str, names: list[str], watch: Callable[[int], None]
) -> UInt64[np.ndarray, "images 2"]:
    """The fingerprint of each picture, as it is and mirrored."""
    prints = np.zeros((len(names), 2), np.uint64)
    # Decoding lets go of Python's lock, so threads are enough.
    with ThreadPool(os.cpu_count()) as threads:
        for index, picture in enumerate(threads.imap(partial(_small, source, split), names)):
            for side, view in enumerate((picture, ImageOps.mirror(picture))):
                prints[index, side] = int(str(imagehash.phash(view)), 16)
            watch(index + 1)
    return prints


def _small(source: Source, split: str, name: str) -> Image.Image:
    # Grey, and in the size that the perceptual hash looks at; mirrored here, it costs nothing.
    return source.read(split, name).convert("L").resize((32, 32), Image.Resampling.LANCZOS)
