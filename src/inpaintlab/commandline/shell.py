"""Completion in a shell: ``inpaintlab -sc install=bash`` (or zsh, fish) prints what registers it.

Hydra's own completes ``python SCRIPT`` and knows no verbs; its flag ``-sc`` and the words behind it are kept. What can
follow is read from conf/, as for ``--help``, so that no module that does a command's work is imported.
"""

import os
import re
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from inpaintlab.commandline.arguments import COMMANDS, FLAGS_WITH_VALUE, NAMED, words_of
from inpaintlab.commandline.help import FIXED, Settings, composed, group_names, usable
from inpaintlab.commandline.quoting import kind_of, quoted

_BASH = """\
_inpaintlab() {
    local IFS=$'\\n'
    COMPREPLY=($(COMP_LINE="$COMP_LINE" COMP_POINT="$COMP_POINT" COMP_BREAKS="$COMP_WORDBREAKS" \\
        "$1" -sc query=bash 2> /dev/null))
}
complete -o nospace -o default -F _inpaintlab inpaintlab
"""
_ZSH = f"autoload -U +X compinit bashcompinit && compinit && bashcompinit\n{_BASH}"
_FISH = """\
function _inpaintlab
    set -lx COMP_LINE (commandline -cp)
    inpaintlab -sc query=fish 2> /dev/null
end
complete -c inpaintlab -f -a '(_inpaintlab)'
"""
_INSTALL = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}
_UNINSTALL = {
    **dict.fromkeys(("bash", "zsh"), "complete -r inpaintlab\nunset -f _inpaintlab\n"),
    "fish": "complete -e -c inpaintlab\nfunctions -e _inpaintlab\n",
}

_FLAGS = {
    "--help": (),
    "--cfg": ("job", "hydra", "all"),
    "--package": (),
    "--info": ("defaults", "defaults-tree", "config", "searchpath", "plugins", "all"),
    "--config-dir": (),
    "--config-name": (),
}
_NAME = re.compile(r"\w[\w.+%@-]*")  # of a run, that no shell takes for anything else
_WEIGHTS = ("list", "fetch", "import")  # the words of the one verb that takes no settings


def answer_shell(conf: Path, arguments: Sequence[str], verbs: Sequence[str]) -> None:
    """Answer ``-sc install=SHELL``, ``uninstall=SHELL`` or ``query=SHELL``.

    Args:
        conf: the folder of all YAML.
        arguments: after the flag ``-sc``.
        verbs: of the command.

    Raises:
        SystemExit: with exit code 2 and a sentence for anything else.
    """
    task, _, shell = (arguments[0] if arguments else "").partition("=")
    if task == "query" and shell in _INSTALL:
        line = os.environ.get("COMP_LINE", "")
        end = int(point) if (point := os.environ.get("COMP_POINT", "")).isdigit() else len(line)
        line = os.fsencode(line)[:end].decode(errors="replace")  # bash counts bytes
        breaks = os.environ.get("COMP_BREAKS", "") if shell == "bash" else ""
        for word in completions(conf, line, verbs, breaks):
            print(word.rstrip() if shell == "fish" else word)
    elif task in ("install", "uninstall") and shell in _INSTALL:
        print((_INSTALL if task == "install" else _UNINSTALL)[shell], end="")
    else:
        print(
            'inpaintlab -sc: give install=SHELL or uninstall=SHELL, of bash, zsh or fish, as in eval "$(inpaintlab -sc '
            'install=bash)", or in fish: inpaintlab -sc install=fish | source',
            file=sys.stderr,
        )
        raise SystemExit(2)


def completions(conf: Path, line: str, verbs: Sequence[str], breaks: str = "") -> list[str]:
    """What the last word of an unfinished command line can become; none where the shell is to offer files.

    Args:
        conf: the folder of all YAML.
        line: up to the cursor.
        verbs: of the command.
        breaks: characters at which the shell divides words; what stands before the last of them in the word is left
            out of the answers, as the shell keeps it. Empty: it divides at spaces alone.

    Returns:
        Words, with a space behind those that are complete.
    """
    words, last = _divided(line)
    try:
        found = sorted({word for word in _candidates(conf, words[1:], last, verbs) if word.startswith(last)})
    except (HydraException, OmegaConfBaseException, OSError, ValueError):  # of what stands before: no time for a word
        return []
    if not breaks:
        return found or _files(last)
    kept = max(last.rfind(character) for character in breaks if not character.isspace()) + 1
    return [word[kept:] for word in found]


def _divided(line: str) -> tuple[list[str], str]:
    """The finished words of a line and the one at its end; an open quote is taken as closed."""
    for closing in ("", "'", '"'):
        try:
            words = shlex.split(line + closing)
        except ValueError:
            continue
        return (words, "") if not words or (line[-1].isspace() and not closing) else (words[:-1], words[-1])
    return line.split(), ""


