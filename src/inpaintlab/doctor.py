"""The command ``inpaintlab doctor``: look at every file of a data set before a run trips over it."""

import hashlib
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import final

from hydra.utils import instantiate
from omegaconf import DictConfig
from rich.console import Console
from rich.progress import Progress

from inpaintlab.config import command
from inpaintlab.pictures import open_image, read_rgb
from inpaintlab.shards import Shards
from inpaintlab.sources import SPLITS, Source

EXAMPLES = 5
"""How many files are named for one kind of note; errors are all named."""


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
    findings, names = _look_for_splits(source)
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


def _look_for_splits(source: Source) -> tuple[list[Finding], dict[str, list[str]]]:
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
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
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


def report(findings: list[Finding], files: Counter[str], console: Console) -> int:
    """Print all errors, examples of each kind of note and one line of summary; return the exit code, 1 on errors."""
    errors = [finding for finding in findings if finding.is_error]
    for error in errors:
        console.print(f"error  {error.kind}, {error.subject}: {error.sentence}", markup=False, soft_wrap=True)

    notes: dict[str, list[Finding]] = defaultdict(list)
    for finding in findings:
        if not finding.is_error:
            notes[finding.kind].append(finding)
    for kind, alike in notes.items():
        for note in alike[:EXAMPLES]:
            console.print(f"note   {kind}, {note.subject}: {note.sentence}", markup=False, soft_wrap=True)
        if len(alike) > EXAMPLES:
            console.print(f"note   {kind}: {len(alike) - EXAMPLES} more files", markup=False, soft_wrap=True)

    counted = ", ".join(f"{count} in {split}" for split, count in files.items()) or "none, the pictures are generated"
    verdict = "Mend the errors before training." if errors else "The data is fit for use."
    summary = f"Files: {counted}. Errors: {len(errors)}. Notes: {len(findings) - len(errors)}. {verdict}"
    console.print(summary, markup=False, soft_wrap=True)
    return 1 if errors else 0


@command("doctor")
def main(cfg: DictConfig) -> None:
    """Examine the data of the configuration; exit code 1 when something must be mended."""
    source: Source = instantiate(cfg.data.source, _convert_="all")
    if isinstance(source, Shards):
        raise ValueError("Shards are examined as they are packed: inpaintlab shard ... verify=true checks every byte.")
    console = Console()
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("examining files", total=None)
        findings = examine(
            source, cfg.data.size, lambda done, total: progress.update(task, completed=done, total=total)
        )
    raise SystemExit(report(findings, _count(source), console))


def _count(source: Source) -> Counter[str]:
    counted: Counter[str] = Counter()
    for split in _look_for_splits(source)[1]:
        counted[split] = len(source.files(split))
    return +counted


if __name__ == "__main__":
    main()
