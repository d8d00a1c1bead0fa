"""Whose code a file may name: inpaintlab's, and that of packages which the user's own command line trusts.

A checkpoint or a manifest names the classes that it was made with, and may come from a stranger. So a file alone runs
no code but ours. A command trusts further packages for as long as it runs: those of its setting ``trust``, and those
whose classes its settings name, because Hydra composes these from the command line and the user's own YAML.
"""

import importlib
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any, NamedTuple

from omegaconf import DictConfig, OmegaConf

_OURS = ("inpaintlab", "hydra_plugins", "torch", "lightning")
"""What the settings name of themselves; trusted for that would be everybody's checkpoint that names all of torch."""

_CLASS = re.compile(r"(?P<module>(?P<package>[^\W\d]\w*)(\.(?!__)[^\W\d]\w*)*)\.(?P<name>[^\W\d]\w*)")

_trusted: set[str] = set()
"""Of the command that runs, see `trusting`."""


class _Named(NamedTuple):
    """Where the settings name a class, and which."""

    key: str
    target: str


@contextmanager
def trusting(packages: Sequence[str]) -> Iterator[None]:
    """Trust these packages, and no others, while the context lasts. Commands do this, see `config.command`."""
    before = set(_trusted)
    _trusted.clear()
    _trusted.update(packages)
    try:
        yield
    finally:
        _trusted.clear()
        _trusted.update(before)


def trusted_by(cfg: DictConfig) -> list[str]:
    """The packages that the settings of a command trust.

    Args:
        cfg: as Hydra composed them, which no file of a stranger takes part in.

    Returns:
        Those of the setting ``trust``, and the users' own that some ``_target_`` names.

    Raises:
        ValueError: ``trust`` is no list of packages, or one of all these packages cannot be found.
    """
    given = OmegaConf.to_container(cfg, resolve=False).get("trust") or []  # type: ignore[union-attr]
    if not isinstance(given, list) or not all(isinstance(package, str) for package in given):
        raise ValueError(f"trust is {given!r}; give a list of packages, as in trust=[mypackage].")
    for package in given:
        _require_package(package)
    named = []
    for key, target in _named(OmegaConf.to_container(cfg, resolve=False)):
        parts = _CLASS.fullmatch(target)
        if parts is None or parts["package"] in (*_OURS, *sys.stdlib_module_names):
            continue
        if not _is_there(parts["package"]):
            raise ValueError(f"{key} names {target}, but {_absent(parts['package'])}")
        named.append(parts["package"])
    return list(dict.fromkeys([*given, *named]))


def _require_package(package: str) -> None:
    top = package.partition(".")[0]
    if not _CLASS.fullmatch(f"{package}.Any"):
        raise ValueError(f"trust names {package!r}, which is no package; give its name, as in trust=[mypackage].")
    if top in ("inpaintlab", *sys.stdlib_module_names):
        whose = "inpaintlab, whose classes need" if top == "inpaintlab" else "Python's own library, which needs"
        raise ValueError(f"trust names {package}, which is of {whose} no trust; name your own package.")
    if top != package:
        raise ValueError(f"trust names {package}, which is inside a package; trust all of it: trust=[{top}].")
    if not _is_there(package):
        raise ValueError(f"trust names {package}, but {_absent(package)}")


def _is_there(package: str) -> bool:
    """Whether a package can be found; nothing of it is imported."""
    try:
        return find_spec(package) is not None
    except ValueError:  # loaded by other means, and without a word on how
        return package in sys.modules


def _absent(package: str) -> str:
    return (
        f"there is no package {package} here: install it (pip install -e FOLDER), or say where it lies (PYTHONPATH=. "
        "for the current folder, which commands do not look into by themselves)."
    )


def _named(settings: Any, key: str = "") -> Iterator[_Named]:
    """Every class that settings name, with the key that holds it."""
    if isinstance(settings, list):
        settings = dict(enumerate(settings))
    for name, value in settings.items() if isinstance(settings, dict) else ():
        at = f"{key}.{name}".lstrip(".")
        if name == "_target_" and isinstance(value, str):
            yield _Named(at, value)
        yield from _named(value, at)


def named_by_file(target: str, origin: str) -> Any:
    """What a file names of a package that is not ours, if the running command trusts it. Nothing else is imported.

    Args:
        target: a dotted name.
        origin: the file, for errors.

    Returns:
        What the name stands for, most likely a class; None for a name that no package of a user can have.

    Raises:
        ValueError: the package is not trusted, is not there or cannot be imported; the message says what to do.
    """
    parts = _CLASS.fullmatch(target)
    if parts is None or parts["package"] in ("inpaintlab", "hydra_plugins", *sys.stdlib_module_names):
        return None
    package = parts["package"]
    if package not in _trusted:
        trust = f"trust=[{','.join(sorted(_trusted | {package}))}]"
        there = "" if _is_there(package) else f" But {_absent(package)}"
        raise ValueError(
            f"{origin} asks to run '{target}'; if you trust the package {package}, add {trust} to the command.{there}"
        )
    try:
        module = importlib.import_module(parts["module"])
    except Exception as error:  # whatever a user's module raises as it is imported
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise ValueError(f"{origin} names {target}, but {parts['module']} cannot be imported ({reason}).") from error
    if not hasattr(module, parts["name"]):
        raise ValueError(f"{origin} names {target}, but {parts['module']} has no {parts['name']}.")
    return getattr(module, parts["name"])


def modules_of(recipe: Any) -> set[str]:
    """The modules of users' own packages that a recipe names: their code decides what is built, as ours does."""
    parts = (_CLASS.fullmatch(target) for _, target in _named(recipe))
    return {each["module"] for each in parts if each and each["package"] not in (*_OURS, *sys.stdlib_module_names)}


def passed_on(hydra: Any) -> list[str]:
    """The arguments by which a command that this one starts finds the same YAML.

    Args:
        hydra: Hydra's own settings of the command that runs.
    """
    folders = [source for source in hydra.runtime.config_sources if source.provider == "command-line"]
    searched = [argument for argument in hydra.overrides.hydra if argument.startswith("hydra.searchpath=")]
    return [*(part for source in folders for part in ("--config-dir", source.path)), *searched]
