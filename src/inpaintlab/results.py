"""The result folder: what one method did on one test set, as it lies on disk.

`evaluate` writes it, `compare` reads it, and both ends of the format stand in this file:

    result.json         who, what, when, and the means by mask bin
    per_image.parquet   one row an image: name, bin, hole_ratio, mask_sha256, one column a metric, seconds
    manifest.json       a copy of the test set's manifest
    completed/*.png     the completed images, named by `picture_name`
"""

import json
import math
import os
import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

FORMAT = 1
ALL = "all"  # the column over every image, beside the mask bins
FIXED = "fixed"  # the bin of the regular square holes

_KEYS: dict[str, tuple[type, ...]] = {
    "label": (str,),
    "method": (str,),
    "oracle": (bool,),
    "trained": (bool,),
    "config": (dict,),
    "checkpoint": (dict, type(None)),
    "manifest": (dict,),
    "metrics": (dict,),
    "means": (dict,),
    "seconds_per_image": (int, float),
    "parameters": (int, type(None)),
    "machine": (str,),
    "versions": (dict,),
    "commit": (str, type(None)),
    "created": (str,),
}
# of results since these keys exist
_LATER_KEYS: dict[str, tuple[Any, tuple[type, ...]]] = {
    "switches": ({}, (dict,)),
    "post_processing": (None, (str, type(None))),
}


@dataclass(frozen=True)
class Metric:
    """What a metric's numbers mean: a definition in words, their unit ("" when they have none), their direction.

    `undefined_allowed`: an image may lack a value (NaN) for a reason that the definition tells.
    """

    definition: str
    unit: str
    higher_is_better: bool
    undefined_allowed: bool = False


@dataclass(frozen=True, eq=False)
class Result:
    """One method on one manifest, read from its folder.

    `means` holds, for each mask bin and for "all", the number of images `n` and the mean of each metric,
    computed from `per_image` (see `means_by_bin`); the copy in result.json was checked against them. `switches` says
    what the model does where implementations of its paper differ.
    """

    folder: Path
    label: str
    method: str
    oracle: bool
    trained: bool
    config: dict[str, Any]
    checkpoint: dict[str, Any] | None
    manifest: dict[str, Any]
    metrics: dict[str, Metric]
    means: dict[str, dict[str, Any]]
    seconds_per_image: float
    parameters: int | None
    machine: str
    versions: dict[str, Any]
    commit: str | None
    created: str
    switches: dict[str, Any]
    post_processing: str | None
    per_image: pl.DataFrame

    @classmethod
    def load(cls, folder: Path) -> "Result":
        """Read a result folder and check that it is whole and agrees with itself.

        Raises ValueError, in one sentence, when the folder is missing, unfinished, no result, of a newer format,
        or when its means are not those of its images.
        """
        _check_folder(folder)
        data = _read_json(folder)
        metrics = {name: _metric(folder, name, entry) for name, entry in data["metrics"].items()}
        per_image = _read_per_image(folder, list(metrics))
        if data["manifest"]["items"] != per_image.height:
            raise ValueError(
                f"{folder}: per_image.parquet has {per_image.height} images, but the manifest in result.json "
                f"has {data['manifest']['items']}; evaluate this method again."
            )
        undefined_allowed = {name for name, metric in metrics.items() if metric.undefined_allowed}
        means = means_by_bin(per_image, list(metrics), undefined_allowed)
        _check_means(folder, data["means"], means)
        fields = {key: data[key] for key in (*_KEYS, *_LATER_KEYS)}
        fields |= {"metrics": metrics, "means": means, "seconds_per_image": float(data["seconds_per_image"])}
        return cls(folder=folder, per_image=per_image, **fields)

    def picture(self, name: str) -> Path:
        """The file of the completion of the image called `name`."""
        return self.folder / "completed" / picture_name(name)


