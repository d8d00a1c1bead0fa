"""What Hydra and a command say of a user's mistake, in one sentence."""

import contextlib
import itertools
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException, InstantiationException, MissingConfigException
from omegaconf import MissingMandatoryValue
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from inpaintlab.commandline.arguments import COMMANDS, OF_WORDS, settings_of
from inpaintlab.commandline.comments import comments
from inpaintlab.machine import FULL_DISK
from inpaintlab.recipes import nearest, plain

MISTAKES = (HydraException, OmegaConfBaseException, YAMLError, ValueError, OSError)
"""What a user's mistake is raised as: by Hydra while it composes the settings, and by a command."""


def of_command(error: BaseException) -> str:
    """The sentence for an error of a command; Hydra wraps a constructor's, and names the setting at its end."""
    if isinstance(error, InstantiationException) and error.__cause__ is not None:
        key = str(error).rpartition("full_key: ")[2] if "full_key: " in str(error) else ""
        return f"{error.__cause__}" + (f" (while building '{key}')" if key else "")
    if isinstance(error, OmegaConfBaseException):
        from inpaintlab.settings import unresolved  # not for --help

        return unresolved(str(error.full_key or error.key), error)
    if isinstance(error, OSError) and error.errno in FULL_DISK:
        return (
            f"There is no space left for {error.filename or 'what is to be written'} ({error.strerror}); files that "
            "were whole before still are. Make space, and the same command goes on."
        )
    message = str(error)
    if "\nOriginal Traceback" in message:  # a loader's worker reports its error as the text of its whole trace
        return message.strip().splitlines()[-1].partition(": ")[2]
    return message


def of_composing(error: BaseException, conf: Path, words: str, arguments: Sequence[str]) -> str:
    """The sentence for an error of Hydra as it composes the settings of a command.

    Args:
        error: Hydra's.
        conf: the folder of all YAML.
        words: of the command, a key of `arguments.COMMANDS`.
        arguments: those of the command line.
    """
    if isinstance(error, MissingConfigException) and error.missing_cfg_file and error.options is not None:
        group, _, choice = error.missing_cfg_file.rpartition("/")
        return f"{group} is '{choice}'; it can be {', '.join(error.options)}.{nearest(choice, error.options)}"
    if isinstance(error, InstantiationException | MissingMandatoryValue | OSError):  # of a sweeper, a launcher, a job
        return of_command(error)
    text = " ".join(str(error).split())
    if found := re.match(r"Could not (?:override|delete from config\.) '(.*?)'(?:\.| does not exist)", text):
        deeper = re.search(r"full_key: (\S+)", str(error.__cause__ or ""))
        return _of_key(found[1], deeper[1] if deeper else found[1], conf, words, arguments)
    if found := re.match(r"Could not append to config\. An item is already at '(.*?)'", text):
        return f"The setting '{found[1]}' is there already: give it without the +, as {found[1]}=VALUE."
    if found := re.match(r"(\S+) appears more than once in the final defaults list", text):
        return f"{found[1]} is chosen twice: give one choice, and without a +, as {found[1].partition('/')[0]}=CHOICE."
    if found := re.match(r"Ambiguous value for argument '((.*?)=(.*))' 1\.", text):
        return (
            f"{found[1]} has several values: -m makes a sweep of them; {found[2]}=[{found[3]}] is a list, and "
            f"\"{found[2]}='{found[3]}'\" a text."
        )
    if text.startswith("Config group override must be"):
        for override in _parsed(arguments):
            key = str(override.key_or_group)
            if (choices := _choices(conf, key)) and not isinstance(override.value(), str | list | dict):
                return f"{override.input_line} chooses nothing; {key} can be {', '.join(choices)}."
    return re.split(r" (?:See https|Config search path:|full_key:|To append to your)", text)[0]


def _of_key(key: str, deepest: str, conf: Path, words: str, arguments: Sequence[str]) -> str:
    """The sentence for a key that is not there.

    Args:
        key: the override's.
        deepest: the key that is missing; it lies below ``key`` where a mapping was given, and above it where a group
            has no choice.
        conf: see `of_composing`.
        words: likewise.
        arguments: likewise.
    """
    from inpaintlab.settings import unknown  # not for --help

    if key.startswith(f"{deepest}.") and (choices := _choices(conf, deepest)):
        return (
            f"There is no setting '{key}' without a {deepest}: choose one by {deepest}=, which can be "
            f"{', '.join(choices)}. Where a checkpoint brings its own, +{key}=VALUE changes one of them."
        )
    groups = list(_groups(conf))
    if "/" in key:
        return f"There is no group '{key}'.{nearest(key, groups) or f' Groups are {chr(44).join(groups)}.'}"
    if deepest == key and (having := _choices_with(key, conf)):
        return f"There is no setting '{key}' with this choice: {' and '.join(having)} {_HAVE[len(having) > 1]} it."
    return unknown(words, max(key, deepest, key=len), _known(conf, words, arguments))


_HAVE = ("has", "have")


def _choices_with(key: str, conf: Path) -> list[str]:
    """The choices of the groups around a key that have a setting of that name."""
    parts = key.split(".")
    return [
        f"{group}={choice}"
        for at in range(1, len(parts))
        for group in ["/".join(parts[:at])]
        for choice in _choices(conf, group)
        if ".".join(parts[at:]) in comments(conf / group / f"{choice}.yaml")
    ]


def _known(conf: Path, words: str, arguments: Sequence[str]) -> set[str]:
    """The settings that there are with the groups' choices of the command line; none if these do not compose."""
    from inpaintlab.settings import dotted

    chosen = [
        override.input_line
        for override in _parsed(arguments)
        if _choices(conf, str(override.key_or_group)) and override.is_sweep_override() is False
    ]
    folders = [value for flag, value in itertools.pairwise(arguments) if flag in ("--config-dir", "-cd")]
    search = [f"hydra.searchpath=[{','.join(f'file://{Path(folder).absolute()}' for folder in folders)}]"]
    config = COMMANDS[words].config or "train"
    with contextlib.suppress(HydraException, OmegaConfBaseException, ValueError):
        there = GlobalHydra.instance().is_initialized()
        with contextlib.nullcontext() if there else initialize_config_dir(str(conf), version_base="1.3"):
            cfg = compose(config, [*(search if folders else []), *map(str, chosen)])
        return set(dotted(plain(cfg, resolve=False)))
    return set()


def _parsed(arguments: Sequence[str]) -> Iterator[Override]:
    for argument in settings_of(arguments):
        with contextlib.suppress(HydraException):
            yield OverridesParser.create().parse_override(argument)


def _groups(conf: Path) -> Iterator[str]:
    folders = sorted(path for path in conf.rglob("*") if path.is_dir())
    return (folder.relative_to(conf).as_posix() for folder in folders if folder.name not in OF_WORDS)


def _choices(conf: Path, group: str) -> list[str]:
    """The choices of a group; none if it is no group of ours."""
    folder = conf / group
    return sorted(path.stem for path in folder.glob("*.yaml")) if group and folder.is_dir() else []
