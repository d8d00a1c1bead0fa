"""The result folder: what one method did on one test set, as it lies on disk.

`evaluate` writes it, `compare` reads it, and both ends of the format stand in this file:

    result.json         who, what, when, and the means by mask bin
    per_image.parquet   one row an image: name, image, bin, hole_ratio, mask_sha256 and the columns of the metrics
    manifest.json       a copy of the test set's manifest
    completed/*.png     the completed images, named by `picture_name`
    raw/*.png           on request: the raw output, before the known pixels are put back
    inside/NAME/*.png   on request: what the method draws on its way, such as its edges
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import polars as pl

from inpaintlab.machine import require_format
from inpaintlab.metrics import Meaning
from inpaintlab.testsets import picture_name

FORMAT = 3


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
    "seed": (int, type(None)),
    "switches": (dict,),
    "post_processing": (str, type(None)),
    "cost": (dict,),
    "replicates": (dict,),
    "code": (str,),
    "machine": (str,),
    "versions": (dict,),
    "commit": (str, type(None)),
    "created": (str,),
}


@dataclass(frozen=True, eq=False)
class Result:
    """One method on one manifest, read from its folder.

    `means` holds, for each mask bin and for "all", the number of images `n` and the mean of each metric,
    computed from `per_image` (see `means_by_bin`); the copy in result.json was checked against them. Metrics of whole
    sets stand there as they were written. `seed` is that of an untrained method's weights. `switches` says what the
    model does where implementations of its paper differ.

    `code` is the hash of the code that made the pictures and scores (see `provenance.code`). `cost` is what
    completing one image costs on `machine` (see `cost.measure_cost`). `replicates` holds, for each metric of whole sets and
    bin, its values on resampled photographs (see `set_metrics.scores`); the k-th value of two methods belongs to the
    same draw.
    """

    folder: Path
    label: str
    method: str
    oracle: bool
    trained: bool
    config: dict[str, Any]
    checkpoint: dict[str, Any] | None
    manifest: dict[str, Any]
    metrics: dict[str, Meaning]
    means: dict[str, dict[str, Any]]
    seed: int | None
    switches: dict[str, Any]
    post_processing: str | None
    cost: dict[str, Any]
    replicates: dict[str, dict[str, list[float]]]
    code: str
    machine: str
    versions: dict[str, Any]
    commit: str | None
    created: str
    per_image: pl.DataFrame
    """A row an image of the test set; ``image`` is the photograph, which other holes and bins may share."""

    @classmethod
    def load(cls, folder: Path) -> "Result":
        """Read a result folder and check that it is whole and agrees with itself.

        Raises ValueError, in one sentence, when the folder is missing, unfinished, no result, of another format,
        or when its means are not those of its images.
        """
        _check_folder(folder)
        data = _read_json(folder)
        metrics = {name: _metric(folder, name, entry) for name, entry in data["metrics"].items()}
        per_image = _read_per_image(folder, metrics)
        if data["manifest"]["items"] != per_image.height:
            raise ValueError(
                f"{folder}: per_image.parquet has {per_image.height} images, but the manifest in result.json "
                f"has {data['manifest']['items']}; evaluate this method again."
            )
        means = means_by_bin(per_image, metrics)
        _check_means(folder, data["means"], means)
        for name in [name for name, metric in metrics.items() if metric.of_set]:
            for bin_name in means:
                means[bin_name][name] = data["means"][bin_name].get(name)
        facts = {key: data[key] for key in _KEYS} | {"metrics": metrics, "means": means}
        return cls(folder=folder, per_image=per_image, **facts)

    def picture(self, name: str) -> Path:
        """The file of the completion of the image called `name`."""
        return self.folder / "completed" / picture_name(name)


def bin_order(name: str) -> tuple[int, float, str]:
    """Sorting key of mask bins: by their leading number, then other names, then "fixed", then "all"."""
    number = re.match(r"\d+(\.\d+)?", name)
    if number:
        return 0, float(number.group()), name
    return {FIXED: 2, ALL: 3}.get(name, 1), 0.0, name


def means_by_bin(per_image: pl.DataFrame, metrics: Mapping[str, Meaning]) -> dict[str, dict[str, Any]]:
    """Each metric that `per_image` decides, over all images ("all") and over each mask bin, with their number `n`.

    An image that is reproduced exactly has an infinite PSNR: it is left out of that mean and counted under
    "<metric>_infinite", a key that exists only where there is such an image. So is an image for which a metric that
    may be undefined is NaN, under "<metric>_undefined". A mean is None when no value is left, or when any other
    value is infinite or not a number, because leaving those out would flatter a broken method.
    Raises ValueError when a mask bin is itself called "all".
    """
    bins = sorted(per_image["bin"].unique().to_list(), key=bin_order)
    if ALL in bins:
        raise ValueError(f'A mask bin is called "{ALL}", which names the mean over every image: rename the bin.')
    groups = {ALL: per_image} | {name: per_image.filter(pl.col("bin") == name) for name in bins}
    return {name: _means(group, metrics) for name, group in groups.items()}


def _means(images: pl.DataFrame, metrics: Mapping[str, Meaning]) -> dict[str, Any]:
    means: dict[str, Any] = {"n": images.height}
    for name, metric in metrics.items():
        if metric.pooled:
            means[name] = harmonic_mean([_ratio(images, *ratio) for ratio in metric.pooled])
        elif not metric.of_set:
            means |= _mean(images, name, metric.undefined_allowed)
    return means


def _mean(images: pl.DataFrame, metric: str, undefined_allowed: bool) -> dict[str, Any]:
    values = images[metric].to_list()
    exact = [value for value in values if value == math.inf] if metric.startswith("psnr") else []
    rest = [value for value in values if value != math.inf] if exact else values
    defined = [value for value in rest if value is None or not math.isnan(value)]
    undefined = len(rest) - len(defined) if undefined_allowed else 0
    rest = defined if undefined else rest
    sound = bool(rest) and all(value is not None and math.isfinite(value) for value in rest)
    # fsum: the same mean whatever the order of the images
    means: dict[str, Any] = {metric: math.fsum(rest) / len(rest) if sound else None}
    if exact:
        means[f"{metric}_infinite"] = len(exact)
    if undefined:
        means[f"{metric}_undefined"] = undefined
    return means


def _ratio(images: pl.DataFrame, above: str, below: str) -> float | None:
    """Sum of a column over the sum of another; None where that is 0 or where a value is not finite."""
    sums = [math.fsum(images[column]) for column in (above, below)]
    return sums[0] / sums[1] if all(map(math.isfinite, sums)) and sums[1] else None


def harmonic_mean(ratios: Sequence[float | None]) -> float | None:
    """Harmonic mean of ratios of at least 0: 0 where one of them is, None where one is unknown."""
    if any(ratio is None for ratio in ratios):
        return None
    return 0.0 if 0.0 in ratios else len(ratios) / math.fsum(1 / ratio for ratio in ratios if ratio)


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
    require_format(path, version, FORMAT, "evaluate this method again")
    for key, types in _KEYS.items():
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


def _metric(folder: Path, name: str, entry: dict[str, Any]) -> Meaning:
    try:
        told = {field.name: entry[field.name] for field in fields(Meaning)}
        pooled = tuple((above, below) for above, below in told["pooled"])
        return Meaning(**(told | {"pooled": pooled}))
    except KeyError as error:
        raise ValueError(f"{folder}/result.json: the metric {name} has no {error}; evaluate again.") from error


def _read_per_image(folder: Path, metrics: Mapping[str, Meaning]) -> pl.DataFrame:
    path = folder / "per_image.parquet"
    try:
        per_image = pl.read_parquet(path)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise ValueError(f"{path} cannot be read ({error}): evaluate this method again.") from error
    needed = ["name", "image", "bin", "hole_ratio", "mask_sha256"]
    needed += [column for name, metric in metrics.items() for column in metric.columns(name)]
    missing = [column for column in needed if column not in per_image.columns]
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