def picture_name(name: str) -> str:
    """The file name of an image's completion: every character outside [A-Za-z0-9._-] becomes "_", then ".png"."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", name) + ".png"


def bin_order(name: str) -> tuple[int, float, str]:
    """Sorting key of mask bins: by their leading number, then other names, then "fixed", then "all"."""
    number = re.match(r"\d+(\.\d+)?", name)
    if number:
        return 0, float(number.group()), name
    return {FIXED: 2, ALL: 3}.get(name, 1), 0.0, name


def means_by_bin(
    per_image: pl.DataFrame, metrics: list[str], undefined_allowed: Collection[str] = ()
) -> dict[str, dict[str, Any]]:
    """Mean of each metric over all images ("all") and over each mask bin, with the number of images `n`.

    An image that is reproduced exactly has an infinite PSNR: it is left out of that mean and counted under
    "<metric>_infinite", a key that exists only where there is such an image. So is an image for which a metric of
    `undefined_allowed` is NaN, under "<metric>_undefined". A mean is None when no value is left, or when any other
    value is infinite or not a number, because leaving those out would flatter a broken method.
    Raises ValueError when a mask bin is itself called "all".
    """
    bins = sorted(per_image["bin"].unique().to_list(), key=bin_order)
    if ALL in bins:
        raise ValueError(f'A mask bin is called "{ALL}", which names the mean over every image: rename the bin.')
    groups = {ALL: per_image} | {name: per_image.filter(pl.col("bin") == name) for name in bins}
    return {name: _means(group, metrics, undefined_allowed) for name, group in groups.items()}


def _means(images: pl.DataFrame, metrics: list[str], undefined_allowed: Collection[str]) -> dict[str, Any]:
    means: dict[str, Any] = {"n": images.height}
    for metric in metrics:
        values = images[metric].to_list()
        exact = [value for value in values if value == math.inf] if metric.startswith("psnr") else []
        rest = [value for value in values if value != math.inf] if exact else values
        defined = [value for value in rest if value is None or not math.isnan(value)]
        undefined = len(rest) - len(defined) if metric in undefined_allowed else 0
        rest = defined if undefined else rest
        sound = bool(rest) and all(value is not None and math.isfinite(value) for value in rest)
        # fsum: the same mean whatever the order of the images
        means[metric] = math.fsum(rest) / len(rest) if sound else None
        if exact:
            means[f"{metric}_infinite"] = len(exact)
        if undefined:
            means[f"{metric}_undefined"] = undefined
    return means


def write_json(path: Path, data: dict[str, Any]) -> None:
    """Write `data` as indented JSON, whole or not at all.

    Raises ValueError when a value has no place in JSON (NaN, infinity, an object).
    """
    try:
        text = json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path} cannot be written as JSON: {error}.") from error
    write_texts(path.parent, {path.name: text + "\n"})


def write_texts(folder: Path, texts: dict[str, str]) -> None:
    """Write several files (name -> text, UTF-8) into a folder; none of them appears before all are on the disk."""
    parts = {name: folder / f".{name}.{os.getpid()}.partial" for name in texts}
    try:
        for name, text in texts.items():
            parts[name].write_text(text, encoding="utf-8", newline="\n")
        for name, part in parts.items():
            os.replace(part, folder / name)
    finally:
        for part in parts.values():
            part.unlink(missing_ok=True)


def _check_folder(folder: Path) -> None:
    unfinished = folder.with_name(folder.name + ".partial")
    if folder.suffix == ".partial":
        raise ValueError(f"{folder} is the unfinished result of an evaluation that was stopped: evaluate again.")
    if not folder.exists() and unfinished.exists():
        raise ValueError(f"{folder} does not exist, only the unfinished {unfinished.name}: evaluate again.")
    if not folder.is_dir():
        raise ValueError(f"{folder} is not a folder: give the result folders that `inpaintlab evaluate` wrote.")
    for name in ("result.json", "per_image.parquet"):
        if not (folder / name).is_file():
            raise ValueError(
                f"{folder} is not a result folder (no {name} in it): give the folders that `inpaintlab evaluate` wrote."
            )


def _read_json(folder: Path) -> dict[str, Any]:
    path = folder / "result.json"
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is not readable as JSON ({error}): evaluate this method again.") from error
    version = data.get("format") if isinstance(data, dict) else None
    if not isinstance(version, int):
        raise ValueError(f'{path} has no "format" number, so it is not the result of `inpaintlab evaluate`.')
    if version > FORMAT:
        raise ValueError(
            f"{path} has format {version}, but this inpaintlab reads up to format {FORMAT}: update inpaintlab."
        )
    for key, (default, _) in _LATER_KEYS.items():
        data.setdefault(key, default)
    for key, types in (_KEYS | {key: types for key, (_, types) in _LATER_KEYS.items()}).items():
        if key not in data:
            raise ValueError(f'{path} lacks "{key}": evaluate this method again.')
        if not isinstance(data[key], types):
            raise ValueError(f'{path}: "{key}" is {data[key]!r}, which is not {_in_words(types)}; evaluate again.')
    for key in ("sha256", "items"):
        if key not in data["manifest"]:
            raise ValueError(f'{path}: "manifest" lacks "{key}"; evaluate this method again.')
    return data


def _in_words(types: tuple[type, ...]) -> str:
    return " or ".join("null" if kind is type(None) else kind.__name__ for kind in types)


def _metric(folder: Path, name: str, entry: dict[str, Any]) -> Metric:
    try:
        required = entry["definition"], entry["unit"] or "", entry["higher_is_better"]
        return Metric(*required, undefined_allowed=entry.get("undefined_allowed", False))  # absent in older results
    except KeyError as error:
        raise ValueError(f"{folder}/result.json: the metric {name} has no {error}; evaluate again.") from error


def _read_per_image(folder: Path, metrics: list[str]) -> pl.DataFrame:
    path = folder / "per_image.parquet"
    try:
        per_image = pl.read_parquet(path)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise ValueError(f"{path} cannot be read ({error}): evaluate this method again.") from error
    missing = [name for name in ("name", "bin", "hole_ratio", "mask_sha256", *metrics) if name not in per_image.columns]
    if missing:
        raise ValueError(f"{path} lacks the column {missing[0]}: evaluate this method again.")
    files = per_image["name"].map_elements(picture_name, return_dtype=pl.String)
    if files.n_unique() < per_image.height:
        twice = files.filter(files.is_duplicated())[0]
        raise ValueError(f"{path}: two images share the picture {twice}; give the images of the manifest other names.")
    return per_image


def _check_means(folder: Path, stored: dict[str, Any], computed: dict[str, dict[str, Any]]) -> None:
    if set(stored) != set(computed):
        raise ValueError(
            f"{folder}: result.json has means for {', '.join(sorted(stored, key=bin_order))}, but per_image.parquet "
            f"has the bins {', '.join(sorted(computed, key=bin_order))}; evaluate this method again."
        )
    for name, means in computed.items():
        for key, value in means.items():
            told = stored[name].get(key)
            same = told == value if value is None or told is None else math.isclose(told, value, rel_tol=1e-6)
            if not same:
                raise ValueError(
                    f"{folder}: result.json gives {key} = {told} for {name}, but the images in per_image.parquet "
                    f"give {value}; one of the two was changed, so evaluate this method again."
                )
