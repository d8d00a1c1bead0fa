"""What follows from the settings of a run: its holes, its folder, its record in checkpoints."""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

FREE_TO_CHANGE = (
    *("trainer", "logger", "runs", "name", "every", "panel_images"),
    *("datamodule", "health", "notes", "skip_broken", "compile", "compile_limit", "data_changed", "trust", "callbacks"),
)
"""Settings that may change when a run is resumed; a change of any other setting makes it another run.

Of ``callbacks`` those of a user's own are among these others (see `identity_of`).
"""

PLACE = "(place)"
"""What stands for a path among the settings that identify a run."""

_MAY_CHANGE = re.compile(r"model\.schedule\.phases\.\w+\.batches: ")  # it may be continued for longer

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
    """What a checkpoint records of its training, for reports: data, mask, seed, initial weights and callbacks."""
    data = {"data": cfg["data"]["source"], **{key: cfg["data"][key] for key in ("crop", "size", "flip", "batch_size")}}
    more = {"mask": mask_recipe(cfg), "seed": cfg["seed"], "init": cfg["init"]}
    return data | more | {"callbacks": cfg.get("callbacks") or {}}


def identity_of(cfg: dict[str, Any]) -> dict[str, Any]:
    """The settings that decide a run's result, without the places of files: what lies there counts (`trained_on`).

    Callbacks of ours and of Lightning's only watch, keep or end a training. One of a user's own may change what is
    learnt, so it belongs to them.

    Args:
        cfg: the settings of ``inpaintlab train``, resolved.
    """
    identity = {key: value for key, value in cfg.items() if key not in FREE_TO_CHANGE}
    identity["data"] = {key: value for key, value in cfg["data"].items() if key != "workers"}
    own = {name: recipe for name, recipe in (cfg.get("callbacks") or {}).items() if not _watches(recipe)}
    return dict(without_places(identity | ({"callbacks": own} if own else {})))


def _watches(recipe: Any) -> bool:
    """Whether a callback of the settings is one of ours or of Lightning's, and so is all that it is built with."""
    if isinstance(recipe, list):
        return all(map(_watches, recipe))
    if not isinstance(recipe, dict):
        return True
    target = str(recipe.get("_target_", "lightning."))
    return target.startswith(("inpaintlab.", "lightning.")) and all(map(_watches, recipe.values()))


def configuration_of(settings: dict[str, Any], trained_on: Any) -> str:
    """A name that runs share which differ in nothing but their seed, such as ``glcic-1b2c3d4e``.

    Args:
        settings: see `identity_of`.
        trained_on: the digest of the files that training reads (see `digest`).
    """
    alike = {key: value for key, value in settings.items() if key != "seed"}
    digest = hashlib.sha256(json.dumps([alike, trained_on], sort_keys=True).encode()).hexdigest()[:8]
    return f"{str(settings['model']['_target_']).rpartition('.')[2].lower()}-{digest}"


def without_places(settings: Any, key: str = "") -> Any:
    """Settings with a mark in the place of each path of a folder, file or list."""
    if isinstance(settings, dict):
        return {name: without_places(value, name) for name, value in settings.items()}
    if isinstance(settings, list):
        return [without_places(value, key) for value in settings]
    return PLACE if is_place(key, settings) else settings


def is_place(key: str, value: Any) -> bool:
    """Whether a setting called ``key`` with this value says where something lies."""
    if not isinstance(value, str):
        return False
    if key in ("train", "val", "test"):  # below the root they say which part of the data is meant
        return Path(value).expanduser().is_absolute()
    named = ("imagenet", "hed", "random")  # weights that are no file of the user's
    return key in ("root", "edges", "init") or (key in ("vgg", "weights") and value not in named)


def weight_files(cfg: dict[str, Any]) -> dict[str, Path]:
    """The files of weights that settings name, by the setting; ``init`` may be a run's folder."""
    found: dict[str, Path] = {}

    def look(settings: Any, at: str, key: str) -> None:
        if isinstance(settings, dict):
            for name, value in settings.items():
                look(value, f"{at}.{name}".lstrip("."), name)
        elif key in ("init", "vgg", "weights") and is_place(key, settings):
            found[at] = Path(settings).expanduser()

    look({key: cfg[key] for key in ("init", "model", "metrics")}, "", "")
    return found


def run_folder(cfg: dict[str, Any], choices: dict[str, str | None]) -> Path:
    """The run's folder, ``runs/<name>``; without a name, one that follows from all settings that decide the result.

    So the same command finds its folder again, and another setting gets another folder, but another place of the same
    data does not.

    Args:
        cfg: the settings of ``inpaintlab train``, resolved.
        choices: the chosen file of each group of settings.

    Raises:
        ValueError: the name would lead elsewhere.
    """
    if cfg["name"] not in (None, ""):
        return named_folder(cfg["runs"], cfg["name"])
    digest = hashlib.sha256(json.dumps(identity_of(cfg), sort_keys=True).encode()).hexdigest()[:8]
    return Path(cfg["runs"], f"{choices['model']}-{choices['data']}-{digest}")


def require_same_settings(folder: Path, before: dict[str, Any], now: dict[str, Any]) -> None:
    """Check that a run goes on with the settings that it was started with, but for the phases' lengths.

    The settings of before are those in the run's checkpoint: ``config.json`` can be deleted or edited.

    Args:
        folder: the run's folder.
        before: see `identity_of`.
        now: likewise.

    Raises:
        ValueError: they differ; continuing would mix two experiments.
    """
    changed = [found for found in differences(before, now) if not _MAY_CHANGE.match(found)]
    if changed:
        raise ValueError(
            f"{folder} holds a run with other settings: {'; '.join(changed[:3])}. Give this one another name "
            "(name=...), or repeat the first one's settings to continue it."
        )


def differences(before: Any, now: Any, key: str = "") -> list[str]:
    """Each setting that changed, as 'key: before -> now'."""
    if isinstance(before, dict) and isinstance(now, dict):
        keys = sorted(before.keys() | now.keys())
        return [d for k in keys for d in differences(before.get(k), now.get(k), f"{key}.{k}" if key else k)]
    return [] if before == now else [f"{key}: {before} -> {now}"]
