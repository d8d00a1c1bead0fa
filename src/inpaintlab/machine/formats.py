"""The formats of our own files: this version reads the present one and no other, and each key is checked once."""

import functools
import json
import math
import reprlib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar, final


@final
@dataclass(frozen=True)
class Between:
    """In a hint: the least and the most that a number may be, or that a text or a list may have of characters or items.

    The package annotated_types has such marks too, but loading it takes a sixth of the time of `inpaintlab --help`.
    """

    low: int | float
    high: int | float

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> dict[str, Any]:
        """The schema of the hinted type, within the bounds."""
        schema = handler(source)
        names = ("ge", "le") if schema["type"] in ("int", "float") else ("min_length", "max_length")
        return schema | dict(zip(names, (self.low, self.high), strict=True))


@final
@dataclass(frozen=True)
class Said:
    """In a hint of several kinds: what a value must "be", in words, where pydantic would tell of each kind apart."""

    words: str

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> dict[str, Any]:
        """The schema of the hinted types, with these words as its error."""
        return dict(handler(source)) | self.error

    @property
    def error(self) -> dict[str, str]:
        """The part of a schema that tells of a wrong value."""
        return {"custom_error_type": "said", "custom_error_message": f"It should be {self.words}"}


@final
class _OrInfinite:
    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> dict[str, Any]:
        """The schema of a float, or of a text that becomes one."""
        kinds = [handler(source), {"type": "literal", "expected": ["Infinity", "-Infinity"]}]
        read = {"type": "union", "choices": kinds} | Said("a number, Infinity or -Infinity").error
        return {"type": "function-after", "schema": read, "function": {"type": "no-info", "function": float}}


def storable(value: Any) -> Any:
    """A value, or a dict of values, as JSON can hold it; an infinite number becomes "Infinity" or "-Infinity".

    JavaScript's Number reads these texts too.
    """
    if isinstance(value, dict):
        return {key: storable(entry) for key, entry in value.items()}
    return f"{value:F}".replace("INF", "Infinity") if isinstance(value, float) and math.isinf(value) else value


Count = Annotated[int, Between(0, 10**15)]
"""A number of things; the limit keeps it exact as a float."""

Sha256 = Annotated[str, Between(64, 64)]
"""A hash in hexadecimal digits."""

Infinite = Annotated[float, _OrInfinite()]
"""A number that may be infinite; a file has it as `storable` wrote it."""

_Side = Annotated[int, Between(1, 10**5)]

PlainSize = Annotated[
    _Side | Annotated[list[_Side], Between(2, 2)],
    Said("the side of a square or [height, width], of 1 to 100,000 pixels"),
]
"""The size of pictures: the side of a square, or height and width."""

_Kind = TypeVar("_Kind")


def require_format(path: Path | str, found: object, present: int, mend: str) -> None:
    """See that a file has the ``present`` format.

    Before 1.0 no version reads the formats of an earlier one.

    Args:
        path: the file, for the sentence.
        found: the format that it says it has.
        present: the one that this version writes.
        mend: how to make the file again, as in "evaluate this method again".

    Raises:
        ValueError: its format is an earlier or a later one, or no number.
    """
    if type(found) is not int:
        raise ValueError(f"{path} has no format number, so inpaintlab did not write it: {mend}.")
    if found < present:
        raise ValueError(f"{path} was written by an earlier inpaintlab and cannot be read any more: {mend}.")
    if found > present:
        raise ValueError(f"{path} has format {found}, but this inpaintlab reads format {present}: update inpaintlab.")


def conform(kind: type[_Kind], content: Any, place: Path | str, mend: str, *, closed: bool = True) -> _Kind:
    """The content of a file as a ``kind``: every key is there, and each value is what it must be.

    A whole number is also a float; nothing else becomes something else, neither the text "1" nor true a number.

    Args:
        kind: a dataclass or another type with hints; `Between` gives ranges.
        content: plain dicts, lists and scalars, as JSON has them.
        place: the file's path or URL, for the sentence.
        mend: what to do about a damaged one, as in "evaluate this method again".
        closed: whether a key that ``kind`` does not know is an error; otherwise it is left out.

    Raises:
        ValueError: the sentence names the first key that is wrong.
    """
    from pydantic import ValidationError  # 0.1 s, which `inpaintlab --help` need not wait for

    reader = _reader(kind)  # type: ignore[arg-type]  # a class is hashable, whatever its metaclass may be
    try:
        # As JSON, because there strictness lets an object be a dataclass and a list a tuple.
        text = json.dumps(content, allow_nan=False)
        found: _Kind = reader.validate_json(text, strict=True, extra="forbid" if closed else "ignore")
    except ValidationError as error:
        raise ValueError(f"{place}: {_fault(error.errors(include_url=False)[0])}; {mend}.") from error
    except (TypeError, ValueError, RecursionError) as error:  # what a checkpoint can hold and JSON cannot
        raise ValueError(f"{place} holds more than plain values ({error}); {mend}.") from error
    return found


@functools.cache
def _reader(kind: Any) -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(kind)


def _fault(error: Any) -> str:
    """One error of pydantic in words."""
    if error["type"] == "json_invalid":
        return "it holds text that is no Unicode"
    key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error["loc"]).removeprefix(".")
    key = (key[:200] if key.isprintable() else repr(key[:200])) or "it"
    value = "null" if error["input"] is None else reprlib.repr(error["input"])
    match error["type"]:
        case "missing" | "missing_argument":
            return f"{key} is missing"
        case "unexpected_keyword_argument" | "extra_forbidden":
            return f"{key} is unknown"
        case "greater_than_equal":
            return f"{key} is {value} and must be at least {error['ctx']['ge']:,}"
        case "less_than_equal":
            return f"{key} is {value} and must be at most {error['ctx']['le']:,}"
    wanted = error["msg"].partition(" should ")[2].replace("a valid ", "a ")
    return f"{key} is {value} and must {_WORDS.get(wanted, wanted)}"


_WORDS = {
    "be a integer": "be a whole number",
    "be a string": "be text",
    "be a array": "be a list",
    "be a boolean": "be true or false",
}
