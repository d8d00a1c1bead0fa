"""The hints of a class's arguments: which values they allow, and how to say so."""

import functools
import inspect
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, Literal, Union

from inpaintlab.machine import Fault, faults

_PLAIN = {int: "a whole number", float: "a number", str: "text", bool: "true or false", type(None): "null"}
_PLAIN |= {list: "a list", tuple: "a list", dict: "a mapping"}


def arguments_of(target: Callable[..., Any]) -> Mapping[str, inspect.Parameter] | None:
    """The arguments of a class or function by name, with what their hints mean; None where Python cannot tell.

    A hint that cannot be resolved, or that is none, is `Any`.
    """
    try:
        parameters = inspect.signature(target).parameters
    except (TypeError, ValueError):
        return None
    code = inspect.unwrap(getattr(target, "__init__") if isinstance(target, type) else target)  # noqa: B009  # mypy: of a class
    try:
        hints = typing.get_type_hints(code, include_extras=True)
    except Exception:  # a user's hints may name what only a type checker imports, or may be no types at all
        hints = {}

    def meant(parameter: inspect.Parameter) -> Any:
        hint = hints.get(parameter.name, parameter.annotation)
        return Any if hint is inspect.Parameter.empty or isinstance(hint, str) else hint

    return {name: parameter.replace(annotation=meant(parameter)) for name, parameter in parameters.items()}


def options(hint: Any) -> list[Any]:
    """The members of a union, or the one hint."""
    if typing.get_origin(hint) in (Union, types.UnionType):
        return [option for member in typing.get_args(hint) for option in options(member)]
    return [hint]


def classes(hint: Any) -> tuple[type, ...]:
    """The classes among a hint's options that only a recipe can make; of ``partial[Optimizer]`` the optimizer."""
    found: list[type] = []
    for option in options(hint):
        if typing.get_origin(option) is functools.partial:
            found += classes(typing.get_args(option)[0])
        elif isinstance(option, type) and option not in (*_PLAIN, Any) and not isinstance(option, types.GenericAlias):
            found.append(option)
    return tuple(found)


def is_partial(hint: Any) -> bool:
    """Whether a class waits for further arguments, as an optimizer does."""
    return any(typing.get_origin(option) is functools.partial for option in options(hint))


def inner(hint: Any, kind: type) -> Any:
    """The hint of each entry of a list or a mapping; None if a hint allows neither, or entries of several kinds."""
    found = []
    for option in options(hint):
        origin, arguments = typing.get_origin(option), typing.get_args(option)
        if isinstance(origin, type) and arguments and origin is not tuple and issubclass(kind, origin):
            found.append(arguments[-1])
    return found[0] if len(found) == 1 else None


def fault_of(hint: Any, value: Any) -> Fault | None:
    """What is wrong with a plain value; None where nothing is, or where the hint does not say what is right."""
    plain = _plain(hint)
    if plain is Any:
        made = classes(hint)
        ours = any(option.__module__.startswith("inpaintlab.") for option in made) or is_partial(hint)
        only_made = bool(made) and Any not in options(hint)
        wrong = only_made and (value is None or (ours and not isinstance(value, (dict, list))))
        return Fault((), "null" if value is None else repr(value), f"be {in_words(hint)}") if wrong else None
    try:
        found = faults(plain, value)
    except TypeError:
        return None
    if not found:
        return None
    choices = tuple(choice for fault in found for choice in fault.choices)
    return Fault((), "null" if value is None else repr(value), f"be {in_words(hint)}", choices=choices)


def in_words(hint: Any) -> str:
    """What a hint allows."""
    words = [_words(option) for option in options(hint)]
    if "a number" in words:
        words = [word for word in words if word != "a whole number"]
    return " or ".join(dict.fromkeys(words))


def _words(hint: Any) -> str:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        return in_words(arguments[0])
    if origin is Literal:
        return " or ".join(map(repr, arguments))
    if hint in _PLAIN:
        return _PLAIN[hint]
    if made := classes(hint):
        return f"a mapping whose _target_ names a class of the kind {made[0].__name__}"
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return f"a mapping, each value {in_words(arguments[-1])}" if arguments else "a mapping"
    if isinstance(origin, type) and issubclass(origin, Iterable):
        each = [argument for argument in arguments if argument is not Ellipsis]
        length = f" of {len(each)}" if origin is tuple and len(each) == len(arguments) else ""
        return f"a list{length}, each {in_words(each[0])}" if each else "a list"
    return str(getattr(hint, "__name__", hint))


def _plain(hint: Any) -> Any:
    """The part of a hint that plain values can meet: without classes that only a recipe makes; `Any` if none is left.

    So ``float | Tensor`` is a number here.
    """
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (Union, types.UnionType):
        parts = [part for part in map(_plain, arguments) if part is not Any]
        return Union[tuple(parts)] if parts and Any not in arguments else Any  # noqa: UP007  # of parts made here
    if isinstance(origin, type) and issubclass(origin, Iterable) and arguments and _readable(origin):
        hint = origin[tuple(part if part is Ellipsis else _plain(part) for part in arguments)]  # type: ignore[index]
    return hint if _readable(hint) else Any


def _readable(hint: Any) -> bool:
    """Whether pydantic knows how a plain value becomes this."""
    try:
        faults(hint, None)
    except Exception:  # pydantic has many errors for hints that it has no schema for
        return False
    return True
