"""The words of a command line that stand before its settings: ``inpaintlab VERB [WORD] [FILE] KEY=VALUE ...``."""

import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import final

from hydra.core.override_parser.types import Quote, QuotedString

from inpaintlab.recipes import nearest


@final
@dataclass(frozen=True)
class Command:
    """What a command reads.

    Args:
        config: its file in conf/, without the suffix; None: it takes the settings of others.
        file: the setting that a path right behind its words stands for; None: it takes no path.
        folders: the setting, a list, that all paths behind its words stand for; None: it takes none.
        gathered: words before "=" that may come several times, each with the list that their values make together.
    """

    config: str | None
    file: str | None = None
    folders: str | None = None
    gathered: Mapping[str, str] = field(default_factory=dict)


FIGURES = {
    "fig2_overview": False,
    "fig3_qualitative": True,
    "fig6_sigma": True,
    "fig7_sigma": True,
    "fig9_failures": True,
    "fig10_transfer": False,
    "fig11_removal": False,
    "heatmap": True,
}
"""Every figure, and whether it is drawn of result folders; the others are of a checkpoint."""


NAMED = "figures"
"""The verb that does nothing without a word: no figure stands for all."""


COMMANDS = {
    **{verb: Command(verb) for verb in ("train", "evaluate", "complete", "export", "shard", "doctor")},
    "compare": Command("compare", folders="results"),
    # not model: a group of conf/ has that name, and stands for one method
    "serve": Command("serve", gathered={"checkpoint": "checkpoint", "model": "models", "study": "study"}),
    # not manifest/create: manifest=FILE would ask for a choice of a group where conf/ had a folder of that name
    "manifest create": Command("manifests/create"),
    "manifest show": Command("manifests/show", file="manifest"),
    "manifest verify": Command("manifests/verify", file="manifest"),
    "manifest split": Command("manifests/split", file="manifest"),
    "manifest leaks": Command("manifests/leaks", file="manifest"),
    "manifest import": Command("manifests/import"),
    "sweep status": Command("sweep", file="sweep"),
    "sweep export": Command(None),
    # not runs/list: runs=FOLDER, of inpaintlab train, would ask for a choice of a group
    "runs list": Command("runs", file="folder"),
    "runs compare": Command("runs_compare", folders="folders"),
    "bench data": Command("bench"),
    NAMED: Command(None),
    **{
        f"{NAMED} {name}": Command(
            f"figures/{name}", "checkpoint" if not results else None, "results" if results else None
        )
        for name, results in FIGURES.items()
    },
}
"""Every command that takes settings, by its words. The first word of a verb may be left out, but for ``NAMED``."""

OF_WORDS = ("manifests", "figures")
"""Folders of conf/ that hold the settings of commands, a word each, and are no groups."""

FLAGS_WITH_VALUE = (
    *("--cfg", "-c", "--package", "-p", "--info", "-i"),
    *("--config-path", "-cp", "--config-name", "-cn", "--config-dir", "-cd"),
)
"""Hydra's flags that are followed by a value, which is no path and no setting."""


_NO_KEY = re.compile(r"[\s,()]")
"""What stands in no key of a setting, and may in the name of a run before a "="."""


def words_of(verb: str) -> list[str]:
    """The words that may follow a verb; none where its settings do."""
    return [command.partition(" ")[2] for command in COMMANDS if command.startswith(f"{verb} ")]


