"""The cases of the report: which test images have pictures in the page, and which pictures."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import combinations, zip_longest

from inpaintlab.comparison import Table, competes, marked
from inpaintlab.evaluation import Result
from inpaintlab.report.numbers import Numbers
from inpaintlab.report.pictures import (
    BYTES_PER_PIXEL,
    LARGEST_SIDE,
    Original,
    completion,
    data_uri,
    kinds,
    originals,
    rim,
)
from inpaintlab.report.pictures import read as read_picture

GALLERY = 6  # images in a gallery


PICTURE_BYTES = 5_000_000  # of all pictures together; base64 adds a third, and the page stays below 8 MB


LEAST_BYTES = 2_500  # the least share of one picture; with very many pictures the page grows beyond its budget


@dataclass(frozen=True)
class PagePicture:
    """One picture of the page.

    Args:
        kind: "original", "input", "completed", "raw" or "inside".
        source: the data URI.
        alt: the text that replaces the picture.
        caption: the text below it.
        value: its score, as text.
        method: the row of the method that produced it; None for the photograph.
    """

    kind: str
    source: str
    alt: str
    caption: str
    value: str = ""
    method: int | None = None


@dataclass(frozen=True)
class Case:
    """One test image.

    Args:
        position: its index in `Numbers`.
        name: in the manifest.
        bin: its mask bin.
        hole: its hole ratio in % of the pixels.
        pictures: of the photograph and of each method.
        rim: the outline of its hole as a data URI; empty if the photograph cannot be read.
    """

    position: int
    name: str
    bin: str
    hole: float
    pictures: list[PagePicture]
    rim: str


@dataclass(frozen=True)
class Gallery:
    """The test images with pictures in the page.

    Args:
        cases: by the gallery that shows them first; "more" are shown when a reader chooses other methods or metrics.
        metric: the metric that orders the galleries at first.
        leader: the label of the leading method.
        runner_up: the label of the method that the gallery "different" compares with the leader.
        apology: why there are no originals; empty if there are.
        small: whether the pictures have few pixels.
        reduced: whether the pictures are smaller than those in the result folders.
    """

    cases: dict[str, list[Case]] = field(default_factory=dict)
    metric: str = ""
    leader: str = ""
    runner_up: str = ""
    apology: str = ""
    small: bool = False
    reduced: bool = False

    def kinds(self) -> set[str]:
        """The kinds of pictures in the page."""
        return {picture.kind for group in self.cases.values() for case in group for picture in case.pictures}


def gallery(table: Table, numbers: Numbers, count: int, root: str | None) -> Gallery:
    """The pictures of at most ``count`` test images.

    Args:
        table: the comparison.
        numbers: its values of each image.
        count: the most test images.
        root: the folder of the photographs on this machine, if they have moved.

    Raises:
        ValueError: a result lacks a picture of one of the images.
    """
    if not numbers.values or not count:
        return Gallery()
    chosen = pick(table, numbers, count)
    names = [numbers.names[position] for group in chosen.values() for position in group]
    found, apology = _originals(table, names, root)
    each = 2 + sum(1 + len(kinds(result)) for result in table.results)
    share = max(LEAST_BYTES, PICTURE_BYTES // (len(names) * each))
    sides: list[int] = []
    cases = {
        group: [_case(table, numbers, position, found, share, sides) for position in positions]
        for group, positions in chosen.items()
    }
    leader, runner_up = pair(table, numbers)
    return Gallery(
        cases,
        metric=numbers.headline,
        leader=table.results[leader].label,
        runner_up="" if runner_up is None else table.results[runner_up].label,
        apology=apology,
        small=max(sides) < 128,
        reduced=max(sides) > LARGEST_SIDE or share < BYTES_PER_PIXEL * max(sides) ** 2,
    )


def pair(table: Table, numbers: Numbers) -> tuple[int, int | None]:
    """The rows of the leading method and of the next one that competes; the second is None if there is one method."""
    rows = list(numbers.values[numbers.headline])
    first = table.leader()
    rows.sort(key=lambda row: (table.results[row] is not first, not competes(table.results[row]), row))
    return rows[0], rows[1] if len(rows) > 1 else None


def pick(table: Table, numbers: Numbers, count: int) -> dict[str, list[int]]:
    """Choose at most ``count`` images, by gallery, none twice.

    The "worst" and "best" of the leading method, those on which it and the runner-up are most "different", and a
    "random" choice that is always the same get up to a quarter each, and no more than a gallery shows. "more" are the
    worst, best and most different images of all methods, first by the headline metric, then by the others, and finally
    further random ones.
    """
    leader, runner_up = pair(table, numbers)
    metric = numbers.headline
    count = min(count, len(numbers.names))
    ordered = worst_first(numbers, metric, leader)
    shuffled = numbers.shuffled()
    different = [] if runner_up is None else most_different(numbers, metric, leader, runner_up)

    left = dict.fromkeys(range(len(numbers.names)))
    quarter = min(GALLERY, math.ceil(count / 4))
    chosen: dict[str, list[int]] = {}
    for group, candidates in (
        ("worst", ordered),
        ("best", ordered[::-1]),
        ("different", different),
        ("random", shuffled),
        ("more", [*_reachable(numbers), *shuffled]),
    ):
        room = count - sum(map(len, chosen.values()))
        fresh = [position for position in dict.fromkeys(candidates) if position in left]
        chosen[group] = fresh[: room if group == "more" else min(room, quarter)]
        for position in chosen[group]:
            del left[position]
    return chosen


def worst_first(numbers: Numbers, metric: str, row: int) -> list[int]:
    """All images, a method's worst first; images without a value come before all others."""
    sign = 1 if numbers.higher_is_better[metric] else -1
    values = numbers.values[metric][row]
    scores = [-math.inf if math.isnan(value) else sign * value for value in values]
    return sorted(range(len(scores)), key=lambda i: (not math.isnan(values[i]), scores[i], i))


