"""Leaks between a test set and training: the same image, almost the same image, the same mask file."""

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

from inpaintlab.data import Source, Watch
from inpaintlab.machine import file_sha256
from inpaintlab.masks import MaskFolder
from inpaintlab.testsets.manifest import Manifest

_MOST_LISTED = 20
"""How many leaks of a kind are listed."""


@final
@dataclass(frozen=True)
class Leak:
    """An image or mask file of the test set that training has as well."""

    kind: str
    """"same image", "similar image" or "same mask file"."""
    tested: str
    """Its name in the test set."""
    trained: str
    """Its name in training."""
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
    """Images of a test set that are the same as, or similar to, images of a training split.

    Images are the same if their files have the same hash. They are similar if their fingerprints differ in at most
    ``distance`` of 64 bits, with the image as it is or mirrored, because training flips images. The fingerprint is the
    perceptual hash of the imagehash package: whether each of the lowest frequencies of the picture, at 32 x 32 pixels,
    is above their median. It finds re-encoded, resized and most recoloured copies. It does not find rotated copies, and
    often misses copies that were cropped by more than one or two percent on each side.

    Args:
        manifest: the test set.
        tested: the source of the test set's images.
        training: the training set.
        split: which split of ``training``.
        distance: in bits. Two random fingerprints, with half of their bits set, differ in at most 8 bits once in 700
            million pairs.
        watch: called after each picture.

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
        distances = np.bitwise_count(prints[:, None] ^ theirs).min(axis=0)
        same = trained.get(frozen[image], [])
        leaks += [Leak("same image", image, names[index]) for index in same]
        similar = [index for index in np.flatnonzero(distances <= distance).tolist() if index not in same]
        leaks += [Leak("similar image", image, names[index], int(distances[index])) for index in similar]
    return leaks


def mask_leaks(manifest: Manifest, training: MaskFolder) -> list[Leak]:
    """Mask files of a test set that training's mask folder contains too: the same bytes under any name.

    EdgeConnect was trained on masks that others use for testing; such scores are not comparable.

    Args:
        manifest: the test set.
        training: the masks of training.

    Raises:
        OSError: a mask file of training cannot be read.
    """
    trained = defaultdict(list)
    for name in training.names:
        trained[file_sha256(training.root / name)].append(name)
    tested = {item.mask_file: item.mask_file_sha256 for item in manifest.items if item.mask_file}
    return [
        Leak("same mask file", file, name) for file, sha256 in tested.items() for name in trained.get(str(sha256), [])
    ]


def summary(leaks: list[Leak]) -> list[str]:
    """Lines that list the first leaks of each kind, and how many there are."""
    lines = []
    counts = Counter(leak.kind for leak in leaks)
    for kind, count in counts.items():
        for leak in [leak for leak in leaks if leak.kind == kind][:_MOST_LISTED]:
            bits = f" ({leak.distance} of 64 bits differ)" if kind == "similar image" else ""
            lines.append(f"{kind}: {leak.tested} is in training as {leak.trained}{bits}")
        if count > _MOST_LISTED:
            lines.append(f"{kind}: {count - _MOST_LISTED} more")
    counted = ", ".join(f"{kind}: {count}" for kind, count in counts.items())
    return [*lines, f"{counted}. Take them out of training, or out of the test set." if leaks else "Nothing is shared."]


def _fingerprints(
    source: Source, split: str, names: list[str], watch: Callable[[int], None]
) -> UInt64[np.ndarray, "images 2"]:
    """The fingerprint of each picture, as it is and mirrored."""
    prints = np.zeros((len(names), 2), np.uint64)
    # Decoding releases Python's global lock, so threads suffice.
    with ThreadPool(os.cpu_count()) as threads:
        for index, picture in enumerate(threads.imap(partial(_small, source, split), names)):
            for side, view in enumerate((picture, ImageOps.mirror(picture))):
                prints[index, side] = int(str(imagehash.phash(view)), 16)
            watch(index + 1)
    return prints


def _small(source: Source, split: str, name: str) -> Image.Image:
    # The perceptual hash uses grey pixels at this size; reducing the picture first makes mirroring it cheap.
    return source.read(split, name).convert("L").resize((32, 32), Image.Resampling.LANCZOS)
