"""A recipe held against the class that it names: its arguments, and the hints of their values."""

import inspect
import pkgutil
import sys
from collections.abc import Mapping
from typing import Any

from inpaintlab.recipes import nearest
from inpaintlab.settings.hints import arguments_of, classes, fault_of, inner, is_partial
from inpaintlab.settings.kinds import Recipe

_STEERING = ("_target_", "_partial_", "_convert_", "_recursive_", "_args_")
_MOST_NAMED = 12


def require_recipe(recipe: Mapping[str, Any], key: str, expected: Recipe) -> Any:
    """Check a recipe of the settings before anything is built of it.

    Args:
        recipe: plain, interpolations resolved.
        key: its setting.
        expected: what belongs there.

    Returns:
        The class that it names, or a function; None where it need not name one.

    Raises:
        ValueError: it names no class, or one that does not belong there; an argument is unknown, missing, or no value
            for its hint. Arguments without a hint, or with one that plain values cannot meet, are not checked.
    """
    if "_target_" not in recipe and expected.open:
        return None
    kinds = expected.of() if expected.of else ()
    return _require(recipe, key, kinds if isinstance(kinds, tuple) else (kinds,), expected.given)


def _require(
    recipe: Mapping[str, Any], key: str, kinds: tuple[type, ...], given: tuple[str, ...] = (), *, partial: bool = False
) -> Any:
    target = recipe.get("_target_")
    if not isinstance(target, str):
        wanted = f" of the kind {_named(kinds)}" if kinds else ""
        raise ValueError(f"{key} is {dict(recipe)}; it needs a _target_, the dotted name of a class{wanted}.")
    found = _found(target, key)
    if kinds and not _belongs(found, kinds):
        raise ValueError(f"{key}._target_ is '{target}', which is no class of the kind {_named(kinds)}.")
    part = recipe.get("_partial_", False)
    if not isinstance(part, bool):
        raise ValueError(f"{key}._partial_ is {part!r}; it must be true or false.")
    if partial and not part:
        raise ValueError(f"{key} needs _partial_: true, because further arguments of {target} are added later.")
    arguments = arguments_of(found)
    if arguments is None:
        return found
    anything = any(argument.kind is inspect.Parameter.VAR_KEYWORD for argument in arguments.values())
    named = {name: argument for name, argument in arguments.items() if argument.kind in _BY_NAME}
    for name, value in recipe.items():
        if name in named:
            _require_value(value, named[name].annotation, f"{key}.{name}")
        elif name not in _STEERING and not anything:
            raise ValueError(f"{key}.{name} is unknown.{_known(name, named, target)}")
    for name, argument in named.items() if not part and not recipe.get("_args_") else ():
        if argument.default is inspect.Parameter.empty and name not in recipe and name not in given:
            raise ValueError(f"{key}.{name} is missing: {target} needs it; give +{key}.{name}=VALUE.")
    return found


_BY_NAME = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


def _known(name: str, named: Mapping[str, Any], target: str) -> str:
    near = nearest(name, named)
    listed = ", ".join(list(named)[:_MOST_NAMED])
    return near or f" {target} takes {listed or 'no arguments'}{', ...' if len(named) > _MOST_NAMED else ''}."


def _require_value(value: Any, hint: Any, key: str) -> None:
    """Check the value of an argument, which may be or hold further recipes."""
    if isinstance(value, dict) and "_target_" in value:
        _require(value, key, classes(hint), partial=is_partial(hint))
        return
    if isinstance(value, (dict, list)):
        hint_inside = inner(hint, type(value))
        if hint_inside is not None or _holds_recipe(value):
            entries = value.items() if isinstance(value, dict) else enumerate(value)
            for place, entry in entries:
                at = f"{key}[{place}]" if isinstance(value, list) else f"{key}.{place}"
                _require_value(entry, Any if hint_inside is None else hint_inside, at)
            return
    if fault := fault_of(hint, value):
        near = nearest(value, fault.choices) if isinstance(value, str) else ""
        raise ValueError(f"{key} is {fault.value}; it must {fault.must}.{near}")


def _holds_recipe(value: Any) -> bool:
    if isinstance(value, dict):
        return "_target_" in value or any(map(_holds_recipe, value.values()))
    return isinstance(value, list) and any(map(_holds_recipe, value))


def _found(target: str, key: str) -> Any:
    """What a dotted name stands for; Hydra will find the same."""
    try:
        return pkgutil.resolve_name(target)
    except Exception as error:  # whatever the code of a user's own package raises as it is imported
        place, _, name = target.rpartition(".")
        module = sys.modules.get(place)
        near = nearest(name, [other for other in dir(module) if not other.startswith("_")])
        reason = f"{place} has no {name}" if module else " ".join(str(error).split())
        raise ValueError(f"{key}._target_ is '{target}', which cannot be imported: {reason}.{near}") from error


def _belongs(found: Any, kinds: tuple[type, ...]) -> bool:
    """Whether a class is of one of these kinds, or a function says that it returns one."""
    if not isinstance(found, type):
        made = inspect.get_annotations(found, eval_str=False).get("return") if callable(found) else None
        if not isinstance(made, type):
            return False
        found = made
    try:
        return issubclass(found, kinds)
    except TypeError:  # a protocol with data
        return True


def _named(kinds: tuple[type, ...]) -> str:
    return " or ".join(kind.__name__ for kind in kinds)
