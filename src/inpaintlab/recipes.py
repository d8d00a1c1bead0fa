"""What a recipe may name and hold: a ``_target_`` with its arguments, in YAML, in a checkpoint, in a manifest.

There are two kinds. A recipe of the configuration is the user's own: Hydra composes and builds it. One from a file may
be a stranger's, so it is data: `data_of` sees that it is plain, `built` alone makes something of it, of classes of ours
and of packages that the user's command line trusts (`trust`), and no interpolation in it is ever resolved.
"""

import difflib
import functools
import importlib
import importlib.util
import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from omegaconf import OmegaConf

from inpaintlab.trust import named_by_file

_OPTIMIZER = re.compile(r"torch\.optim\.(?P<name>[A-Z][A-Za-z0-9]*)")
"""The classes of torch that a recipe may name: optimizers only keep their arguments and run nothing."""


_OFFERED = re.compile(r"inpaintlab\.(?P<wing>[a-z][a-z0-9_]*)\.(?P<name>[A-Za-z][A-Za-z0-9_]*)")


_SETTING = re.compile(r"[a-z]\w*([./][A-Za-z0-9]\w*)*")  # no flags, no "+" and "~", no _target_


_DEEPEST, _MOST_VALUES = 64, 10_000
"""Of dicts and lists inside each other, and of values, each counted as often as it is referred to."""


def plain(cfg: Any, *, resolve: bool = True) -> Any:
    """The dicts, lists and scalars of a configuration, as checkpoints and JSON need them.

    Args:
        cfg: a configuration; anything else comes back as it is.
        resolve: whether interpolations are resolved, and missing values an error.
    """
    if not OmegaConf.is_config(cfg):
        return cfg
    return OmegaConf.to_container(cfg, resolve=resolve, throw_on_missing=resolve)


def in_words(recipe: Any) -> str:
    """A recipe in one line for people, such as `Folder(root=photos)` for one whose target is a class."""
    if isinstance(recipe, dict):
        settings = ", ".join(f"{key}={in_words(value)}" for key, value in recipe.items() if not key.startswith("_"))
        target = str(recipe.get("_target_", "")).rpartition(".")[2]
        return f"{target}({settings})" if target else f"{{{settings}}}"
    if isinstance(recipe, (list, tuple)):
        return f"[{', '.join(map(in_words, recipe))}]"
    return f"{recipe:g}" if isinstance(recipe, float) else str(recipe)


def pictures_in_words(source: Any) -> str:
    """The recipe of a source of pictures in one line: where they lie, or all of it, such as `Folder(root=photos)`."""
    return in_words({key: source[key] for key in ("_target_", "root")} if "root" in source else source)


def data_of(content: Any, origin: str, most: int = _MOST_VALUES, also: tuple[type, ...] = ()) -> Any:
    """A copy of a file's content that is plain data: dicts with texts as keys, lists, texts, numbers, flags, None.

    Every text stays as it is, also one like ``${oc.env:HOME}``.

    Args:
        content: what a reader made of the file; a tuple becomes a list.
        origin: the file, for the error.
        most: the number of values that it may have; a few that refer to each other can stand for billions.
        also: further kinds that it may hold, which the copy has as they are.

    Raises:
        ValueError: it holds something else, is nested more than 64 deep, has more values, or holds itself.
    """
    left = most

    def copied(value: Any, depth: int) -> Any:
        nonlocal left
        left -= 1
        if left < 0 or depth > _DEEPEST:
            raise ValueError(f"{origin} holds settings that are nested too deep or too many to be read.")
        if isinstance(value, dict):
            if not all(isinstance(key, str) for key in value):
                raise ValueError(f"{origin} holds settings with a name that is no text.")
            return {key: copied(entry, depth + 1) for key, entry in value.items()}
        if isinstance(value, (list, tuple)):
            return [copied(entry, depth + 1) for entry in value]
        if value is None or type(value) in (str, bool, int, float) or isinstance(value, also):
            return value
        raise ValueError(f"{origin} holds a {type(value).__name__} where settings are texts, numbers and lists.")

    return copied(content, 0)


class _Kinds(NamedTuple):
    """The kinds of classes that may stand at one place of a recipe, and among the arguments of what stands there.

    Args:
        ours: of our classes.
        theirs: of those of a trusted package.
        inside: of our classes among the arguments, at any depth.
        own: likewise of those of a trusted package, beside ``inside``.
    """

    ours: tuple[type, ...]
    theirs: tuple[type, ...]
    inside: tuple[type, ...]
    own: tuple[type, ...]

    def of_arguments(self) -> "_Kinds":
        return self._replace(ours=self.inside, theirs=self.inside + self.own)


