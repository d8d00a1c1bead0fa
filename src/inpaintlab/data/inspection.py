"""Checks every file of a data set before a run depends on it."""

import os
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import final

from inpaintlab.data.pictures import open_image, read_rgb
from inpaintlab.data.sources import SPLITS, Source, Watch, unwatched
from inpaintlab.machine import file_sha256
from inpaintlab.shapes import Size, height_width, plain_size


@final
@dataclass(frozen=True)
class Finding:
    """One thing found in a file or split. An error would stop a run or spoil its numbers; a note would not."""

    kind: str
    """A short name of the fault, under which findings are grouped."""
    subject: str
    """The split and the file or item in it."""
    sentence: str
    is_error: bool


def examine(source: Source, size: Size, watch: Watch = unwatched) -> list[Finding]:
    """Decode and hash every file of a source, and compare the splits.

    Args:
        source: the data set.
        size: of what training cuts; a picture that has to be enlarged for it is reported.
        watch: called after each file.

    Returns:
        Findings in the order of the splits and files, duplicates last.

    Raises:
        ValueError: no split can be found at all.
    """
    findings, names = splits_found(source)
    files = [(split, path) for split in names for path in source.files(split)]
    hashes: dict[str, list[tuple[str, Path]]] = defaultdict(list)

    # Decoding and hashing release Python's global lock, so threads suffice.
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
    """The splits of a source, and a finding for each missing one: an error for train, a note for the others.

    Returns:
        The findings, and the item names of each split that was found.

    Raises:
        ValueError: no split can be found at all.
    """
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


def _examine_file(split: str, path: Path, size: Size, max_pixels: int) -> tuple[str | None, list[Finding]]:
    """The file's SHA-256 (None if it cannot be read) and the findings about it."""

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
    height, width = height_width(size)
    if picture.width < width or picture.height < height:
        sides, wanted = f"{picture.width} x {picture.height}", plain_size(size)
        findings.append(finding("enlarged", f"it is {sides} pixels, less than data.size={wanted}; it is enlarged."))
    return digest, findings


def _examine_edges(source: Source, split: str, name: str) -> list[Finding]:
    try:
        source.edges(split, name)
    except (ValueError, OSError) as error:
        return [Finding("edge map cannot be used", f"{split}: {name}", str(error), is_error=True)]
    return []


def _duplicates(same: list[tuple[str, Path]]) -> Iterator[Finding]:
    """Findings for files with the same bytes: an error between splits, because a test set must not share pictures."""
    (first_split, first), *others = same
    for split, path in others:
        subject = f"{split}: {path}"
        if split != first_split:
            sentence = f"it is the same file as {first} in '{first_split}'; keep it in one split."
            yield Finding("in two splits", subject, sentence, is_error=True)
        else:
            yield Finding("twice in a split", subject, f"it is the same file as {first}.", is_error=False)
