"""Facts about a method beside its scores: whose weights it has, what they were trained on, what it costs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from inpaintlab.comparison.table import NO_MEAN
from inpaintlab.evaluation import Result
from inpaintlab.machine import QUIET
from inpaintlab.published import STARTER_LAYOUT
from inpaintlab.recipes import in_words

NOT_RECORDED = "not recorded"


DISTURBED = "‡"  # marks a time that was measured while other processes kept the machine busy


@dataclass(frozen=True)
class CostColumn:
    """A column of the table of costs.

    Args:
        heading: with the unit.
        values: a number per method to sort by; None if it is unknown.
        texts: the cells.
    """

    heading: str
    values: list[float | int | None]
    texts: list[str]


def cost_columns(results: list[Result]) -> list[CostColumn]:
    """The columns of the table of costs; a column without any number is left out."""
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
    """Whether other processes kept the machine busy while the time was measured; False if that is unknown."""
    return (result.cost.get("load_of_others") or 0.0) > QUIET


def images_seen(result: Result) -> int | None:
    """How many images a method saw in training; None if that is unknown or it was not trained."""
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
    """Whose weights a method has, such as "trained here", "starter weights" or "learns nothing"."""
    if not result.trained:
        return "untrained"
    return "learns nothing" if result.checkpoint is None else weights_of(result.checkpoint)


def weights_of(checkpoint: Mapping[str, Any]) -> str:
    """Whose weights a checkpoint holds, from what is recorded of it: `Result.checkpoint`."""
    if imported := checkpoint.get("imported"):
        return "starter weights" if imported["layout"] == STARTER_LAYOUT else "published weights"
    return "trained here"


def trained_on(result: Result, what: str) -> str:
    """What a method's weights were trained with, in one line.

    Args:
        result: of the method.
        what: "data" or "mask" for its recipe, or "size".
    """
    if weights(result) in ("untrained", "learns nothing"):
        return NO_MEAN
    training = (result.checkpoint or {}).get("training") or {}
    return in_words(training[what]) if training.get(what) is not None else NOT_RECORDED
