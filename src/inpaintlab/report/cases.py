"""Cases of the report: which test images have their pictures in the page, and what is shown of each."""

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

GALLERY = 6  # images that a gallery shows at a time


PICTURE_BYTES = 5_000_000  # of all pictures together; base64 adds a third, and the page stays below 8 MB


LEAST_BYTES = 2_500  # of one picture: where more are asked for than the budget gives that much, the page grows


@dataclass(frozen=True)
class Shown:
    """One picture of the page: its data, the words that replace it, and its caption.

    `kind` is "original", "input", "completed", "raw" or "inside"; `method` is the row of the method that drew it.
    """

    kind: str
    source: str
    alt: str
    caption: str
    value: str = ""
    method: int | None = None


@dataclass(frozen=True)
class Case:
    """One test image: its place in the numbers, name, mask bin and hole (% of the pixels), and its pictures.

    `rim` is the outline of its hole, "" where the photograph cannot be read.
    """

    position: int
    name: str
    bin: str
    hole: float
    pictures: list[Shown]
    rim: str


@dataclass(frozen=True)
class Gallery:
    """The test images whose pictures are in the page, by the gallery that shows them first; "more" are kept for later.

    `runner_up` is the method that "different" sets beside the leader. `apology` says why there are no originals (""
    where there are), `small` that the pictures have few pixels, `reduced` that they are smaller than those of the
    result folders.
    """

    cases: dict[str, list[Case]] = field(default_factory=dict)
    metric: str = ""
    leader: str = ""
    runner_up: str = ""
    apology: str = ""
    small: bool = False
    reduced: bool = False

    def kinds(self) -> set[str]:
        """The kinds of pictures that there are."""
        return {shown.kind for group in self.cases.values() for case in group for shown in case.pictures}


def gallery(table: Table, numbers: Numbers, count: int, root: str | None) -> Gallery:
    """The pictures of at most `count` test images; `root` is where their photographs lie now.

    Raises ValueError when a result lacks a picture of one of them.
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
    """Rows of the methods that the galleries begin with: the leader, and the next that counts, if there is another."""
    rows = list(numbers.values[numbers.headline])
    first = table.leader()
    rows.sort(key=lambda row: (table.results[row] is not first, not competes(table.results[row]), row))
    return rows[0], rows[1] if len(rows) > 1 else None


def pick(table: Table, numbers: Numbers, count: int) -> dict[str, list[int]]:
    """At most `count` images, none twice: those that the galleries begin with, then "more" that they can reach.

    A quarter each, and no more than a gallery shows, are the "worst" and "best" of the leading method, those on which
    it and the runner-up are most "different", and a "random" choice that is always the same. "more" are the worst, best
    and most different ones of all methods, of the headline metric before the others, then further random ones.
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
    """All images, the worst of a method first; one without a value is the worst of all."""
    sign = 1 if numbers.higher_is_better[metric] else -1
    values = numbers.values[metric][row]
    scores = [-math.inf if math.isnan(value) else sign * value for value in values]
    return sorted(range(len(scores)), key=lambda i: (not math.isnan(values[i]), scores[i], i))


def most_different(numbers: Numbers, metric: str, row: int, other: int) -> list[int]:
    """The images of which both methods have a finite value, the farthest apart first."""
    mine, theirs = numbers.values[metric][row], numbers.values[metric][other]
    gaps = [abs(a - b) for a, b in zip(mine, theirs, strict=True)]
    return sorted((i for i, gap in enumerate(gaps) if math.isfinite(gap)), key=lambda i: (-gaps[i], i))


def _reachable(numbers: Numbers) -> Iterator[int]:
    """What the galleries show of every method and pair of methods, each gallery's first image before any second."""
    metrics = [numbers.headline, *(metric for metric in numbers.values if metric != numbers.headline)]
    for metric in metrics:
        rows = numbers.values[metric]
        orders = [worst_first(numbers, metric, row) for row in rows]
        lists = [order[:GALLERY] for order in orders] + [order[: -GALLERY - 1 : -1] for order in orders]
        lists += [most_different(numbers, metric, *two)[:GALLERY] for two in combinations(rows, 2)]
        for turn in zip_longest(*lists):
            yield from (position for position in turn if position is not None)


def _originals(table: Table, names: Sequence[str], root: str | None) -> tuple[dict[str, Original], str]:
    """The photographs, or the sentence that says why there are none: the rest of the page does not need them."""
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
    shown = []
    original = found.get(name)
    if original is not None:
        source = data_uri(original.image, share)
        shown.append(Shown("original", source, f"original of {name}", "original"))
        source = data_uri(original.painted, share)
        shown.append(Shown("input", source, f"{name} with its hole painted over", "input"))
    for row, result in enumerate(table.results):
        shown += _drawn(table, numbers, position, row, result, share, sides)
    outline = "" if original is None else rim(original.hole)
    return Case(position, name, numbers.bins[position], numbers.holes[position], shown, outline)


def _drawn(
    table: Table, numbers: Numbers, position: int, row: int, result: Result, share: int, sides: list[int]
) -> Iterator[Shown]:
    """What one method drew of a case: its completion, then the raw output and inner pictures that its folder has."""
    name, metric, label = numbers.names[position], numbers.headline, marked(result)
    picture = completion(result, name)
    sides.append(max(picture.size))
    value = numbers.words(metric, row, position)
    alt = f"{name} completed by {result.label}"
    yield Shown("completed", data_uri(picture, share), alt, label, value, row)
    for what, folder in kinds(result).items():
        source = data_uri(read_picture(result, name, folder), share)
        if what == "raw":
            value = numbers.words(f"{metric}_raw", row, position)
            yield Shown("raw", source, f"raw output of {result.label} for {name}", f"{label}, raw output", value, row)
        else:
            yield Shown("inside", source, f"{what} of {result.label} for {name}", f"{label}, {what}", method=row)
