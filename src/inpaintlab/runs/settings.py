"""What the settings of a run mean together: its holes, its steps, its folder."""

import hashlib
import json
from pathlib import Path
from typing import Any

FREE_TO_CHANGE = (
    *("trainer", "logger", "runs", "name", "every", "panel_images"),
    *("datamodule", "health", "notes", "skip_broken", "compile"),
)
"""Settings of a training that may differ between a run and its continuation; any other makes another run."""


def mask_recipe(cfg: dict[str, Any]) -> dict[str, Any]:
    """The chosen mask, held to the hole ratio where one is asked for."""
    if cfg["hole_ratio"] is None:
        return cfg["mask"]
    low, high = cfg["hole_ratio"]
    return {"_target_": "inpaintlab.masks.WithHoleRatio", "mask": cfg["mask"], "low": low, "high": high}


def training_record(cfg: dict[str, Any]) -> dict[str, Any]:
    """What a checkpoint says of how it came about, for reports on it."""
    data = {"data": cfg["data"]["source"], **{key: cfg["data"][key] for key in ("crop", "size", "flip", "batch_size")}}
    return data | {"mask": mask_recipe(cfg), "seed": cfg["seed"], "init": cfg["init"]}


def run_folder(cfg: dict[str, Any], choices: dict[str, str | None]) -> Path:
    """``runs/<name>``; without a name, one that follows from everything that decides the result.

    So the same command finds its own folder again, and another setting finds another. A name that was given may meet
    a run of other settings: that is an error, because continuing it would mix two experiments.

    Raises:
        ValueError: the named run was started with other settings, or is of version 0.1.
    """
    identity = {key: value for key, value in cfg.items() if key not in FREE_TO_CHANGE}
    identity["data"] = {key: value for key, value in cfg["data"].items() if key != "workers"}
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:8]
    folder = Path(cfg["runs"]) / (cfg["name"] or f"{choices['model']}-{choices['data']}-{digest}")
    saved = folder / "config.json"
    if saved.is_file() and (folder / "last.ckpt").is_file():  # a start that failed has no claim on the name
        before = {key: value for key, value in json.loads(saved.read_text()).items() if key in identity}
        before["data"].pop("workers", None)
        changed = differences(_without_lengths(before), _without_lengths(identity))
        if changed:
            from inpaintlab.inpainting import load_checkpoint  # Lightning, which a look at a sweep can do without

            load_checkpoint(folder / "last.ckpt")  # refuses one of 0.1, in whose settings everything has another name
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


def _without_lengths(cfg: dict[str, Any]) -> dict[str, Any]:
    """The settings without the phases' lengths: a run may be continued for longer."""
    cfg = json.loads(json.dumps(cfg))
    for phase in cfg.get("model", {}).get("schedule", {}).get("phases", {}).values():
        phase.pop("batches", None)
    return cfg
