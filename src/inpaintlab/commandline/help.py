"""The text of ``--help``: a command's groups with their choices, its settings with their defaults and meanings.

All of it is read from conf/: settings are composed, and their meanings are the comments of the YAML files. No module
that does a command's work is imported, so the answer comes at once.
"""

import re
import shutil
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any, final

import yaml
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from inpaintlab.commandline.arguments import COMMANDS, NAMED, settings_of, words_of
from inpaintlab.commandline.comments import LOADER, comments, head
from inpaintlab.commandline.multirun import GROUPS
from inpaintlab.commandline.quoting import without_kind

FIXED = "fixed: "
"""How the comment of a key begins that follows from other settings, or that no run can do without."""

_EXPORT = """\
usage: inpaintlab sweep export wandb KEY=VALUE,VALUE ... > sweep.yaml

Print the W&B sweep that does what inpaintlab train -m does with the same
settings, which inpaintlab train --help lists.
"""

_FLAGS = [
    ("--cfg job", "the resolved settings as YAML; --package model prints a part of them"),
    ("--info defaults", "the files that the settings come from; --hydra-help tells of Hydra's other flags"),
]


@final
@dataclass(frozen=True)
class Settings:
    """The settings of a command, composed with what is given beside ``--help``."""

    folders: Sequence[Path]
    """Where YAML is looked for: conf/ and what ``--config-dir`` names."""
    values: Mapping[str, Any]
    """Nested, with interpolations as they stand in the YAML."""
    choices: Mapping[str, str | None]
    """The chosen file of each group; None: none is."""
    keys: Mapping[str, str]
    """The first key of the settings that a group's choice gives: trainer, of precision."""
    meanings: Mapping[str, str]
    """The comment of each dotted key: of the last file that has one for it."""

    def file(self, path: str) -> Path | None:
        """The YAML file of a group's choice."""
        return next((file for folder in self.folders if (file := folder / f"{path}.yaml").is_file()), None)

    def choices_of(self, group: str) -> dict[str, str]:
        """The choices of a group, each with the first sentence of its file."""
        files = {file.stem: file for folder in reversed(self.folders) for file in (folder / group).glob("*.yaml")}
        return {name: _first_sentence(" ".join(head(file))) for name, file in sorted(files.items())}

    def groups_within(self, group: str) -> list[str]:
        """The groups inside a group, such as model/schedule."""
        return sorted({f"{group}/{inner.name}" for folder in self.folders for inner in (folder / group).glob("*/")})

    def holds(self, group: str, choice: str) -> set[str]:
        """The keys and inner groups of a choice, with those of the files that it builds on."""
        file = self.file(f"{group}/{choice}")
        content = _content(file) if file else {}
        found = set(content)
        for entry in content.get("defaults", ()):
            if isinstance(entry, dict):
                found |= {str(key).removeprefix("override ") for key in entry}
            elif entry != "_self_":
                found |= self.holds(group, entry)
        return found


@cache
def _content(file: Path) -> dict[str, Any]:
    return yaml.load(file.read_text(), Loader=LOADER) or {}


def print_help(conf: Path, command: str, arguments: Sequence[str]) -> None:
    """Print the help of a command.

    Args:
        conf: the folder of all YAML.
        command: its words, a key of `arguments.COMMANDS`.
        arguments: the arguments after these words, including ``--help``.

    Raises:
        SystemExit: with exit code 1 and a message, if the settings beside ``--help`` are wrong.
    """
    config = COMMANDS[command].config
    if config is None:
        print(_EXPORT if command != NAMED else "\n".join(_names(conf)) + "\n", end="")
        return
    try:
        settings = composed(conf, config, arguments)
    except (HydraException, OmegaConfBaseException) as error:
        print(f"inpaintlab {command}: {error}", file=sys.stderr)
        raise SystemExit(1) from None
    width = min(max(shutil.get_terminal_size().columns, 80), 120)
    parts = [_usage(conf, command, width), _groups(command, settings, width), _keys(command, settings, width)]
    parts.append(["Instead of --help:", *_table(_FLAGS, width)])
    print("\n\n".join("\n".join(part) for part in parts if part))


