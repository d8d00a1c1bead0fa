"""How calls are held to signatures (by jaxtyping where these have shapes, else by beartype alone), and what is cached.

jaxtyping, which ``--jaxtyping-packages`` puts on every function of ours, takes 0.1 ms a call and 6 ms a function to
compare shapes with each other, as beartype on its own takes a fiftieth. Most functions have none to compare.
"""

import dataclasses
from collections.abc import Callable
from functools import partial
from importlib.machinery import SourceFileLoader
from types import CodeType, FunctionType
from typing import Any, get_args
from unittest.mock import patch

import jaxtyping
from jaxtyping import _import_hook as hook

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


class Loader(hook._JaxtypingLoader):
    """jaxtyping's loader of our modules, which gives the files of compiled code a name of its own.

    jaxtyping has the name for as long as a module is executed, and thus for all that the module imports: torch,
    Lightning and 2,500 more files were compiled in each process, a third of the time that collecting tests takes.
    """

    def get_code(self, fullname: str) -> CodeType | None:
        """The compiled module, from its file where there is one."""
        name = partial(hook._optimized_cache_from_source, self._typechecker.get_hash())
        with patch("importlib._bootstrap_external.cache_from_source", name):
            return super().get_code(fullname)

    exec_module = SourceFileLoader.exec_module