def most_different(numbers: Numbers, metric: str, row: int, other: int) -> list[int]:
    """The images with a value of both methods, the largest difference first: where one of them is exact."""
    mine, theirs = numbers.values[metric][row], numbers.values[metric][other]
    gaps = [0.0 if a == b else abs(a - b) for a, b in zip(mine, theirs, strict=True)]
    return sorted((i for i, gap in enumerate(gaps) if not math.isnan(gap)), key=lambda i: (-gaps[i], i))


def _reachable(numbers: Numbers) -> Iterator[int]:
    """The images in the galleries of every method and pair of methods: the first of each gallery, then the second."""
    metrics = [numbers.headline, *(metric for metric in numbers.values if metric != numbers.headline)]
    for metric in metrics:
        rows = numbers.values[metric]
        orders = [worst_first(numbers, metric, row) for row in rows]
        lists = [order[:GALLERY] for order in orders] + [order[: -GALLERY - 1 : -1] for order in orders]
        lists += [most_different(numbers, metric, *two)[:GALLERY] for two in combinations(rows, 2)]
        for turn in zip_longest(*lists):
            yield from (position for position in turn if position is not None)


def _originals(table: Table, names: Sequence[str], root: str | None) -> tuple[dict[str, Original], str]:
    """The photographs, and a sentence on why there are none; the rest of the page does not need them."""
    try:
        return originals(table.results[0].folder, list(names), root), ""
    except (ValueError, OSError) as error:
        reason = str(error).rstrip(".")
        return {}, f"The photographs cannot be read on this machine ({reason}), so only the completions are shown."


def _case(
    table: Table,
    numbers: Numbers,
    position: int,
    found: dict[str, Original],
    share: int,
    sides: list[int],
) -> Case:
    name = numbers.names[position]
    pictures = []
    original = found.get(name)
    if original is not None:
        source = data_uri(original.image, share)
        pictures.append(PagePicture("original", source, f"original of {name}", "original"))
        source = data_uri(original.painted, share)
        pictures.append(PagePicture("input", source, f"{name} with its hole painted over", "input"))
    for row, result in enumerate(table.results):
        pictures += _of_method(table, numbers, position, row, result, share, sides)
    outline = "" if original is None else rim(original.hole)
    return Case(position, name, numbers.bins[position], numbers.holes[position], pictures, outline)


def _of_method(
    table: Table, numbers: Numbers, position: int, row: int, result: Result, share: int, sides: list[int]
) -> Iterator[PagePicture]:
    """One method's pictures of a case: its completion, then raw and intermediate outputs in its result folder."""
    name, metric, label = numbers.names[position], numbers.headline, marked(result)
    picture = completion(result, name)
    sides.append(max(picture.size))
    value = numbers.words(metric, row, position)
    alt = f"{name} completed by {result.label}"
    yield PagePicture("completed", data_uri(picture, share), alt, label, value, row)
    for what, folder in kinds(result).items():
        source = data_uri(read_picture(result, name, folder), share)
        if what == "raw":
            value = numbers.words(f"{metric}_raw", row, position)
            alt = f"raw output of {result.label} for {name}"
            yield PagePicture("raw", source, alt, f"{label}, raw output", value, row)
        else:
            yield PagePicture("inside", source, f"{what} of {result.label} for {name}", f"{label}, {what}", method=row)
