"""Packing pictures into tar files, and checking packed files against their lists."""

import hashlib
import io
import json
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import IO, NamedTuple, final

import torch

from inpaintlab.data.folder import Folder
from inpaintlab.data.picture_format import PictureFormat
from inpaintlab.data.shard_lists import FORMAT, LIST, Index, Packed, Shard, parse_index
from inpaintlab.data.shards import Shards
from inpaintlab.data.sources import Watch, unwatched
from inpaintlab.machine import Lock, file_sha256, whole, write_json
from inpaintlab.randomness import sample_generator


class Unpacked(NamedTuple):
    """A picture to pack: its name, its file, and the file of its edge map, if it has one."""

    name: str
    path: Path
    edges: Path | None


@final
@dataclass(frozen=True)
class PlannedShard:
    """One shard to write: its tar file and the pictures for it."""

    tar: Path
    first: int
    """The number of its first picture in the split; members are named by these numbers."""
    pictures: tuple[Unpacked, ...]
    picture_format: PictureFormat
    max_pixels: int

    @property
    def index(self) -> Path:
        """The file of its index, which is written last: a shard that has one is complete."""
        return self.tar.with_suffix(".json")

    def origin(self) -> str:
        """A hash over everything that a finished shard was written from: names, file sizes and format of pictures."""
        sizes = [
            (name, *map(_bytes_of, (path,) if edges is None else (path, edges))) for name, path, edges in self.pictures
        ]
        content = [sizes, self.first, self.picture_format.longest_side, self.picture_format.quality]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()

    def run(self, skip_broken: bool) -> None:
        """Write the tar file, then its index, each whole or not at all; do nothing if both exist.

        Raises:
            UnreadableError: pictures that cannot be read, unless they are to be skipped.
            ValueError: the shard exists, but was written from other pictures or settings.
        """
        origin = self.origin()
        if self.index.is_file() and self.tar.is_file():
            self._require_same(origin)
            return
        with whole(self.tar) as part:
            with part.open("wb") as file:
                packed, unreadable = self._fill(file)
            if unreadable and not skip_broken:
                raise UnreadableError([reason for _, reason in unreadable])
            sha256, size = file_sha256(part), part.stat().st_size
        facts = {"format": FORMAT, "file": self.tar.name, "bytes": size, "sha256": sha256, "origin": origin}
        skipped = [{"name": name, "reason": reason} for name, reason in unreadable]
        write_json(self.index, {**facts, "skipped": skipped, "items": [item.fields() for item in packed]})

    def _fill(self, file: IO[bytes]) -> tuple[list[Packed], list[tuple[str, str]]]:
        """Write all members. Returns each one's place, and name and reason of each picture that cannot be read."""
        packed, unreadable = [], []
        with tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as tar:
            for number, (name, path, edges) in enumerate(self.pictures, start=self.first):
                try:
                    (ending, content), edge_map = self.picture_format.pack(path, edges, self.max_pixels)
                except ValueError as error:
                    unreadable.append((name, str(error)))
                    continue
                # Members are numbered, because webdataset takes everything after a name's first dot as the ending.
                place = _add(tar, f"{number:09d}{ending}", content)
                of_edges = (0, 0, "") if edge_map is None else _add(tar, f"{number:09d}.edges.png", edge_map)
                packed.append(Packed(name, *place, *of_edges))
        return packed, unreadable

    def _require_same(self, origin: str) -> None:
        try:
            found = self.parsed_index().origin
        except ValueError:
            found = None  # not an index of ours
        if found != origin:
            raise ValueError(
                f"{self.index} belongs to a shard of other pictures or settings; give another folder as out=, or "
                f"delete {self.tar.parent}."
            )

    def entry(self) -> Shard:
        """The entry of the finished shard in the list of all shards, after reading every byte of it.

        Raises:
            ValueError: tar file and index do not belong together.
        """
        index = self.parsed_index()
        names = {picture.name for picture in self.pictures}
        if index.sha256 != file_sha256(self.tar) or not {item.name for item in index.items} <= names:
            raise ValueError(
                f"{self.tar} is not what its index says, so something else wrote to it: delete {self.tar.name} and "
                f"{self.index.name}, and the same command packs them again."
            )
        return Shard(self.tar.name, len(index.items), index.bytes, index.sha256, file_sha256(self.index))

    def parsed_index(self) -> Index:
        """The index of the finished shard.

        Raises:
            ValueError: it is damaged.
        """
        return parse_index(self.index.read_bytes(), str(self.index))


def _bytes_of(path: Path) -> int | None:
    return path.stat().st_size if path.is_file() else None


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> tuple[int, int, str]:
    """Append a member. Returns the offset of its bytes, their number and their hash.

    The header holds no time and no user, so that the same pictures give the same tar file.
    """
    member = tarfile.TarInfo(name)
    member.size = len(content)
    offset = tar.offset + tarfile.BLOCKSIZE  # after a header of one block
    tar.addfile(member, io.BytesIO(content))
    return offset, len(content), hashlib.sha256(content).hexdigest()


class UnreadableError(ValueError):
    """Pictures of one shard that cannot be read, each with its reason."""

    def __init__(self, reasons: list[str]) -> None:
        super().__init__(" ".join(reasons))
        self.reasons = reasons


