"""The result folder of one method on one test set: its format, and reading it.

result.json         the method, the test set, the machine, the date, the means by mask bin, and hashes of the files
per_image.parquet   a row an image: name, image, bin, hole_ratio, mask_sha256, the metrics' columns, picture_sha256,
                    and in note what a classical method tells of how it filled it
manifest.json       a copy of the test set's manifest
completed/*.png     the completed images, named by `picture_names`
raw/*.png           on request: the raw output, before the known pixels are put back
inside/NAME/*.png   on request: intermediate outputs of the method, such as its edges
"""

import io
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

from inpaintlab.evaluation.record import AGAIN, RECORD, TABLE, read_record
from inpaintlab.metrics import Meaning
from inpaintlab.testsets import picture_names

ALL = "all"  # the column over every image, beside the mask bins


FIXED = "fixed"  # the bin of the regular square holes


@dataclass(frozen=True, eq=False)
class Result:
    """One method on one manifest, read from its folder.

    Args:
        folder: the result folder.
        label: the method's name in tables.
        method: its class.
        oracle: whether it sees something of the hidden pixels.
        trained: whether its weights were trained; true for a method without weights.
        config: the settings of the method.
        checkpoint: the record of its checkpoint; None without one.
        manifest: hash, number of items and size of the test set.
        metrics: the meaning of each metric.
        means: for each mask bin and for "all", the number of images ``n`` and the mean of each metric. Means of images
            are computed from ``per_image`` (see `means_by_bin`) and were compared with the copy in result.json.
            Metrics of whole sets are read from there.
        seed: of an untrained method's weights; otherwise None.
        switches: the choices of the model where implementations of its paper differ.
        post_processing: its name; None without any.
        cost: of completing one image on ``machine`` (see `measure_cost`).
        replicates: for each metric of whole sets and each bin, its values on resampled photographs (see `score_sets`);
            the k-th values of two methods belong to the same draw.
        code: the hash of the code that computed pictures and scores.
        machine: where it was measured, in words.
        versions: of packages and of the scoring code.
        commit: of the repository; None outside of one.
        created: date and time in UTC.
        per_image: one row per image of the test set. Its column ``image`` is the photograph, which several rows may
            share, with other holes or in other bins.
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

    @classmethod
    def load(cls, folder: Path) -> "Result":
        """Read a result folder, and check that it is complete and consistent, and as it was written.

        Raises:
            ValueError: the folder is missing, unfinished, no result, damaged or of another format, or its means are not
                those of its images.
        """
        _check_folder(folder)
        data, metrics = read_record(folder)
        per_image = _read_per_image(folder, metrics)
        if data["manifest"]["items"] != per_image.height:
            raise ValueError(
                f"{folder}: per_image.parquet has {per_image.height} images, but the manifest in result.json "
                f"has {data['manifest']['items']}; {AGAIN}."
            )
        try:
            means = means_by_bin(per_image, metrics)
        except ArithmeticError as error:  # numbers that no metric gives, such as 1.7e308
            raise ValueError(f"{folder}: the columns of per_image.parquet have no means ({error}); {AGAIN}.") from error
        _check_means(folder, data["means"], means)
        for name in [name for name, metric in metrics.items() if metric.of_set]:
            for bin_name in means:
                means[bin_name][name] = data["means"][bin_name].get(name)
        facts = data | {"folder": folder, "per_image": per_image, "metrics": metrics, "means": means}
        return cls(**{field.name: facts[field.name] for field in fields(cls)})

    def picture(self, name: str) -> Path:
        """The file of the completed image called ``name``."""
        return self.folder / "completed" / self.pictures[name]

    @cached_property
    def pictures(self) -> dict[str, str]:
        """The file name of each image's pictures."""
        return picture_names(self.per_image["name"])

    def picture_sha256(self, name: str) -> str:
        """The hash of that file, from when it was written."""
        return str(self.per_image.row(by_predicate=pl.col("name") == name, named=True)["picture_sha256"])


def bin_order(name: str) -> tuple[int, float, str]:
    """Sorting key of mask bins: by their leading number, then other names, then "fixed", then "all"."""
    number = re.match(r"\d+(\.\d+)?", name)
    if number:
        return 0, float(number.group()), name
    return {FIXED: 2, ALL: 3}.get(name, 1), 0.0, name