def read(verb: str, arguments: Sequence[str]) -> tuple[str, list[str]]:
    """The command that the ``arguments`` after a verb ask for, and the rest of them with each path as a setting.

    A word that the verb does not know ends the process with exit code 2 and says what there is.
    """
    rest, words = list(arguments), words_of(verb)
    command = f"{verb} {words[0]}" if words and verb != NAMED else verb
    known = f"{'There are' if len(words) > 1 else 'There is'}: {', '.join(words)}."
    is_word = words and rest and (rest[0].isalpha() or (verb == NAMED and rest[0].replace("_", "").isalnum()))
    if is_word and not (rest[0] not in words and COMMANDS[command].file and os.path.isdir(rest[0])):
        word = rest.pop(0)
        if word not in words:
            print(f"inpaintlab {verb}: there is no '{word}'.{nearest(word, words)} {known}", file=sys.stderr)
            raise SystemExit(2)
        command = f"{verb} {word}"
    elif verb == NAMED and not {"--help", "-h"} & set(rest):
        print(f"inpaintlab {verb}: name a figure first, as in inpaintlab {verb} {words[2]}. {known}", file=sys.stderr)
        raise SystemExit(2)
    if (key := COMMANDS[command].file) and rest and not rest[0].startswith(f"{key}=") and _is_path(rest[0]):
        rest[0] = f"{key}={literal(expanded(rest[0]))}"
    rest = _gathered(rest, COMMANDS[command].gathered)
    folders = COMMANDS[command].folders
    return command, folders_as_override(rest, folders) if folders else rest


def _gathered(arguments: Sequence[str], lists: Mapping[str, str]) -> list[str]:
    """The arguments with ``checkpoint=A checkpoint=B`` as ``checkpoint=['A','B']``; a list stays as it is."""
    values: dict[str, list[str]] = {}
    rest = []
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if equals and key in lists and value and value != "null" and not value.startswith("["):
            values.setdefault(lists[key], []).append(literal(expanded(value)))
        else:
            rest.append(f"{lists[key]}={value}" if equals and key in lists else argument)
    return [*rest, *(f"{key}=[{','.join(several)}]" for key, several in values.items())]


def folders_as_override(arguments: Sequence[str], key: str) -> list[str]:
    """Gather the folders into one Hydra override ``KEY=[...]``; the rest stays as it is."""
    folders, rest = [], []
    before = ""
    for argument in arguments:
        if before not in FLAGS_WITH_VALUE and _is_path(argument):
            folders.append(literal(expanded(argument)))
        else:
            rest.append(argument)
        before = argument
    return [f"{key}=[{','.join(folders)}]", *rest] if folders else rest


def settings_of(arguments: Sequence[str]) -> list[str]:
    """The settings among the arguments of a command, without Hydra's flags and their values."""
    return [
        argument
        for before, argument in zip(["", *arguments], arguments, strict=False)
        if before not in FLAGS_WITH_VALUE and not argument.startswith("-")
    ]


def flags_first(arguments: Sequence[str]) -> list[str]:
    """The arguments of a command with Hydra's flags before the settings: between two of these it reads none."""
    flags: list[str] = []
    settings: list[str] = []
    for before, argument in zip(["", *arguments], arguments, strict=False):
        is_flag = before in FLAGS_WITH_VALUE or argument.startswith("-")
        (flags if is_flag else settings).append(argument)
    return [*flags, *settings]


def literal(text: str) -> str:
    """A text in quotes, so that any name passes through Hydra's grammar, and through OmegaConf's interpolation."""
    # a backslash before "${" counts for OmegaConf there and nowhere else
    return QuotedString(re.sub(r"(\\*)\$\{", r"\1\1\\${", text), Quote.single).with_quotes()


def expanded(path: str) -> str:
    """A path with its ``~`` expanded, unless a file of that name is there."""
    if not path.startswith("~"):
        return path
    return f"./{path}" if os.path.exists(path) else os.path.expanduser(path)


def _is_path(argument: str) -> bool:
    """Whether an argument names a path and no setting: it has no "=", or no key before it, or it names what exists.

    ``~/results`` is the path that a shell leaves alone in quotes, ``~logger`` takes a setting away.
    """
    if argument.startswith("~/") or os.path.exists(argument):
        return True
    if argument.startswith(("-", "~", "+")):
        return False
    key, equals, _ = argument.partition("=")
    return not equals or _NO_KEY.search(key) is not None
