"""result.json: what must be in it, and the hashes by which damage to a result folder is noticed."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from inpaintlab.inpainting import Imported
from inpaintlab.machine import (
    Count,
    Infinite,
    PlainSize,
    Sha256,
    conform,
    file_sha256,
    read_json,
    require_format,
    storable,
    write_json,
)
from inpaintlab.metrics import Meaning

FORMAT = 4


RECORD, TABLE, _MANIFEST = "result.json", "per_image.parquet", "manifest.json"


AGAIN = "evaluate it again with overwrite=true"
"""What to do about a damaged result."""


# What must be in result.json; other keys may stand beside it, because its checksum covers them.


@dataclass(frozen=True)
class _TestSet:
    sha256: Sha256
    items: Count
    size: PlainSize


@dataclass(frozen=True)
class _Training:
    seed: int | None = None


@dataclass(frozen=True)
class _Checkpoint:
    path: str
    sha256: Sha256
    iterations: Count | None
    images_seen: Count | None
    imported: Imported | None = None
    training: _Training | None = None


@dataclass(frozen=True)
class _Cost:
    parameters: Count | None = None
    gmac: float | None = None
    milliseconds: float | None = None
    rounds: Count | None = None
    load_of_others: float | None = None
    cores: float | None = None
    peak_memory_bytes: Count | None = None
    batch_size: Count | None = None
    size: PlainSize | None = None


@dataclass(frozen=True)
class _Content:
    label: str
    method: str
    oracle: bool
    trained: bool
    config: dict[str, Any]
    checkpoint: _Checkpoint | None
    manifest: _TestSet
    metrics: dict[str, Meaning]
    means: dict[str, dict[str, Infinite | None]]
    seed: int | None
    switches: dict[str, Any]
    post_processing: str | None
    cost: _Cost
    replicates: dict[str, dict[str, list[float]]]
    code: str
    machine: str
    versions: dict[str, str]
    commit: str | None
    created: str
    files: dict[Literal["per_image.parquet", "manifest.json"], Sha256]
    checksum: Sha256


def write_record(folder: Path, facts: Mapping[str, Any]) -> None:
    """Write result.json: the facts, the format, the hashes of per_image.parquet and manifest.json, and its checksum."""
    files = {name: file_sha256(folder / name) for name in (TABLE, _MANIFEST) if (folder / name).is_file()}
    content = {"format": FORMAT, **facts, "means": storable(facts.get("means")), "files": files}
    write_json(folder / RECORD, content | {"checksum": _checksum(content)})


def _checksum(content: Mapping[str, Any]) -> str:
    """The SHA-256 of the content without its key "checksum", as JSON with sorted keys and without spaces."""
    rest = {key: value for key, value in content.items() if key != "checksum"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def read_record(folder: Path) -> tuple[dict[str, Any], dict[str, Meaning]]:
    """Read result.json, and check it and the files beside it against their hashes.

    Returns:
        Its content, and the meaning of each metric.

    Raises:
        ValueError: a file is missing, damaged, changed or of another format.
    """
    path = folder / RECORD
    data = read_json(path, "a result", AGAIN)
    require_format(path, data.get("format"), FORMAT, AGAIN)
    record = conform(_Content, data, path, AGAIN, closed=False)
    if record.checksum != _checksum(data):
        raise ValueError(f"{path} was changed after it was written: its content does not match its checksum; {AGAIN}.")
    for name, sha256 in record.files.items():
        if not (folder / name).is_file():
            raise ValueError(f"{folder / name} is missing; {AGAIN}.")
        if file_sha256(folder / name) != sha256:
            raise ValueError(f"{folder / name} was changed after it was written: its hash differs; {AGAIN}.")
    return data | {"means": record.means}, record.metrics
