"""What a recipe may name and hold: a ``_target_`` with its arguments, in YAML, in a checkpoint, in a manifest."""

import difflib
import importlib
import importlib.util
import re
from collections.abc import Iterable
from typing import Any

from omegaconf import OmegaConf

# The classes of torch that a recipe may name: they only keep their arguments and run nothing.
_OPTIMIZERS = ("torch.optim.Adadelta", "torch.optim.Adam")


_OFFERED = re.compile(r"inpaintlab\.(?P<wing>[a-z][a-z0-9_]*)\.(?P<name>[A-Za-z][A-Za-z0-9_]*)")


def plain(cfg: Any) -> Any:
    """The dicts, lists and scalars of a configuration, interpolations resolved, as checkpoints and JSON need them."""
    return OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True) if OmegaConf.is_config(cfg) else cfg


def in_words(recipe: Any) -> str:
    """A recipe in one line for people, such as `Folder(root=photos)` for one whose target is a class."""
    if isinstance(recipe, dict):
        settings = ", ".join(f"{key}={in_words(value)}" for key, value in recipe.items() if not key.startswith("_"))
        target = str(recipe.get("_target_", "")).rpartition(".")[2]
        return f"{target}({settings})" if target else f"{{{settings}}}"
    if isinstance(recipe, (list, tuple)):
        return f"[{', '.join(map(in_words, recipe))}]"
    return f"{recipe:g}" if isinstance(recipe, float) else str(recipe)


def only_ours(recipe: Any, origin: str) -> Any:
    """Return a recipe read from a foreign file if each ``_target_`` in it is a class that this package offers.

    That is ``inpaintlab.<wing>.<Name>``, a class that the wing's ``__init__`` lists, or one of torch's optimizers.

    Args:
        recipe: dicts, lists and scalars.
        origin: the file, for the error.

    Raises:
        ValueError: any other target; building the recipe would import and run it.
    """
    if isinstance(recipe, dict):
        target = recipe.get("_target_")
        if target is not None and target not in _OPTIMIZERS and not _is_offered(target):
            raise ValueError(
                f"{origin} asks to run '{target}', which is not part of inpaintlab; if you trust it, name the model "
                "on the command line instead (model=...)."
            )
        for value in recipe.values():
            only_ours(value, origin)
    elif isinstance(recipe, list):
        for value in recipe:
            only_ours(value, origin)
    return recipe


def _is_offered(target: Any) -> bool:
    """Whether a dotted name is that of a class that one of our wings defines and lists in ``__all__``.

    Nothing but that wing's ``__init__`` is imported to find out.
    """
    parts = _OFFERED.fullmatch(target) if isinstance(target, str) else None
    if parts is None:
        return False
    wing, name = f"{__package__}.{parts['wing']}", parts["name"]
    found = importlib.util.find_spec(wing)
    if found is None or found.submodule_search_locations is None:  # absent, or a verb's file
        return False
    door = importlib.import_module(wing)
    offered = getattr(door, name) if name in getattr(door, "__all__", ()) else None
    return isinstance(offered, type) and offered.__module__.startswith(f"{wing}.")


def require_one_of(setting: str, value: str, choices: Iterable[str]) -> str:
    """Return ``value`` if it is one of the ``choices``.

    Raises:
        ValueError: it is none of them; the message names the setting and the choices.
    """
    if value not in choices:
        raise ValueError(f"{setting} is '{value}'; it can be {' or '.join(repr(choice) for choice in choices)}.")
    return value


def require_flag(setting: str, value: object) -> bool:
    """Return ``value`` if it is true or false.

    Raises:
        ValueError: it is something else, such as the word 'no', which Hydra's command line reads as a string.
    """
    if not isinstance(value, bool):
        raise ValueError(f"{setting} is '{value}'; it can be true or false.")
    return value


def nearest(word: str, words: Iterable[str]) -> str:
    """The question to append after an unknown word, if one of the known ones is near.

    Returns:
        " Did you mean 'train'?", with the leading space, or "".
    """
    near = difflib.get_close_matches(word, list(words), 1)
    return f" Did you mean '{near[0]}'?" if near else ""