def composed(conf: Path, config: str, arguments: Sequence[str]) -> Settings:
    """Compose conf/CONFIG.yaml with the settings among the arguments; those of a sweep keep their defaults.

    Raises:
        HydraException, OmegaConfBaseException: there is no such setting or choice.
    """
    more = [Path(folder).absolute() for flag, folder in pairwise(arguments) if flag in ("--config-dir", "-cd")]
    given = [f"hydra.searchpath={[f'file://{folder}' for folder in more]}"] if more else []
    parsed = OverridesParser.create().parse_overrides(settings_of(arguments))
    given += [str(override.input_line) for override in parsed if not override.is_sweep_override()]
    with initialize_config_dir(version_base="1.3", config_dir=str(conf)):
        loader = GlobalHydra.instance().config_loader()
        cfg = compose(config, given, return_hydra_config=True)
        files = loader.compute_defaults_list(config, given, RunMode.RUN).defaults
    values: Any = OmegaConf.to_container(cfg)
    hydra = values.pop("hydra")
    values["hydra"] = {group.partition("/")[2]: hydra[group.partition("/")[2]] for group in GROUPS}
    choices = dict(reversed(hydra["runtime"]["choices"].items()))  # in the order of the file
    groups = {f"{group.partition('@')[0]}/{choice}": group for group, choice in choices.items()}
    settings = Settings([conf, *more], values, choices, keys := {}, meanings := {})
    for entry in files:
        if entry.config_path in groups and entry.package:  # an experiment's settings are those of others
            keys[groups[entry.config_path]] = entry.package.partition(".")[0]
        file, prefix = settings.file(entry.config_path), f"{entry.package}." if entry.package else ""
        if file is not None:
            meanings.update(
                {f"{prefix}{key}": without_kind(meaning) for key, meaning in comments(file).items() if meaning}
            )
    return settings


def _usage(conf: Path, command: str, width: int) -> list[str]:
    """How the command is called, what it does, and the other words of its verb where its own may be left out."""
    usage, text = _head_of(conf, command)
    lines = [f"{'usage:' if line == usage[0] else '      '} {line}" for line in usage]
    lines += ["", *textwrap.wrap(text, width)]
    verb, _, word = command.partition(" ")
    words = words_of(verb)
    if len(words) > 1 and word == words[0] and verb != NAMED:
        rows = [(other, _first_sentence(_head_of(conf, f"{verb} {other}")[1])) for other in words]
        lines += ["", f"Words, each with its own --help ('{word}' may be left out):"]
        lines += _table(rows, width)
    return lines


def _names(conf: Path) -> list[str]:
    """What the verb without a command of its own says: its words, each with what it is."""
    rows = [(word, _first_sentence(_head_of(conf, f"{NAMED} {word}")[1])) for word in words_of(NAMED)]
    width = min(max(shutil.get_terminal_size().columns, 80), 120)
    usage = f"usage: inpaintlab {NAMED} NAME [PATH ...] [KEY=VALUE ...]"
    return [usage, "", "Draw a figure of the papers. NAME, each with its own --help:", *_table(rows, width)]


def _head_of(conf: Path, command: str) -> tuple[list[str], str]:
    """The lines that show how a command is called, and the text below them, from the head of its file."""
    config = COMMANDS[command].config
    if config is None:
        first, _, text = _EXPORT.partition("\n\n")
        return [first.removeprefix("usage: ")], text
    lines = head(conf / f"{config}.yaml")
    usage = [line for line in lines if line.startswith("inpaintlab ")]
    return usage, " ".join(line for line in lines if line not in usage)


def _groups(command: str, settings: Settings, width: int) -> list[str]:
    """Each group that the command takes, with its choices."""
    lines = []
    for group in group_names(command, settings):
        place = group.partition("@")[0]
        choices, useless = usable(command, place, settings)
        lines.append(f"  {group}{_owners(command, place, settings)}")
        chosen = settings.choices.get(group)
        rows = [(f"{'*' if choice == chosen else ' '} {choice}", meaning) for choice, meaning in choices.items()]
        lines += _table(rows, width, "    ", 24)
        if useless:
            note = f"not for training, because they do not learn: {', '.join(useless)}"
            lines += textwrap.wrap(note, width, initial_indent=" " * 6, subsequent_indent=" " * 8)
    return ["Groups, given as GROUP=CHOICE; * is chosen:", *lines] if lines else []


