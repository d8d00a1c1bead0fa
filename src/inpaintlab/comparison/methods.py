"""What the page says of a method beside its scores: whose weights it has, what they were trained on, what it costs."""

from dataclasses import dataclass

from inpaintlab.comparison.table import NO_MEAN
from inpaintlab.evaluation import Result
from inpaintlab.machine import QUIET
from inpaintlab.recipes import in_words

NOT_RECORDED = "not recorded"


DISTURBED = "‡"  # stands beside a time that was taken while other processes kept the machine busy


@dataclass(frozen=True)
class CostColumn:
    """A column of costs: its heading, and for each method a number to sort by (None: unknown) and its text."""

    heading: str
    values: list[float | int | None]
    texts: list[str]


def cost_columns(results: list[Result]) -> list[CostColumn]:
    """What completing one image costs, by the results' own measurements; a column that no result has is left out."""
    mega = 1 / 2**20
    columns = [
        _cost("parameters, M", [_scaled(result.cost.get("parameters"), 1e-6) for result in results]),
        _cost("GMAC", [_scaled(result.cost.get("gmac"), 1) for result in results]),
        _times(results),
        _cost("peak MiB", [_scaled(result.cost.get("peak_memory_bytes"), mega) for result in results]),
        _cost("images seen", [_scaled(images_seen(result), 1) for result in results]),
    ]
    return [column for column in columns if any(value is not None for value in column.values)]


def disturbed(result: Result) -> bool:
    """Whether other processes kept the machine busy while the time was taken; False where that is not known."""
    return (result.cost.get("load_of_others") or 0.0) > QUIET


def images_seen(result: Result) -> int | None:
    """How many images a method saw in training; None where there is no such number."""
    return (result.checkpoint or {}).get("images_seen")


def _scaled(value: float | int | None, factor: float | int) -> float | int | None:
    return None if value is None else value * factor


def _cost(heading: str, values: list[float | int | None]) -> CostColumn:
    return CostColumn(heading, values, [NO_MEAN if value is None else _three_digits(value) for value in values])


def _times(results: list[Result]) -> CostColumn:
    column = _cost("ms", [_scaled(result.cost.get("milliseconds"), 1) for result in results])
    marks = [DISTURBED if disturbed(result) else "" for result in results]
    return CostColumn(
        column.heading, column.values, [text + mark for text, mark in zip(column.texts, marks, strict=True)]
    )


def _three_digits(value: float | int) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def weights(result: Result) -> str:
    """Whose weights a method has: "trained here", "published weights", "untrained", or that it learns nothing."""
    if not result.trained:
        return "untrained"
    if result.checkpoint is None:
        return "learns nothing"
    return "published weights" if result.checkpoint.get("imported") else "trained here"


def trained_on(result: Result, what: str) -> str:
    """The recipe of the "data" or "mask" that a method's weights were trained with, or their "size", in one line."""
    if weights(result) in ("untrained", "learns nothing"):
        return NO_MEAN
    training = (result.checkpoint or {}).get("training") or {}
    return in_words(training[what]) if training.get(what) is not None else NOT_RECORDED
