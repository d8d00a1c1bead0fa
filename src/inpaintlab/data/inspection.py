"""Checks every file of a data set before a run depends on it.

A file is examined by the very functions that training and evaluation read it with: what stops them is an error here.
"""

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import NamedTuple, final

from inpaintlab.data.crops import Crop
from inpaintlab.data.pictures import as_rgb, require_same_size
from inpaintlab.data.sources import SPLITS, Source, Watch, unwatched
from inpaintlab.imaging import SEVERAL, read_picture, same_form
from inpaintlab.machine import file_sha256, shown
from inpaintlab.masks import Mask, MaskFolder, mask_folders
from inpaintlab.shapes import plain_size


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


class _Photograph(NamedTuple):
    """A file of a split, and the item that has its edge map; None where files are no items."""

    split: str
    path: Path
    item: str | None


def examine(source: Source, crop: Crop, mask: Mask | None = None, watch: Watch = unwatched) -> list[Finding]:
    """Read and hash every file of a source and of the folders of masks, and compare the splits.

    Args:
        source: the data set.
        crop: how training and evaluation cut its pictures; one that has to be enlarged for that is reported.
        mask: the masks of training; those that are drawn need no examination.
        watch: called after each file.

    Returns:
        Findings in the order of the splits and files, then those of masks, duplicates last.

    Raises:
        ValueError: no split can be found at all.
    """
    findings, names = splits_found(source)
    photographs = [photograph for split in names for photograph in _photographs(source, split, names[split])]
    masks = [(folder, name) for folder in (mask_folders(mask) if mask else []) for name in folder.names]
    total = len(photographs) + len(masks)
    hashes: dict[str, list[tuple[str, Path]]] = defaultdict(list)

    # Decoding and hashing release Python's global lock, so threads suffice.
    with ThreadPool(os.cpu_count()) as threads:
        results = threads.imap(partial(_examine_photograph, source, crop), photographs)
        for done, (file, (digest, found)) in enumerate(zip(photographs, results, strict=True), start=1):
            findings += found
            if digest:
                hashes[digest].append((file.split, file.path))
            watch(done, total)
        for done, found in enumerate(threads.imap(partial(_examine_mask, crop.size), masks), len(photographs) + 1):
            findings += found
            watch(done, total)

    for folder in mask_folders(mask) if mask else []:
        findings += _left_out("masks", folder.left_out())
    for same in hashes.values():
        findings += _duplicates(same)
    return findings


def splits_found(source: Source) -> tuple[list[Finding], dict[str, list[str]]]:
    """The splits of a source, and findings about them as a whole: those that are missing or can be read in part only.

    A missing split is an error for train and val, which a training needs, and a note for test.

    Returns:
        The findings, and the item names of each split that was found.

    Raises:
        ValueError: no split can be found at all.
    """
    findings, names, first = [], {}, None
    for split in SPLITS:
        try:
            names[split] = source.readable(split)
        except ValueError as error:
            first = first or error
            findings.append(Finding("split not found", split, str(error), is_error=split != "test"))
    if not names and first:
        raise first
    for split, readable in names.items():
        findings += [Finding("cannot be read", split, sentence, is_error=True) for sentence in source.faults(split)]
        findings += _left_out(split, source.left_out(split))
        findings += _alike(split, readable)
    return findings, names


def _photographs(source: Source, split: str, names: list[str]) -> Iterator[_Photograph]:
    files = source.files(split)
    # tiles share files: they are items without a file of their own, and have no edge maps
    items: Iterable[str | None] = names if len(files) == len(names) else [None] * len(files)
    for path, item in zip(files, items, strict=True):
        yield _Photograph(split, path, item)


def _examine_photograph(source: Source, crop: Crop, file: _Photograph) -> tuple[str | None, list[Finding]]:
    """The file's SHA-256 (None if it cannot be read) and the findings about it and its edge map."""

    def finding(kind: str, sentence: str, is_error: bool = False) -> Finding:
        return Finding(kind, f"{file.split}: {shown(file.path)}", sentence, is_error)

    try:
        stored = read_picture(file.path, source.max_pixels)
        picture = as_rgb(stored, file.path)
        crop.require_memory(picture, file.path)
        digest = file_sha256(file.path)
    except (ValueError, OSError) as error:
        return None, [finding("cannot be used", str(error), is_error=True)]
    findings = []
    if stored.mode != "RGB":
        findings.append(finding(f"converted from {stored.mode}", f"its mode is {stored.mode}; it is converted to RGB."))
    if SEVERAL in stored.info:
        findings.append(finding("several frames", "it has several frames or pages, of which the first is read."))
    height, width = crop.size
    if picture.width < width or picture.height < height:
        sides, wanted = f"{picture.width} x {picture.height}", plain_size(crop.size)
        findings.append(finding("enlarged", f"it is {sides} pixels, less than data.size={wanted}; it is enlarged."))
    if file.item is not None:
        try:
            edges = source.edges(file.split, file.item)
            if edges is not None:
                require_same_size(edges, picture, file.item)
        except (ValueError, OSError) as error:
            subject = f"{file.split}: {file.item}"
            findings.append(Finding("edge map cannot be used", subject, str(error), is_error=True))
    return digest, findings


def _examine_mask(size: tuple[int, int], file: tuple[MaskFolder, str]) -> list[Finding]:
    folder, name = file
    notes: list[str] = []
    try:
        folder.of_file(name, *size, notes.append)
    except (ValueError, OSError) as error:
        return [Finding("mask cannot be used", f"masks: {shown(folder.root / name)}", str(error), is_error=True)]
    return [Finding("grey mask", f"masks: {shown(folder.root / name)}", note, is_error=False) for note in notes]


def _left_out(subject: str, sentence: str | None) -> list[Finding]:
    return [Finding("left out", subject, sentence, is_error=False)] if sentence else []


def _alike(split: str, names: list[str]) -> Iterator[Finding]:
    """Findings for names that some disks, those of Macs and of Windows among them, take for one."""
    first: dict[str, str] = {}
    for name in names:
        other = first.setdefault(same_form(name).casefold(), name)
        if other != name:
            sentence = f"its name differs from {shown(other)} in capitals or Unicode form alone; some disks keep one."
            yield Finding("names alike", f"{split}: {shown(name)}", sentence, is_error=False)


def _duplicates(same: list[tuple[str, Path]]) -> Iterator[Finding]:
    """Findings for files with the same bytes: an error between splits, because a test set must not share pictures."""
    (first_split, first), *others = same
    for split, path in others:
        subject = f"{split}: {shown(path)}"
        if split != first_split:
            sentence = f"it is the same file as {shown(first)} in '{first_split}'; keep it in one split."
            yield Finding("in two splits", subject, sentence, is_error=True)
        else:
            yield Finding("twice in a split", subject, f"it is the same file as {shown(first)}.", is_error=False)
