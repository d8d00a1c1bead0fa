"""The settings of a command, checked before anything starts."""

import dataclasses
import re
import typing
from collections.abc import Collection, Iterator, Mapping
from typing import Annotated, Any

from omegaconf import DictConfig, MissingMandatoryValue
from omegaconf.errors import InterpolationToMissingValueError, OmegaConfBaseException

from inpaintlab.machine import Fault, faults
from inpaintlab.recipes import nearest, plain
from inpaintlab.runs import advice
from inpaintlab.settings.kinds import Recipe
from inpaintlab.settings.recipe import require_recipe
from inpaintlab.settings.rules import require_holes, require_rules, require_size
from inpaintlab.settings.schema import SCHEMAS

_RESUMES = "the same command resumes by itself, and init=PATH starts from another run's weights"
_LENGTH = "a training is as long as its schedule, model.schedule.phases.PHASE.batches"
_HABITS = dict.fromkeys(("ckpt_path", "resume", "resume_from_checkpoint", "checkpoint", "pretrained"), _RESUMES)
_HABITS |= dict.fromkeys(("epochs", "max_epochs", "max_steps", "steps", "iterations"), _LENGTH)
_HABITS |= {"lr": "the learning rate is model.learning_rate", "gpus": "devices are chosen by trainer.devices"}
"""What others' settings are here, in `train`."""


def require_values(words: str, cfg: DictConfig) -> None:
    """Check every setting of a command: that it is known, has a value that it can have, and fits the others.

    Args:
        words: of the command, a key of `SCHEMAS`.
        cfg: its settings as Hydra composed them, with or without Hydra's own.

    Raises:
        ValueError: one sentence on the first setting that is wrong: its key, its value, what it can be.
    """
    settings, broken = _resolved(cfg)
    if words == "shard" and cfg.get("verify") is True:  # it reads the shards that are there, and no pictures
        broken.pop("data", None)
    for fault in _faults(words, settings):
        key = fault.key
        if fault.missing and fault.path[0] in cfg and fault.path[0] not in settings:
            continue  # it does not resolve, see below
        if not fault.must and not fault.missing and _is_referred_to(key, cfg):
            continue  # a user's own, which other settings are made of
        raise ValueError(_sentence(words, fault, settings))
    order = [field.name for field in dataclasses.fields(SCHEMAS[words])]
    for key in sorted(broken, key=lambda key: order.index(key) if key in order else -1):  # others are made of the first
        missing = re.search(r"Interpolation key '(.*?)' not found", str(broken[key]))
        first = next(_made_of(missing[1], cfg), None) if missing else None
        raise ValueError(unresolved(key, broken[key], first)) from broken[key]
    require_rules(words, settings)
    learner = None
    for key, recipe, expected in _recipes(SCHEMAS[words], settings):
        made = require_recipe(recipe, key, expected)
        if (words, key) == ("train", "model"):
            require_size(made, settings["data"]["size"])
            learner = made
    if learner is not None:
        require_holes(learner, settings)  # once all recipes are checked, because it draws some


def _resolved(cfg: DictConfig) -> tuple[dict[str, Any], dict[str, OmegaConfBaseException]]:
    """The settings by their first key, and those that do not resolve, such as one that is made of a wrong value."""
    settings, broken = {}, {}
    for key in map(str, cfg):
        if key == "hydra":
            continue
        try:
            settings[key] = plain(cfg[key])
        except OmegaConfBaseException as error:
            broken[key] = error
    return settings, broken


def _faults(words: str, settings: dict[str, Any]) -> list[Fault]:
    try:
        return faults(SCHEMAS[words], settings)
    except (TypeError, RecursionError) as error:  # of a resolver of the user's own
        raise ValueError(f"The settings hold more than plain values ({error}).") from error