def plan_shards(
    source: Folder, split: str, out: Path, picture_format: PictureFormat, pictures_per_shard: int, seed: int
) -> list[PlannedShard]:
    """The shards of one split. Training pictures are shuffled over them, the others keep the order of their names.

    Args:
        source: the folder of pictures.
        split: train, val or test.
        out: the folder for the shards; nothing is written yet.
        picture_format: how pictures are stored.
        pictures_per_shard: the last shard may have fewer.
        seed: decides the order of training pictures.

    Raises:
        ValueError: a split without pictures, or a picture without an edge map where the source has them.
    """
    if pictures_per_shard < 1:
        raise ValueError(f"pictures_per_shard={pictures_per_shard} packs nothing; give a positive number.")
    names = source.names(split)
    files = zip(names, source.files(split), strict=True)
    pictures = [Unpacked(name, path, source.edges_path(split, name)) for name, path in files]
    if split == "train":
        generator = sample_generator("packing", seed)
        pictures = [pictures[place] for place in torch.randperm(len(pictures), generator=generator).tolist()]
    return [
        PlannedShard(
            out / f"{split}-{first // pictures_per_shard:06d}.tar",
            first,
            tuple(pictures[first : first + pictures_per_shard]),
            picture_format,
            source.max_pixels,
        )
        for first in range(0, len(pictures), pictures_per_shard)
    ]


def write_shards(
    planned: dict[str, list[PlannedShard]],
    out: Path,
    skip_broken: bool = False,
    workers: int = 1,
    watch: Watch = unwatched,
) -> None:
    """Write all missing shards, then the list of all shards, which marks the folder as complete.

    The folder is locked meanwhile, and before the list is written each shard is read and held against its index.

    Args:
        planned: the shards of each split, from `plan_shards`.
        out: the folder; it is made.
        skip_broken: leave out pictures that cannot be read; their names and reasons stand in the shard's index.
        workers: shards written at a time.
        watch: called after each shard.

    Raises:
        ValueError: pictures that cannot be read, all of them named; the folder holds other shards or damaged ones; or
            another process packs into it.
    """
    out.mkdir(parents=True, exist_ok=True)
    lock = Lock(out / ".lock")
    if not lock.take():
        raise ValueError(
            f"Another process is packing into {out} at this moment: wait for it, or give another folder as out=."
        )
    try:
        _write_shards(planned, out, skip_broken, workers, watch)
    finally:
        lock.remove()


def _write_shards(
    planned: dict[str, list[PlannedShard]], out: Path, skip_broken: bool, workers: int, watch: Watch
) -> None:
    shards = [shard for of_split in planned.values() for shard in of_split]
    others = {path.name for path in out.glob("*.tar")} - {shard.tar.name for shard in shards}
    if others:
        raise ValueError(f"{out} holds other shards ({', '.join(sorted(others)[:3])}); give another folder as out=.")

    def run(shard: PlannedShard) -> list[str]:
        try:
            shard.run(skip_broken)
        except UnreadableError as error:
            return error.reasons
        return []

    reasons: list[str] = []
    # Decoding, resizing and hashing release Python's global lock, so threads suffice.
    with ThreadPool(workers) as threads:
        for done, of_shard in enumerate(threads.imap_unordered(run, shards), start=1):
            reasons += of_shard
            watch(done, len(shards))
    if reasons:
        raise ValueError(
            f"{len(reasons)} pictures cannot be packed; mend or remove them, or give skip_broken=true. "
            f"{' '.join(sorted(reasons))}"
        )
    with ThreadPool(workers) as threads:
        entries = {split: threads.map(PlannedShard.entry, of_split) for split, of_split in planned.items()}
    splits = {split: [entry._asdict() for entry in of_split if entry.pictures] for split, of_split in entries.items()}
    write_json(out / LIST, {"format": FORMAT, "splits": splits})


def shard_faults(source: Shards, splits: list[str], watch: Watch = unwatched) -> Iterator[str]:
    """A sentence for each shard or picture that differs from the list of all shards; reads every byte.

    Args:
        source: the packed folder.
        splits: the splits to check.
        watch: called after each shard.
    """
    shards = [shard for split in splits for shard in source.shards(split)]
    for done, shard in enumerate(shards, start=1):
        try:
            yield from _faults_of(source, shard)
        except (ValueError, OSError) as error:
            yield str(error)
        watch(done, len(shards))


def _faults_of(source: Shards, shard: Shard) -> Iterator[str]:
    storage = source.storage
    index = storage.path(shard.index_file, shard.index_sha256).read_bytes()
    if hashlib.sha256(index).hexdigest() != shard.index_sha256:
        yield f"{storage.place(shard.index_file)} was changed: its hash differs from the one in {LIST}."
        return
    with storage.path(shard.file, shard.sha256).open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() == shard.sha256:
            return
        yield f"{storage.place(shard.file)} was changed: its hash differs from the one in {LIST}."
        for item in parse_index(index, storage.place(shard.index_file)).items:
            for what, part in (("picture", item), ("edge map", item.edges)):
                if part is None:
                    continue
                file.seek(part.offset)
                if hashlib.sha256(file.read(part.bytes)).hexdigest() != part.sha256:
                    yield f"{storage.place(shard.file)} holds a changed {what}: {item.name}."