class _Part(NamedTuple):
    """A class that a recipe names.

    Args:
        target: the class.
        arguments: as they stand in the recipe.
        waits: whether it is to wait for further arguments.
    """

    target: type
    arguments: dict[str, Any]
    waits: bool


def built(
    recipe: Any, kind: type, origin: str, *, inside: tuple[type, ...] = (), own: tuple[type, ...] = (), **given: Any
) -> Any:
    """Build what a recipe from a file describes. Nothing in it is resolved, and it runs no code but the named classes.

    A class is one of ours by its door, ``inpaintlab.<wing>.<Name>``, one of torch's optimizers, or one of a package
    that the command trusts (see `trust`), and it is of a kind that belongs there. ``_partial_: true`` makes a function
    that waits for further arguments, as with Hydra; ``_convert_`` changes nothing, because arguments are plain anyway.

    Args:
        recipe: see `data_of`.
        kind: what the recipe must describe.
        origin: the file, for errors.
        inside: kinds that may stand among its arguments, at any depth.
        own: further kinds among them, where the class is one of a trusted package.
        given: further arguments of the outermost class, which did not come from the file.

    Returns:
        An object of ``kind``.

    Raises:
        ValueError: it names anything else, or what it names cannot be built of these arguments.
        OSError: a file that an argument names cannot be read.
    """
    return _made(_checked(recipe, kind, origin), _Kinds((kind,), (kind,), inside, own), origin, given)


def require_buildable(
    recipe: Any, kind: type, origin: str, *, inside: tuple[type, ...] = (), own: tuple[type, ...] = ()
) -> None:
    """Check, before a long training, that `built` would take the recipe, but for the values of arguments.

    Args:
        recipe: of the configuration, resolved.
        kind: see `built`, as all others.
        origin: the place of the recipe, for errors.
        inside: of ours.
        own: of the user's.

    Raises:
        ValueError: it names what a file may not name.
    """

    def look(value: Any, kinds: _Kinds) -> None:
        if isinstance(value, list):
            for entry in value:
                look(entry, kinds.of_arguments())
        elif isinstance(value, dict):
            for entry in _part(value, kinds, origin)[1].values():
                look(entry, kinds.of_arguments())

    look(_checked(recipe, kind, origin), _Kinds((kind,), (kind,), inside, own))


def _checked(recipe: Any, kind: type, origin: str) -> dict[str, Any]:
    recipe = data_of(recipe, origin)
    if not isinstance(recipe, dict) or "_target_" not in recipe or "_partial_" in recipe:
        raise ValueError(f"{origin} does not say what to build: it names no class of the kind {kind.__name__}.")
    return recipe


def _made(value: Any, kinds: _Kinds, origin: str, given: dict[str, Any]) -> Any:
    if isinstance(value, list):
        return [_made(entry, kinds.of_arguments(), origin, {}) for entry in value]
    if not isinstance(value, dict):
        return value
    target, arguments, waits = _part(value, kinds, origin)
    arguments = {key: _made(entry, kinds.of_arguments(), origin, {}) for key, entry in arguments.items()}
    if target is dict:
        return arguments
    if waits:
        return functools.partial(target, **arguments)
    try:
        return target(**arguments, **given)
    except (ValueError, OSError):
        raise
    except Exception as error:  # arguments of a wrong name, type or size fail in as many ways as there are classes
        reason = " ".join(str(error).split())
        raise ValueError(f"{origin}: {target.__name__} cannot be built of what is said there ({reason}).") from error


def _part(value: dict[str, Any], kinds: _Kinds, origin: str) -> _Part:
    """What a dict of a recipe describes; without a class in it, a dict."""
    arguments = {key: entry for key, entry in value.items() if not key.startswith("_")}
    if "_target_" not in value:
        if steering := [key for key in value if key.startswith("_")]:
            raise ValueError(f"{origin} has '{steering[0]}' where no class is named.")
        return _Part(dict, arguments, waits=False)
    target, waits = _class_of(value["_target_"], kinds, origin), value.get("_partial_", False)
    if set(value) - set(arguments) - {"_target_", "_partial_", "_convert_"} or not isinstance(waits, bool):
        raise ValueError(f"{origin} asks to build {target.__name__} in a way that a file cannot ask for.")
    return _Part(target, arguments, waits)


def _class_of(target: Any, kinds: _Kinds, origin: str) -> type:
    ours = _offered(target)
    if ours is not None and issubclass(ours, kinds.ours):
        return ours
    theirs = named_by_file(target, origin) if isinstance(target, str) and ours is None else None
    if theirs is None:
        raise ValueError(
            f"{origin} asks to run '{target}', which is no {_in_turn(kinds.ours)} of inpaintlab; what comes from a "
            "file cannot bring code of its own."
        )
    if not isinstance(theirs, type) or not issubclass(theirs, kinds.theirs):
        raise ValueError(
            f"{origin} asks to run '{target}', which is no {_in_turn(kinds.theirs)}; nothing else can stand there, "
            "also of a package that is trusted."
        )
    return theirs


