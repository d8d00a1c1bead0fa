"""What figures are drawn of: result folders, the photographs of their test set, and the edges that they kept."""

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from jaxtyping import UInt8
from PIL import Image

from inpaintlab.comparison import check
from inpaintlab.evaluation import Result
from inpaintlab.metrics import Meaning
from inpaintlab.recipes import nearest
from inpaintlab.report import Original, completion, kinds, originals, read_kept

Pixels = UInt8[np.ndarray, "height width *colours"]


def load(name: str, folders: Sequence[str]) -> list[Result]:
    """The result folders that a figure is drawn of, all of one test set.

    Args:
        name: of the figure.
        folders: of its results.

    Raises:
        ValueError: there are none, one is no whole result, or they do not belong together.
    """
    if not folders:
        raise ValueError(f"Give the result folders that it is drawn of, as in `inpaintlab figures {name} results/*`.")
    results = [Result.load(Path(folder)) for folder in folders]
    check(results)
    return results


def meaning(results: Sequence[Result], metric: str, key: str) -> Meaning:
    """The meaning of a metric that all of the results have.

    Args:
        results: of one test set.
        metric: its name.
        key: the setting that names it.

    Raises:
        ValueError: a result lacks it.
    """
    for result in results:
        if metric not in result.metrics:
            raise ValueError(
                f"{key}={metric}: {result.folder} was not scored by it; it has {', '.join(result.metrics)}."
                f"{nearest(metric, result.metrics)}"
            )
    return results[0].metrics[metric]


def of_images(results: Sequence[Result], metric: str, key: str) -> Meaning:
    """The meaning of a metric of which all of the results have a value for each image; arguments as in `meaning`.

    Raises:
        ValueError: a result lacks it, or it has a value for several images only.
    """
    found = meaning(results, metric, key)
    if found.columns(metric) != [metric]:
        others = [name for name, one in results[0].metrics.items() if one.columns(name) == [name]]
        raise ValueError(
            f"{key}={metric} is a number of many images together, so no picture has a value of its own: give one of "
            f"{', '.join(others)}."
        )
    return found


def chosen(result: Result, wanted: Sequence[str], count: int) -> tuple[list[str], str]:
    """The images of a figure, and the sentence that says how they were chosen.

    Args:
        result: of the test set.
        wanted: their names in the manifest; empty to choose by number.
        count: how many, then.

    Raises:
        ValueError: there is no such image.
    """
    names = result.per_image["name"].to_list()
    if wanted:
        for name in wanted:
            if name not in names:
                raise ValueError(f"images: the test set has no '{name}'.{nearest(name, names)} It has {len(names)}.")
        return list(wanted), "The images were named on the command line."
    return by_hash(result.manifest["sha256"], dict(zip(names, result.per_image["image"], strict=True)), count)


def by_hash(sha256: str, photographs: Mapping[str, str], count: int) -> tuple[list[str], str]:
    """Images that nobody chose, and the sentence that says how they were found.

    Args:
        sha256: the test set's hash.
        photographs: the photograph of each image, by the image's name.
        count: how many.
    """
    names = list(photographs)
    drawn = sorted(names, key=lambda name: hashlib.sha256(f"{sha256}/{name}".encode()).hexdigest())
    firsts = {photographs[name]: name for name in reversed(drawn)}  # of each photograph the hole that comes first
    ordered = [*(name for name in drawn if firsts[photographs[name]] == name), *drawn]
    found = list(dict.fromkeys(ordered))[:count]
    rule = "The images are those whose hash (of the test set's hash and the image's name) is the lowest, "
    return found, f"{rule}no photograph twice while there are others; nobody chose them."


def of_photographs(
    result: Result, names: Sequence[str], root: str | None, mask_root: str | None
) -> dict[str, Original]:
    """The photographs of these images, checked against the hashes of the manifest.

    Raises:
        ValueError: they have moved, or are others.
    """
    with moved(root):
        return originals(result.folder, list(names), root, mask_root)


@contextmanager
def moved(root: str | None) -> Iterator[None]:
    """Add to an error about a photograph what helps where they have moved."""
    try:
        yield
    except (ValueError, OSError) as error:
        if root is not None:
            raise ValueError(str(error)) from error
        raise ValueError(f"{error} If the photographs have moved, give root=FOLDER.") from error


def completed(result: Result, name: str) -> Pixels:
    """A method's completion of an image.

    Raises:
        ValueError: it is missing, or not the one that was scored.
    """
    return pixels(completion(result, name))


def kept_edges(result: Result, name: str) -> Pixels:
    """The edges that a method drew for an image, as its evaluation kept them.

    Raises:
        ValueError: it kept none.
    """
    folders = kinds(result)
    if "edges" not in folders:
        keeps = "draws no edges" if "raw" in folders else "keeps no pictures of the edges that its method drew"
        raise ValueError(f"{result.folder} {keeps}: evaluate a method that draws edges, with raw=true.")
    return pixels(read_kept(result, name, folders["edges"]))


def pixels(picture: Image.Image) -> Pixels:
    """A picture as 8-bit grey or RGB."""
    return np.asarray(picture if picture.mode == "L" else picture.convert("RGB"))


def item(result: Result, name: str) -> Mapping[str, Any]:
    """The row of an image in the result's table."""
    return result.per_image.row(by_predicate=pl.col("name") == name, named=True)


def titled(result: Result, name: str) -> str:
    """An image in words: its name, and how much of it is hole; the name begins with the bin."""
    return f"{name}, {100 * item(result, name)['hole_ratio']:.0f} % hole"


def nine_digits(number: float | None) -> float | None:
    """A number as files hold it: the last digits of a sum of products differ between processors; None for NaN."""
    return None if number is None or math.isnan(number) else float(f"{number:.9g}")


def score(value: float, metric: str, meaning_of: Mapping[str, Meaning]) -> str:
    """A value of a metric below a picture; one that is undefined is left out."""
    if math.isnan(value):
        return ""
    unit = meaning_of[metric].unit
    number = "∞" if value == math.inf else f"{value:.2f}" if unit in ("dB", "%") or abs(value) >= 10 else f"{value:.4f}"
    return f"{number} {unit}".strip()
