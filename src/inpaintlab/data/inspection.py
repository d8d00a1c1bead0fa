"""Every file of a data set looked at, before a run trips over it."""

import os
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import final

from inpaintlab.data.pictures import open_image, read_rgb
from inpaintlab.data.sources import SPLITS, Source
from inpaintlab.machine import file_sha256


@final
@dataclass(frozen=True)
class Finding:
    """What is to be said about one file or split. An error would stop a run or spoil its numbers; a note would not."""

    kind: str
    subject: str
    """The split and the file or item in it."""
    sentence: str
    is_error: bool


def examine(source: Source, size: int, watch: Callable[[int, int], None] = lambda done, total: None) -> list[Finding]:
    """Decode and hash every file of a source, and compare the splits.

    Args:
        source: what is examined.
        size: side in pixels of the squares that training cuts; a picture with a shorter side than this is told.
        watch: called with the number of files done and of all files after each one.

    Returns:
        findings in the order of the splits and files, duplicates last.

    Raises:
        ValueError: no split can be found at all.
    """
    findings, names = splits_found(source)
    files = [(split, path) for split in names for path in source.files(split)]
    hashes: dict[str, list[tuple[str, Path]]] = defaultdict(list)

    # Decoding and hashing let go of Python's lock, so threads are enough.
    with ThreadPool(os.cpu_count()) as threads:
        results = threads.imap(lambda file: _examine_file(*file, size, source.max_pixels), files)
        for done, (file, (digest, found)) in enumerate(zip(files, results, strict=True), start=1):
            findings += found
            if digest:
                hashes[digest].append(file)
            watch(done, len(files))
        items = [(split, name) for split in names for name in names[split]]
        for edge_findings in threads.imap(lambda item: _examine_edges(source, *item), items):
            findings += edge_findings

    for same in hashes.values():
        findings += _duplicates(same)
    return findings


def splits_found(source: Source) -> tuple[list[Finding], dict[str, list[str]]]:
    """Which splits there are. One that is missing is told: training needs train, the others may not be needed."""
    findings, names, first = [], {}, None
    for split in SPLITS:
        try:
            names[split] = source.names(split)
        except ValueError as error:
            first = first or error
            findings.append(Finding("split not found", split, str(error), is_error=split == "train"))
    if not names and first:
        raise first
    return findings, names


def _examine_file(split: str, path: Path, size: int, max_pixels: int) -> tuple[str | None, list[Finding]]:
    """The file's SHA-256 (None where it cannot be read) and what is to be said about it."""

    def finding(kind: str, sentence: str, is_error: bool = False) -> Finding:
        return Finding(kind, f"{split}: {path}", sentence, is_error)

    findings = []
    try:
        with open_image(path, max_pixels) as header:
            mode = header.mode
        picture = read_rgb(path, max_pixels)
        digest = file_sha256(path)
    except (ValueError, OSError) as error:
        return None, [finding("cannot be used", str(error), is_error=True)]
    if mode != "RGB":
        findings.append(finding(f"converted from {mode}", f"its mode is {mode}; it is converted to RGB."))
    if min(picture.size) < size:
        sides = f"{picture.width} x {picture.height}"
        findings.append(finding("enlarged", f"it is {sides} pixels, less than data.size={size}; it is enlarged."))
    return digest, findings


def _examine_edges(source: Source, split: str, name: str) -> list[Finding]:
    try:
        source.edges(split, name)
    except (ValueError, OSError) as error:
        return [Finding("edge map cannot be used", f"{split}: {name}", str(error), is_error=True)]
    return []


def _duplicates(same: list[tuple[str, Path]]) -> Iterator[Finding]:
    """Files with the same bytes: between splits an error, because a test on training pictures shows nothing."""
    (first_split, first), *others = same
    for split, path in others:
        subject = f"{split}: {path}"
        if split != first_split:
            sentence = f"it is the same file as {first} in '{first_split}'; keep it in one split."
            yield Finding("in two splits", subject, sentence, is_error=True)
        else:
            yield Finding("twice in a split", subject, f"it is the same file as {first}.", is_error=False)