def means_by_bin(per_image: pl.DataFrame, metrics: Mapping[str, Meaning]) -> dict[str, dict[str, Any]]:
    """The means of all metrics of images, over all images ("all") and over each mask bin, with their number ``n``.

    An image that is reproduced exactly has an infinite PSNR, and so has their mean. Such images are counted under
    "<metric>_infinite", and "<metric>_finite" is the mean of the others; the first key exists only if there is such an
    image, the second only if there are others too. An image for which a metric that may be undefined is NaN is left
    out and counted under "<metric>_undefined". A mean is None if no value is left, or if any other value is infinite or
    NaN: leaving those out would make a faulty method look better.

    Args:
        per_image: one row per image.
        metrics: the meaning of each metric; those of whole sets are skipped.

    Raises:
        ValueError: a mask bin is itself called "all".
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
            means |= _mean(images, name, metric)
    return means


def _mean(images: pl.DataFrame, name: str, metric: Meaning) -> dict[str, Any]:
    values = images[name].to_list()
    exact = values.count(math.inf) if metric.infinite_allowed else 0
    others = [value for value in values if not (exact and value == math.inf)]
    defined = [value for value in others if not (metric.undefined_allowed and value is not None and math.isnan(value))]
    sound = all(value is not None and math.isfinite(value) for value in defined)
    # fsum: the mean does not depend on the order of the images
    rest = math.fsum(defined) / len(defined) if sound and defined else None
    means: dict[str, Any] = {name: math.inf if exact and sound else rest}
    if exact:
        means[f"{name}_infinite"] = exact
        if rest is not None:
            means[f"{name}_finite"] = rest
    if undefined := len(others) - len(defined):
        means[f"{name}_undefined"] = undefined
    return means


def _ratio(images: pl.DataFrame, above: str, below: str) -> float | None:
    """The sum of one column over the sum of another; None if the latter is 0 or a value is not finite."""
    sums = [math.fsum(images[column]) for column in (above, below)]
    return sums[0] / sums[1] if all(map(math.isfinite, sums)) and sums[1] else None


def harmonic_mean(ratios: Sequence[float | None]) -> float | None:
    """Harmonic mean of ratios of at least 0: 0 if one of them is 0, None if one is None."""
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
    for name in (RECORD, TABLE):
        if not (folder / name).is_file():
            raise ValueError(
                f"{folder} is not a result folder (no {name} in it): give the folders that `inpaintlab evaluate` wrote."
            )


def _read_per_image(folder: Path, metrics: Mapping[str, Meaning]) -> pl.DataFrame:
    path = folder / TABLE
    try:
        per_image = pl.read_parquet(io.BytesIO(path.read_bytes()))
    # a damaged file makes Polars panic too, which is no Exception
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError, ValueError) as error:
        raise ValueError(f"{path} cannot be read ({' '.join(str(error).split())[:200]}); {AGAIN}.") from error
    needed: dict[str, Any] = dict.fromkeys(("name", "image", "bin", "mask_sha256", "picture_sha256"), pl.String)
    scores = [column for name, metric in metrics.items() for column in metric.columns(name)]
    for column, kind in (needed | dict.fromkeys(["hole_ratio", *scores], pl.Float64)).items():
        if column not in per_image.columns:
            raise ValueError(f"{path} lacks the column {column}; {AGAIN}.")
        if per_image[column].dtype != kind or per_image[column].has_nulls():
            raise ValueError(f"{path}: the column {column} holds other values than {kind}; {AGAIN}.")
    if per_image["name"].n_unique() < per_image.height:
        twice = per_image["name"].filter(per_image["name"].is_duplicated())[0]
        raise ValueError(f"{path}: two images are called {twice}; {AGAIN}.")
    return per_image


def _check_means(folder: Path, stored: dict[str, Any], computed: dict[str, dict[str, Any]]) -> None:
    if set(stored) != set(computed):
        raise ValueError(
            f"{folder}: result.json has means for {', '.join(sorted(stored, key=bin_order))}, but per_image.parquet "
            f"has the bins {', '.join(sorted(computed, key=bin_order))}; {AGAIN}."
        )
    for name, means in computed.items():
        for key, value in means.items():
            mean = stored[name].get(key)
            same = mean == value if value is None or mean is None else math.isclose(mean, value, rel_tol=1e-6)
            if not same:
                raise ValueError(
                    f"{folder}: result.json gives {key} = {mean} for {name}, but the images in per_image.parquet "
                    f"give {value}; one of the two was changed, so {AGAIN}."
                )
