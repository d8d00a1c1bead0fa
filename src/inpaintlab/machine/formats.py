"""The formats of our own files: this version reads the present one and no other, and each key is checked once."""

import functools
import json
import math
import re
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
    """In a hint: what a value must "be", in words of ours, whatever is wrong with it."""

    words: str

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> dict[str, Any]:
        """The schema of the hinted types, with these words as its error."""
        return self.of(handler(source))

    def of(self, schema: Any) -> dict[str, Any]:
        """A schema with these words as its error."""
        message = f"It should be {self.words}"
        return {
            "type": "custom-error",
            "schema": schema,
            "custom_error_type": "said",
            "custom_error_message": message,
        }


@final
class _OrInfinite:
    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> dict[str, Any]:
        """The schema of a float, or of a text that becomes one."""
        kinds = [handler(source), {"type": "literal", "expected": ["Infinity", "-Infinity"]}]
        read = Said("a number, Infinity or -Infinity").of({"type": "union", "choices": kinds})
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

    try:
        # As JSON, because there strictness lets an object be a dataclass and a list a tuple.
        text = json.dumps(content, allow_nan=False)
        reader = _reader(kind)  # type: ignore[arg-type]  # a class is hashable, whatever its metaclass may be
        found: _Kind = reader.validate_json(text, strict=True, extra="forbid" if closed else "ignore")
    except ValidationError as error:
        raise ValueError(f"{place}: {_faults_of(error)[0]}; {mend}.") from error
    except (TypeError, ValueError, RecursionError) as error:  # what a checkpoint can hold and JSON cannot
        raise ValueError(f"{place} holds more than plain values ({error}); {mend}.") from error
    return found


def faults(kind: Any, content: Any) -> list["Fault"]:
    """What keeps plain values from being a ``kind``, in its order.

    Infinite numbers and NaN are plain here, and so is a path that is no Unicode.

    Args:
        kind: see `conform`; a key that it does not know is a fault.
        content: plain dicts, lists and scalars.

    Raises:
        TypeError: a value is not plain.
    """
    from pydantic import ValidationError

    text = json.dumps(content, ensure_ascii=False).encode(errors="replace")
    try:
        _reader(kind).validate_json(text, strict=True, extra="forbid")
    except ValidationError as error:
        return _faults_of(error)
    return []


@functools.cache
def _reader(kind: Any) -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(kind)


@final
@dataclass(frozen=True)
class Fault:
    """One key that is wrong.

    Args:
        path: the key and those around it; an int is a place in a list.
        value: what it holds, in words.
        must: what it "must" be or do, in words; "" for one that is missing or unknown.
        missing: whether it has to be there and is not.
        choices: the texts that it can be, if that is all it can be.
    """

    path: tuple[str | int, ...]
    value: str
    must: str
    missing: bool = False
    choices: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """The dotted key, fit to be printed."""
        key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in self.path).removeprefix(".")
        return (key[:200] if key.isprintable() else repr(key[:200])) or "it"

    def __str__(self) -> str:
        """A clause for a sentence."""
        if self.must == _NO_UNICODE:
            return self.must
        if self.must:
            return f"{self.key} is {self.value} and must {self.must}"
        return f"{self.key} is {'missing' if self.missing else 'unknown'}"


_NO_UNICODE = "it holds text that is no Unicode"


def _faults_of(error: Any) -> list[Fault]:
    return [_fault(found) for found in error.errors(include_url=False)]


def _fault(error: Any) -> Fault:
    """One error of pydantic."""
    path, value = error["loc"], "null" if error["input"] is None else reprlib.repr(error["input"])
    match error["type"]:
        case "json_invalid":
            return Fault((), "", _NO_UNICODE)
        case "missing" | "missing_argument":
            return Fault(path, value, "", missing=True)
        case "unexpected_keyword_argument" | "extra_forbidden":
            return Fault(path, value, "")
        case "greater_than_equal":
            return Fault(path, value, f"be at least {error['ctx']['ge']:,}")
        case "less_than_equal":
            return Fault(path, value, f"be at most {error['ctx']['le']:,}")
        case "literal_error":
            choices = tuple(re.findall(r"'([^']*)'", error["ctx"]["expected"]))
            return Fault(path, value, f"be {error['ctx']['expected']}", choices=choices)
    wanted = error["msg"].partition(" should ")[2].replace("a valid ", "a ")
    return Fault(path, value, _WORDS.get(wanted, wanted))


_WORDS = {
    "be a integer": "be a whole number",
    "be a string": "be text",
    "be a array": "be a list",
    "be a boolean": "be true or false",
    "be a dictionary": "be a mapping",
}
