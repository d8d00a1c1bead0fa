"""How calls are held to signatures: by jaxtyping where these have shapes, otherwise by beartype alone.

jaxtyping, which ``--jaxtyping-packages`` puts on every function of ours, takes 0.1 ms a call and 6 ms a function to
compare shapes with each other, as beartype on its own takes a fiftieth. Most functions have none to compare.
"""

import dataclasses
from collections.abc import Callable
from types import FunctionType
from typing import Any, get_args

import jaxtyping

compared = jaxtyping.jaxtyped


def has_shapes(hint: Any) -> bool:
    """Whether a type may have a shape in it; what is a string is not known yet."""
    if isinstance(hint, type) and issubclass(hint, jaxtyping.AbstractArray):
        return True
    return isinstance(hint, str) or hasattr(hint, "__forward_arg__") or any(map(has_shapes, parts(hint)))


def parts(hint: Any) -> tuple[Any, ...]:
    """What a type is made of; of a callable's arguments, which are a list, too."""
    return tuple(hint) if isinstance(hint, list) else get_args(hint)


def checked(*, typechecker: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """What jaxtyping's import hook puts on functions and classes, in the place of its own decorator."""

    def decorated(found: Any) -> Any:
        if dataclasses.is_dataclass(found) and isinstance(vars(found).get("__init__"), FunctionType):
            found.__init__ = decorated(found.__init__)  # type: ignore[misc]
            return found
        if isinstance(found, FunctionType) and not any(map(has_shapes, found.__annotations__.values())):
            return typechecker(found)
        return compared(found, typechecker=typechecker)

    return decorated