def usable(command: str, group: str, settings: Settings) -> tuple[dict[str, str], list[str]]:
    """The choices of a group that a command works with, and those that it refuses: models without a schedule."""
    choices = settings.choices_of(group)
    if (command, group) != ("train", "model"):
        return choices, []
    useless = [choice for choice in choices if "schedule" not in settings.holds(group, choice)]
    return {choice: meaning for choice, meaning in choices.items() if choice not in useless}, useless


def _owners(command: str, group: str, settings: Settings) -> str:
    """Which choices of the group around it have a group at all, where not all of them do."""
    outer, _, inner = group.rpartition("/")
    choices = usable(command, outer, settings)[0] if outer else {}
    owners = [choice for choice in choices if inner in settings.holds(outer, choice)]
    return f" (of {outer}={', '.join(owners)})" if 0 < len(owners) < len(choices) else ""


def group_names(command: str, settings: Settings) -> list[str]:
    """The groups that a command takes, those inside a group behind it where a choice of that is made."""
    ours = [group for group in settings.choices if not group.startswith("hydra/")]
    names = []
    for group in [group for group in ours if "/" not in group]:
        # a model's schedule, losses and optimizer are for training
        inner = command == "train" or group != "model"
        names += [group, *(settings.groups_within(group) if inner and settings.choices[group] else ())]
    return names + (list(GROUPS) if command == "train" else [])


def _keys(command: str, settings: Settings, width: int) -> list[str]:
    """Each setting with its default and its meaning: the command's own, then those of each group's choice."""
    own = {key: value for key, value in settings.values.items() if key not in settings.keys.values()}
    lines = _table(list(_rows(own, "", settings.meanings)), width)
    groups = [group for group in group_names(command, settings) if group in settings.keys]
    for key in dict.fromkeys(settings.keys[group] for group in groups):
        rows = list(_rows({key: settings.values[key]}, "", settings.meanings))
        if rows:
            choices = [f"{group}={settings.choices[group]}" for group in groups if settings.keys[group] == key]
            lines += [*([""] if lines else []), f"  with {' '.join(choices)}:", *_table(rows, width)]
    return ["Settings, given as KEY=VALUE; here with their defaults, ??? must be given:", *lines] if lines else []


def _rows(node: Mapping[str, Any], prefix: str, meanings: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """KEY=VALUE and the meaning of each setting that a user changes.

    The meaning of a mapping stands in a line of its own, or with the first setting inside where none of them has one.
    """
    for key, value in node.items():
        name = f"{prefix}{key}"
        meaning = meanings.get(name, "")
        if str(key).startswith("_") or meaning.startswith(FIXED):
            continue
        inside = any(known.startswith(f"{name}.") for known in meanings)
        if value == {} and not meaning:
            continue
        if not isinstance(value, dict) or not value or (meaning and not inside and "_target_" in value):
            yield f"{name}={typed(value)}", meaning
            continue
        rows = list(_rows(value, f"{name}.", meanings))
        if inside and meaning:
            yield name, meaning
        elif meaning:
            rows[0] = (rows[0][0], meaning)
        yield from rows


def typed(value: Any) -> str:
    """A value as it is typed; of a recipe the class and its arguments."""
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case list():
            return f"[{','.join(map(typed, value))}]"
        case dict() if "_target_" in value:
            arguments = [f"{key}={typed(entry)}" for key, entry in value.items() if not key.startswith("_")]
            return f"{value['_target_'].rpartition('.')[2]}({', '.join(arguments)})"
        case dict():
            return f"{{{', '.join(f'{key}: {typed(entry)}' for key, entry in value.items())}}}"
    return str(value)


def _first_sentence(text: str) -> str:
    return re.split(r"(?<=\.)\s+(?=[A-Z])", text)[0]


def _table(rows: Sequence[tuple[str, str]], width: int, indent: str = "  ", column: int = 38) -> list[str]:
    """Two columns, the second wrapped; what is too long for the first has its meaning in the line below."""
    column = min(column, max((len(left) for left, _ in rows), default=0) + 2)
    margin = len(indent) + column
    lines = []
    for left, right in rows:
        wrapped = textwrap.wrap(right, width - margin, break_on_hyphens=False)
        beside = len(left) + 2 <= column
        first = f"{indent}{left.ljust(column)}{wrapped.pop(0)}" if wrapped and beside else f"{indent}{left}"
        lines += [first, *(" " * margin + line for line in wrapped)]
    return lines
