"""Read what an offline run of W&B wrote: LevelDB's log framing around protobuf records."""

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from wandb.proto import wandb_internal_pb2

BLOCK = 32768  # a record is cut into chunks that never cross the end of a block


def records(path: Path) -> Iterator[Any]:
    """The records of a ``run-*.wandb`` file; a chunk that is cut off at the end is left out."""
    data = path.read_bytes()
    magic, _, _ = struct.unpack_from("<4sHB", data)
    assert magic == b":W&B", f"{path} is not a file of W&B"
    position, content = 7, b""
    while position + 7 <= len(data):
        room = BLOCK - position % BLOCK
        length, kind = struct.unpack_from("<HB", data, position + 4)  # after the checksum
        if room < 7 or kind == 0:
            position += room
            continue
        first, last = kind in (1, 2), kind in (1, 4)  # full, first, middle, last
        chunk = data[position + 7 : position + 7 + length]
        content = chunk if first else content + chunk
        position += 7 + length
        if last:
            record = wandb_internal_pb2.Record()  # type: ignore[attr-defined]
            record.ParseFromString(content)
            yield record


def history(path: Path) -> list[dict[str, Any]]:
    """What was logged, a dict a step."""
    return [
        {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in record.history.item}
        for record in records(path)
        if record.HasField("history")
    ]


def config(path: Path) -> dict[str, Any]:
    """The configuration of the run."""
    updates = [record.run.config.update for record in records(path) if record.HasField("run")]
    updates += [record.config.update for record in records(path) if record.HasField("config")]
    return {item.key: json.loads(item.value_json) for update in updates for item in update}


def summary(path: Path) -> dict[str, Any]:
    """The last value of everything in the run's summary."""
    return {
        item.key or "/".join(item.nested_key): json.loads(item.value_json)
        for record in records(path)
        if record.HasField("summary")
        for item in record.summary.update
    }


def run_of(path: Path) -> Any:
    """What the run says of itself: run_id, display_name, run_group, job_type, tags, notes."""
    return next(record.run for record in records(path) if record.HasField("run"))


def run_id(path: Path) -> str:
    """The identity that a later start of the same run shares."""
    return run_of(path).run_id


def exit_codes(path: Path) -> list[int]:
    """How the run was finished; nothing for one that was not."""
    return [record.exit.exit_code for record in records(path) if record.HasField("exit")]
