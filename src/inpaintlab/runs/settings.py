"""What follows from the settings of a run: its holes, its folder, its record in checkpoints."""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

from inpaintlab.machine import read_json

FREE_TO_CHANGE = (
    *("trainer", "logger", "runs", "name", "every", "panel_images"),
    *("datamodule", "health", "notes", "skip_broken", "compile"),
)
"""Settings that may change when a run is resumed; a change of any other setting makes it another run."""

_MAY_CHANGE = re.compile(r"(model\.schedule\.phases\.\w+\.batches|data\.workers): ")  # it may be continued for longer


NAME_RULE = "text of up to 200 bytes, and as it names a folder it has no slash and does not start with a point"
"""What `is_name` asks of a name, in words."""

_NAME = re.compile(r"(?![.\s])[^/\\\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+(?<!\s)")

_LONGEST_NAME = 200  # bytes; files beside a result's folder have longer names


def is_name(name: object) -> bool:
    """Whether this can name a folder: a run, a sweep, a job of one, the label of a result (see ``NAME_RULE``)."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        return False
    return not name.endswith(".partial") and len(name.encode()) <= _LONGEST_NAME


def named_folder(runs: str, name: object) -> Path:
    """The folder ``runs/NAME``, or ``runs/SWEEP/JOB`` for the job of a sweep; a number is a name too.

    Raises:
        ValueError: the name would lead elsewhere.
    """
    parts = str(name).split("/")
    if len(parts) > 2 or not all(map(is_name, parts)):
        raise ValueError(
            f"name={name} cannot name a run, whose folder lies in {runs}: a name is {NAME_RULE}; give another "
            "name=..., and runs=... for another folder."
        )
    return Path(runs, *parts)


def mask_recipe(cfg: dict[str, Any]) -> dict[str, Any]:
    """The recipe of the chosen mask, limited to the range ``hole_ratio`` if that is set."""
    if cfg["hole_ratio"] is None:
        return cfg["mask"]
    low, high = cfg["hole_ratio"]
    return {"_target_": "inpaintlab.masks.WithHoleRatio", "mask": cfg["mask"], "low": low, "high": high}


def training_record(cfg: dict[str, Any]) -> dict[str, Any]:
    """What a checkpoint records of its training, for reports: data, mask, seed and initial weights."""
    data = {"data": cfg["data"]["source"], **{key: cfg["data"][key] for key in ("crop", "size", "flip", "batch_size")}}
    return data | {"mask": mask_recipe(cfg), "seed": cfg["seed"], "init": cfg["init"]}


def run_folder(cfg: dict[str, Any], choices: dict[str, str | None]) -> Path:
    """The run's folder, ``runs/<name>``; without a name, one that follows from all settings that decide the result.

    So the same command finds its folder again, and another setting gets another folder. If a given name belongs to a
    run with other settings, that is an error, because continuing it would mix two experiments.

    Args:
        cfg: the settings of ``inpaintlab train``, resolved.
        choices: the chosen file of each group of settings.

    Raises:
        ValueError: the named run was started with other settings or by an earlier version, or its record is damaged.
    """
    identity = {key: value for key, value in cfg.items() if key not in FREE_TO_CHANGE}
    identity["data"] = {key: value for key, value in cfg["data"].items() if key != "workers"}
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:8]
    if cfg["name"] in (None, ""):
        folder = Path(cfg["runs"], f"{choices['model']}-{choices['data']}-{digest}")
    else:
        folder = named_folder(cfg["runs"], cfg["name"])
    saved = folder / "config.json"
    if saved.is_file() and (folder / "last.ckpt").is_file():  # without a checkpoint the name is free
        mend = "restore it, or give another name (name=...)"
        now = json.loads(json.dumps(identity))
        before = {key: value for key, value in read_json(saved, "a run's settings", mend).items() if key in identity}
        changed = [found for found in differences(before, now) if not _MAY_CHANGE.match(found)]
        if changed:
            from inpaintlab.inpainting import (
                load_checkpoint,
            )  # Lightning: a sweep's state needs none

            load_checkpoint(folder / "last.ckpt")  # refuses earlier formats, whose settings have other names
            raise ValueError(
                f"{folder} holds a run with other settings: {'; '.join(changed[:3])}. Give this one another name "
                "(name=...), or repeat the first one's settings to continue it."
            )
    return folder


def differences(before: Any, now: Any, key: str = "") -> list[str]:
    """Each setting that changed, as 'key: before -> now'."""
    if isinstance(before, dict) and isinstance(now, dict):
        keys = sorted(before.keys() | now.keys())
        return [d for k in keys for d in differences(before.get(k), now.get(k), f"{key}.{k}" if key else k)]
    return [] if before == now else [f"{key}: {before} -> {now}"]
