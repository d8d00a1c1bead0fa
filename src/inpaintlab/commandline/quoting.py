"""Text on the command line, such as a path, that is no grammar: put into quotes before Hydra reads it.

A shell passes ``image=IMG (1).png`` on as it is, but Hydra's grammar has a meaning for brackets, commas, quotes and
more. The comment of a setting that is text begins with its kind (see `KINDS`), so conf/ alone says which settings are.
"""

import os
import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, Quote, QuotedString
from hydra.errors import HydraException

from inpaintlab.commandline.arguments import COMMANDS, FLAGS_WITH_VALUE, OF_WORDS, expanded, literal
from inpaintlab.commandline.comments import comments

KINDS = ("path", "paths", "text")
"""What the comment of such a setting begins with: ``path: a photograph``. "paths" is a list of them."""

WHOLE = "whole"
"""What the comment of a mapping begins with that a mapping on the command line replaces; Hydra merges others."""

_KIND = re.compile(rf"({'|'.join((*KINDS, WHOLE))}): ")

_PLAIN = re.compile(r"(?!(?:null|true|false|inf|nan)$)[a-z_/][a-z0-9_/.-]*", re.IGNORECASE | re.ASCII)
"""Values that Hydra reads as they are."""

_ESCAPED = re.compile(r"\\[\\()\[\]{}:=, \t]")
"""What Hydra's grammar reads as one character outside of quotes."""


def without_kind(comment: str) -> str:
    """A setting's comment for people."""
    return _KIND.sub("", comment, count=1) if _KIND.match(comment) else comment


def kind_of(conf: Path, config: str, key: str) -> str | None:
    """The kind of a setting, one of ``KINDS`` or ``WHOLE``; None: its value is of Hydra's grammar.

    Args:
        conf: the folder of all YAML.
        config: the command's file in it, without the suffix.
        key: of the setting, dotted.
    """
    if own := _kinds(conf / f"{config}.yaml").get(key):
        return own
    # a group's choice may lie below any key: mask/folder.yaml below mask, and below irregular with mask@irregular
    below = _kinds_in_groups(conf)
    parts = key.split(".")
    return next((kind for at in range(1, len(parts)) if (kind := below.get(".".join(parts[at:])))), None)


@cache
def _kinds_in_groups(conf: Path) -> Mapping[str, str]:
    groups = [path for path in conf.iterdir() if path.is_dir() and path.name not in OF_WORDS]
    return {key: kind for group in groups for file in group.rglob("*.yaml") for key, kind in _kinds(file).items()}


@cache
def _kinds(file: Path) -> Mapping[str, str]:
    if not any(f"# {kind}: " in file.read_text(encoding="utf-8") for kind in (*KINDS, WHOLE)):
        return {}
    found = {key: _KIND.match(comment) for key, comment in comments(file).items()}
    return {key: match[1] for key, match in found.items() if match}


def quoted(conf: Path, words: str, arguments: Sequence[str]) -> list[str]:
    """The arguments of a command with each text in quotes for Hydra, so that it passes as the shell passed it on.

    Left as they are: what the user has quoted or escaped for Hydra already, null, and with ``-m`` a sweep such as
    ``init=a.ckpt,b.ckpt``. A file that is there under the very name is never taken for any of these. A path's ``~`` is
    expanded. Interpolations (``out=${name}.png``) stay.

    Args:
        conf: the folder of all YAML.
        words: of the command, a key of `arguments.COMMANDS`.
        arguments: the arguments after these words.

    Raises:
        SystemExit: with exit code 1, if Hydra's grammar cannot read an argument, or if one would change nothing; a
            sentence says what to give.
    """
    config = COMMANDS[words].config or "train"
    sweeps = words == "sweep export" or any(
        argument in ("-m", "--multirun") or argument.upper() == "HYDRA.MODE=MULTIRUN" for argument in arguments
    )
    done = []
    for before, argument in zip(["", *arguments], arguments, strict=False):
        key, _, value = argument.partition("=")
        if before in FLAGS_WITH_VALUE or argument.startswith("-") or _PLAIN.fullmatch(value):
            done.append(argument)
            continue
        try:
            kind = None if argument.startswith("~") else kind_of(conf, config, key.lstrip("+"))
            if kind == WHOLE:
                done += _replacing(key, _checked(argument))
            else:
                done.append(f"{key}={_text(value, kind, sweeps)}" if kind and value else _checked(argument))
        except (HydraException, ValueError) as error:
            sentence = _advice(argument, error) if isinstance(error, HydraException) else error
            print(f"inpaintlab {words}: {sentence}", file=sys.stderr)
            raise SystemExit(1) from None
    return done


def _text(value: str, kind: str, sweeps: bool) -> str:
    """The value of a setting that is text, in Hydra's grammar.

    Raises:
        HydraException: it may be a sweep or a text with a comma, and is neither for sure; or no list where one is due.
    """
    there = os.path.exists(value)
    parsed = None if there else _parsed(value)
    if parsed is not None:
        read = parsed.value()
        if read is None or (sweeps and parsed.is_sweep_override()) or (kind == "paths" and isinstance(read, list)):
            return value
        if isinstance(read, str) and (isinstance(parsed._value, QuotedString) or _ESCAPED.search(value)):
            # the user's own quoting
            value = expanded(read) if kind != "text" else read
            return _listed(QuotedString(value, Quote.single).with_quotes(), kind)
    elif not there and ((sweeps and "," in value) or (kind == "paths" and value.startswith("["))):
        raise HydraException("it may be one value or several")
    text = expanded(value) if kind != "text" else value
    interpolated = not there and "${" in text and "}" in text
    return _listed(QuotedString(text, Quote.single).with_quotes() if interpolated else literal(text), kind)


def _listed(text: str, kind: str) -> str:
    return f"[{text}]" if kind == "paths" else text


def _replacing(key: str, argument: str) -> list[str]:
    """The arguments that give a mapping in the place of another, instead of one merged into it."""
    if key.startswith("+") or not isinstance(OverridesParser.create().parse_override(argument).value(), dict):
        return [argument]
    return [f"~{key}", f"+{argument}"]


def _checked(argument: str) -> str:
    """An argument that Hydra's grammar can read.

    Raises:
        HydraException: it cannot.
        ValueError: it would change nothing.
    """
    override = OverridesParser.create().parse_override(argument)
    own = override.is_hydra_override() or override.is_add() or override.is_force_add()
    if not own and not override.is_delete() and override.value() == {}:
        raise ValueError(
            f"{argument} would change nothing, because a mapping is merged into what is there; take settings away one "
            f"by one, as with ~{argument.partition('=')[0]}.NAME."
        )
    return argument


def _parsed(value: str) -> Override | None:
    try:
        return OverridesParser.create().parse_override(f"key={value}")
    except HydraException:
        return None


def _advice(argument: str, error: HydraException) -> str:
    """The sentence for an argument that Hydra's grammar cannot read, with the right quoting of it."""
    key, equals, value = argument.partition("=")
    if not equals:
        return (
            f"{argument!r} is no setting, which is KEY=VALUE; a value with a space in it needs quotes, as in "
            '"image=my photo.png".'
        )
    right = shlex.quote(f"{key}={QuotedString(value, Quote.double).with_quotes()}")
    reason = " ".join(str(error).split()).partition(" See https")[0]
    return f"{argument} cannot be read in Hydra's grammar ({reason}); if {value} is one text, give {right}."