def _in_turn(kinds: tuple[type, ...]) -> str:
    return " or ".join(kind.__name__ for kind in kinds) or "class"


def _offered(target: Any) -> type | None:
    """The class that a dotted name stands for, if one of our wings defines it and lists it in ``__all__``.

    Nothing but that wing's ``__init__`` is imported to find out, or torch's for an optimizer.
    """
    if isinstance(target, str) and (optimizer := _OPTIMIZER.fullmatch(target)):
        optim = importlib.import_module("torch.optim")
        offered = getattr(optim, optimizer["name"], None)
        return offered if isinstance(offered, type) and issubclass(offered, optim.Optimizer) else None
    parts = _OFFERED.fullmatch(target) if isinstance(target, str) else None
    if parts is None:
        return None
    wing, name = f"{__package__}.{parts['wing']}", parts["name"]
    found = importlib.util.find_spec(wing)
    if found is None or found.submodule_search_locations is None:  # absent, or a verb's file
        return None
    door = importlib.import_module(wing)
    offered = getattr(door, name) if name in getattr(door, "__all__", ()) else None
    return offered if isinstance(offered, type) and offered.__module__.startswith(f"{wing}.") else None


def require_settings(settings: dict[Any, Any], origin: str) -> None:
    """Check settings from a file that Hydra is to compose: they name no class, none of Hydra's own and no resolver.

    Hydra reads them as text, so nothing may stand in them that it would run or resolve, and only the command line says
    whose code is trusted. A user's own YAML, in a folder
    that ``--config-dir`` names, is free of this.

    Args:
        settings: key to value, as `data_of` returns them.
        origin: the file and the place in it, for the error.

    Raises:
        ValueError: a key that is no plain setting, or a text with "${".
    """
    if strange := _strange(settings):
        raise ValueError(
            f"{origin}: '{strange}' is said on the command line alone; no file decides whose code runs."
            if re.split("[./]", strange)[0] == "trust"
            else f"{origin}: '{strange}' is no setting; name settings as on the command line, without + or ~, and "
            "classes by their groups."
        )
    require_literal(settings, origin)


def require_literal(value: Any, origin: str) -> None:
    """Check that no text among these values would be resolved, such as ``${oc.env:HOME}``.

    Raises:
        ValueError: one would be.
    """
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        require_literal(inner, origin)
    if isinstance(value, str) and "${" in value:
        raise ValueError(
            f"{origin}: {value!r} has a '${{', and nothing in such a file is resolved; write the value out."
        )


def _strange(settings: Any) -> str | None:
    """The first key that is not a plain setting: one of Hydra's own, or one that would name a class to run."""
    if isinstance(settings, list):
        return next((found for value in settings if (found := _strange(value))), None)
    if not isinstance(settings, dict):
        return None
    for key, value in settings.items():
        if not isinstance(key, str) or not _SETTING.fullmatch(key) or re.split("[./]", key)[0] in ("hydra", "trust"):
            return str(key)
        if found := _strange(value):
            return found
    return None


def require_choices(settings: dict[str, Any]) -> None:
    """Check that settings which choose a file of a group choose one that this group has, and not a path to another.

    Args:
        settings: those of a file, see `require_settings`; Hydra is initialised, so that its groups are known.

    Raises:
        ValueError: a group has no such choice; the message names those that it has.
    """
    from hydra.core.global_hydra import GlobalHydra  # `weights` needs none of Hydra

    loader = GlobalHydra.instance().config_loader()
    for key, value in settings.items():
        if loader.get_group_options(key, None):
            choices = loader.get_group_options(key)
            for choice in value if isinstance(value, list) else [value]:
                if choice is not None and choice not in choices:
                    raise ValueError(f"{key} is {choice!r}; it can be {', '.join(choices)}.")


def overrides(settings: Mapping[str, Any]) -> list[str]:
    """Settings as command-line overrides; text is quoted, so that it stays text even if it looks like a number."""
    return [f"{key}={_literal(value)}" for key, value in settings.items()]


def _literal(value: Any) -> str:
    from hydra.core.override_parser.types import Quote, QuotedString  # `weights` needs none of Hydra

    if isinstance(value, Mapping):
        return "{" + ",".join(f"{key}:{_literal(entry)}" for key, entry in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return f"[{','.join(map(_literal, value))}]"
    if isinstance(value, str):
        return QuotedString(value, Quote.single).with_quotes()
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else repr(value)


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
    words = list(words)
    near = difflib.get_close_matches(word, words, 1) or [one for one in words if len(word) > 2 and one.startswith(word)]
    return f" Did you mean '{near[0]}'?" if near else ""
