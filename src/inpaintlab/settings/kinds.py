"""What a setting can be: hints for the tables of `schema`, each with the words that tell of a wrong value."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal, final

from inpaintlab.machine import Between, Said

Kinds = type | tuple[type, ...]


@final
@dataclass(frozen=True)
class Range:
    """In a hint of a number: the bounds of it, which its words name too.

    Args:
        least: the least that it can be.
        most: the most.
        above: what it must be more than.
        below: what it must be less than.
    """

    least: int | float | None = None
    most: int | float | None = None
    above: int | float | None = None
    below: int | float | None = None

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> dict[str, Any]:
        """The schema of the hinted number within the bounds; infinite numbers and NaN are none."""
        schema = dict(handler(source))
        number = schema["schema"] if schema["type"] == "nullable" else schema
        bounds = {"ge": self.least, "le": self.most, "gt": self.above, "lt": self.below}
        number |= {key: bound for key, bound in bounds.items() if bound is not None}
        whole = number["type"] == "int"
        if not whole:
            number["allow_inf_nan"] = False
        return Said(f"{'a whole' if whole else 'a'} number{self._bounds(schema['type'] == 'nullable')}").of(schema)

    def _bounds(self, nullable: bool) -> str:
        named = {"at least": self.least, "above": self.above, "at most": self.most, "below": self.below}
        words = " and ".join(f"{word} {bound:,}" for word, bound in named.items() if bound is not None)
        return f"{', ' if words else ''}{words}{', or null' if nullable else ''}"


@final
@dataclass(frozen=True)
class Recipe:
    """In a hint of a mapping: its ``_target_`` names the class that is built of the rest.

    Args:
        of: gives the kind of class that belongs here, or several; it imports their wing when a recipe is checked.
        words: what it is, for a sentence.
        given: arguments that the code adds.
        open: whether ``_target_`` may be missing, because the settings change those of a checkpoint.
    """

    of: Callable[[], Kinds] | None
    words: str
    given: tuple[str, ...] = ()
    open: bool = False

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> dict[str, Any]:
        """The schema of the hinted mapping; `recipe` checks what is in it."""
        return Said(f"{self.words}: a mapping whose _target_ names its class").of(handler(source))


def _inpainter() -> Kinds:
    from inpaintlab.inpainting import Inpainter

    return Inpainter


def _mask() -> Kinds:
    from inpaintlab.masks import Mask

    return Mask


def _metric() -> Kinds:
    from inpaintlab.metrics import PerImageMetric, SetMetric

    return PerImageMetric, SetMetric


def _source() -> Kinds:
    from inpaintlab.data import Source

    return Source


def _crop() -> Kinds:
    from inpaintlab.data import Crop

    return Crop


def _data_module() -> Kinds:
    from inpaintlab.data import DataModule

    return DataModule


_Mapping = dict[str, Any]

Model = Annotated[_Mapping, Recipe(_inpainter, "a method", given=("steps",))]
ModelOrChanges = Annotated[_Mapping, Recipe(_inpainter, "a method", given=("steps",), open=True)]
"""A method, or single settings of a checkpoint's."""
Mask = Annotated[_Mapping, Recipe(_mask, "a mask")]
Metric = Annotated[_Mapping, Recipe(_metric, "a metric")]
Source = Annotated[_Mapping, Recipe(_source, "a source of pictures")]
Crop = Annotated[_Mapping, Recipe(_crop, "a crop")]
DataModule = Annotated[_Mapping, Recipe(_data_module, "the data", given=("mask", "same_batch"))]
Flags = Annotated[_Mapping, Said("a mapping of the trainer's flags")]
Callback = Annotated[_Mapping, Recipe(None, "a callback")]
Logger = Annotated[_Mapping, Recipe(None, "a logger")]

Flag = Annotated[bool, Said("true or false")]
Path = Annotated[str, Said("a path")]
PathOrNull = Annotated[str | None, Said("a path, or null")]
Paths = Annotated[list[str], Said("a list of paths")]
Texts = Annotated[list[str], Said("a list of texts")]
Text = Annotated[str | int | float | None, Said("text, or null")]
"""Hydra makes a number of a text of digits, so a number is a text too."""

Positive = Annotated[int, Range(least=1)]
PositiveOrNull = Annotated[int | None, Range(least=1)]
Batches = Annotated[
    int, Between(1, 10**15), Said("a whole number of batches, at least 1; more than the schedule has mean never")
]
BatchesOrShare = Annotated[float, Range(above=0)]
"""Below 1 it is a share."""
NotNegative = Annotated[int, Range(least=0)]
Seed = Annotated[int, Range(least=0, most=2**32 - 1)]
Share = Annotated[float, Range(least=0, most=1)]
Grey = Annotated[float, Range(least=0, below=1)]
"""Grey / 255."""

_Side = Annotated[int, Between(1, 10**5)]
Size = Annotated[
    _Side | Annotated[list[_Side], Between(2, 2)], Said("the side of a square in pixels, or [height, width]")
]
Ratios = Annotated[list[float], Between(2, 10**3), Said("a list of at least two numbers, the ends of the bins")]
Which = Annotated[Literal["best", "last"] | None, Said("best or last, or null")]
"""The checkpoint that a run's folder stands for."""
Split = Literal["train", "val", "test"]
Workers = Annotated[
    Literal["auto"] | Annotated[int, Between(0, 10**4)], Said("auto, or a whole number of processes, at least 0")
]
AtLeastOneWorker = Annotated[
    Literal["auto"] | Annotated[int, Between(1, 10**4)], Said("auto, or a whole number of processes, at least 1")
]
Window = Annotated[
    Literal["auto", "whole"] | Annotated[int, Between(1, 10**5)],
    Said("auto, whole, or a whole number of pixels, at least 1"),
]