def _candidates(conf: Path, words: Sequence[str], last: str, verbs: Sequence[str]) -> Iterator[str]:
    if not words:
        yield from (f"{word} " for word in (*verbs, *(["--help", "--version", "-sc"] if last.startswith("-") else [])))
        return
    verb, *rest = words
    if verb == "weights":
        yield from (f"{word} " for word in _WEIGHTS if not rest)
    if verb not in verbs or verb == "weights":
        return
    inner = words_of(verb)
    if inner and not rest:
        yield from (f"{word} " for word in inner)
        if not last:  # the first of them may be left out, but nobody waits for its settings here
            return
    if verb == NAMED and (not rest or rest[0] not in inner):
        return
    word = rest.pop(0) if rest and rest[0] in inner else (*inner, "")[0]
    command = f"{verb} {word}".rstrip()
    if rest and rest[-1] in _FLAGS:
        yield from (f"{word} " for word in _FLAGS[rest[-1]])
        return
    if last.startswith("-"):
        yield from (f"{flag} " for flag in (*_FLAGS, *(["--multirun"] if command == "train" else [])))
        return
    if COMMANDS[command].folders == "folders" and "=" not in last:
        yield from _runs(last)
    if COMMANDS[command].file and not rest and "=" not in last and not last.isalpha():
        return  # a file
    config = COMMANDS[command].config or "train"
    flags = ("", *rest)
    given = [word for flag, word in zip(flags, rest, strict=False) if flag in FLAGS_WITH_VALUE or not _is_file(word)]
    try:
        settings = composed(conf, config, quoted(conf, command, given))
    except (HydraException, OmegaConfBaseException, SystemExit):  # one of the others is wrong
        settings = composed(conf, config, [])
    sign = last[:1] if last.startswith(("+", "~")) else ""
    key, equals, value = last.removeprefix(sign).partition("=")
    if not equals:
        keys = _keys(command, settings, key)
        yield from (f"~{word.rstrip('=.')} " if sign == "~" else f"{sign}{word}" for word in keys)
    elif not kind_of(conf, config, key):
        before = value.rpartition(",")[0]
        before = f"{before}," if before else ""  # of a sweep: model=glcic,edgeconnect
        yield from (f"{sign}{key}={before}{choice} " for choice in _values(command, settings, key))


def _is_file(word: str) -> bool:
    return "=" not in word and not word.startswith(("-", "~"))


def _keys(command: str, settings: Settings, start: str) -> Iterator[str]:
    """Groups and settings that begin so, down to the next point of the key."""
    for group in group_names(command, settings):
        yield f"{group}="
    prefix = start.rpartition(".")[0]
    node: Any = settings.values
    for part in filter(None, prefix.split(".")):
        node = node.get(part) if isinstance(node, Mapping) else None
    if not isinstance(node, Mapping):
        return
    for name, value in node.items():
        key = f"{prefix}.{name}" if prefix else str(name)
        if str(name).startswith("_") or settings.meanings.get(key, "").startswith(FIXED):
            continue
        yield f"{key}." if isinstance(value, Mapping) and value else f"{key}="


def _values(command: str, settings: Settings, key: str) -> Iterator[str]:
    """The choices of a group, or what a setting has now, with the other of true and false."""
    if key in group_names(command, settings):
        yield from usable(command, key.partition("@")[0], settings)[0]
        return
    node: Any = settings.values
    for part in key.split("."):
        node = node.get(part) if isinstance(node, Mapping) else None
    if isinstance(node, bool):
        yield from ("true", "false")
    elif isinstance(node, (int, float)) or (isinstance(node, str) and node.isidentifier()):
        yield str(node)


def _runs(last: str) -> Iterator[str]:
    """Names of runs and sweeps in the folder ``runs``, and behind the name of a sweep those of its jobs.

    What leads out of that folder is a path, for which the shell offers files.
    """
    sweep, slash, _ = last.rpartition("/")
    if last.startswith(("/", "~")) or ".." in sweep.split("/"):
        return
    try:
        entries = sorted(Path("runs", sweep).iterdir()) if sweep not in (".", "..", "runs") else []
    except OSError:
        return
    yield from (f"{sweep}{slash}{entry.name} " for entry in entries if _NAME.fullmatch(entry.name) and entry.is_dir())


def _files(last: str) -> list[str]:
    """Files for a shell that divides words at spaces alone, which would take the key for a part of the name.

    Without a key, what has a slash in it is a path.
    """
    key, equals, start = last.partition("=")
    if not equals:
        key, start = "", last
        if "/" not in last:
            return []
    folder, _, begin = start.rpartition("/")
    place = Path(f"{folder}/" if folder or start.startswith("/") else ".").expanduser()
    try:
        found = sorted(entry for entry in place.iterdir() if entry.name.startswith(begin))
    except OSError:
        return []
    head = f"{key}{equals}{folder}/" if "/" in start else f"{key}{equals}"
    return [f"{head}{entry.name}{'/' if entry.is_dir() else ' '}" for entry in found if begin or entry.name[0] != "."]