def unresolved(key: str, error: OmegaConfBaseException, first: str | None = None) -> str:
    """The sentence for a setting without a value, or with an interpolation that gives none.

    Args:
        key: of the setting, for an error that does not know it.
        error: OmegaConf's.
        first: the setting that has the interpolation, where the others are made of it.
    """
    reason = " ".join(str(error.msg or error).split()).partition(" full_key: ")[0]
    if isinstance(error, InterpolationToMissingValueError):
        key = reason.rpartition(": ")[2]
    elif not isinstance(error, MissingMandatoryValue):
        return f"{first or error.full_key or key} cannot be resolved: {reason}."
    else:
        key = error.full_key or key
    return f"The setting '{key}' has no default: give it as {key}=VALUE."


def _sentence(words: str, fault: Fault, settings: Mapping[str, Any]) -> str:
    key = fault.key
    if fault.missing:
        return f"The setting '{key}' is missing: give it as {key}=VALUE."
    if not fault.must:
        known = {*map(str, dotted(settings)), *(field.name for field in dataclasses.fields(SCHEMAS[words]))} - {key}
        return unknown(words, key, known)
    near = nearest(fault.value.strip("'\""), fault.choices)
    must = "be a mapping" if fault.must == "be an object" else fault.must
    return f"{key} is {fault.value}; it must {must}.{near}"


def unknown(words: str, key: str, known: Collection[str]) -> str:
    """The sentence for a key that no setting has.

    Args:
        words: of the command.
        key: dotted.
        known: dotted keys that there are.
    """
    if words in ("train", "evaluate") and key.startswith("trainer.") and (told := advice(key.partition(".")[2], words)):
        return told
    last = key.rpartition(".")[2]
    if words == "train" and key in _HABITS:
        return f"There is no setting '{key}': {_HABITS[key]}."
    if key in ("ckpt_path", "ckpt", "weights") and "checkpoint" in known:
        return f"There is no setting '{key}': give checkpoint=PATH."
    same = [other for other in known if other.rpartition(".")[2] == last and other != key]
    near = f" Did you mean '{min(same, key=len)}'?" if same else nearest(key, known)
    return f"There is no setting '{key}'.{near or f' inpaintlab {words} --help lists them all.'}"


def dotted(settings: Any, prefix: str = "") -> Iterator[str]:
    """Every key of nested settings, dotted."""
    if isinstance(settings, Mapping):
        for key, value in settings.items():
            yield f"{prefix}{key}"
            yield from dotted(value, f"{prefix}{key}.")


def _is_referred_to(key: str, cfg: DictConfig) -> bool:
    """Whether another setting is made of this one, as in ``${my.number}``."""
    return any(other != key for other in _made_of(key, cfg))


def _made_of(key: str, cfg: DictConfig) -> Iterator[str]:
    """The settings that an interpolation makes of another one, dotted."""
    pattern = re.compile(r"\$\{[^}]*(?<![\w.])" + re.escape(key) + r"(?![\w])")

    def look(value: Any, at: str) -> Iterator[str]:
        entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        for part, entry in entries:
            yield from look(entry, f"{at}.{part}".removeprefix("."))
        if isinstance(value, str) and pattern.search(value):
            yield at

    return look(plain(cfg, resolve=False), "")


def _recipes(
    schema: Any, settings: Mapping[str, Any], prefix: str = ""
) -> Iterator[tuple[str, dict[str, Any], Recipe]]:
    """The recipes that a table names, with their keys, as far as the settings have them."""
    for name, hint in typing.get_type_hints(schema, include_extras=True).items():
        if name not in settings:
            continue
        key, value = f"{prefix}{name}", settings[name]
        if dataclasses.is_dataclass(hint):
            yield from _recipes(hint, value, f"{key}.")
        elif expected := _expected(hint):
            yield key, value, expected
        elif typing.get_origin(hint) is dict and (expected := _expected(typing.get_args(hint)[1])):
            yield from ((f"{key}.{part}", entry, expected) for part, entry in value.items())


def _expected(hint: Any) -> Recipe | None:
    marks = typing.get_args(hint)[1:] if typing.get_origin(hint) is Annotated else ()
    return next((mark for mark in marks if isinstance(mark, Recipe)), None)
