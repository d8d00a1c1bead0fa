"""The pages of the reference, made of the product itself: its verbs, the YAML of conf/ and the comments in it.

MkDocs calls this file (``hooks`` in mkdocs.yml). No module that does a command's work is imported, and no torch.
"""

import contextlib
import html
import io
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from inpaintlab.cli import VERBS
from inpaintlab.commandline.arguments import COMMANDS, FIGURES, OF_WORDS
from inpaintlab.commandline.comments import LOADER, comments, head
from inpaintlab.commandline.help import FIXED, composed, typed
from inpaintlab.commandline.multirun import GROUPS
from inpaintlab.commandline.quoting import without_kind
from inpaintlab.config import CONF

DOCS = Path(__file__).parents[1]
PACKAGE = DOCS.parent / "src/inpaintlab"
TYPED = """\
Settings are given as `KEY=VALUE`, choices of a group as `GROUP=CHOICE`. A key that no file has yet is given as
`+KEY=VALUE`. `inpaintlab VERB --help` prints the same tables in a terminal, `--cfg job` the resolved settings.
A default of `???` must be given; `null` is none."""
PYTHON = """\
# inpaintlab from Python

Each of these is `inpaintlab.NAME` as well: `import inpaintlab` loads them when they are first asked for.

::: inpaintlab.programs
"""
TABLE = "| setting | default | meaning |\n|---|---|---|"


# ---------------------------------------------------------------------------------------------------------------- text


def prose(text: str, up: str = "../../") -> str:
    """A comment of the YAML as Markdown for a cell of a table; a page of docs/ that it names becomes a link."""
    parts = text.split("`")
    for at in range(0, len(parts), 2):  # between backticks
        part = html.escape(parts[at], quote=False)
        part = re.sub(r"([|*_\[\]])", r"\\\1", part)
        parts[at] = re.sub(r"\bdocs/((?:\w|\\_)+)\.md", lambda found: _link(found[1], up), part)
    return "`".join(parts)


def _link(name: str, up: str) -> str:
    page = name.replace("\\", "")
    return f"[{page}]({up}{page}.md)" if (DOCS / f"{page}.md").is_file() else f"`docs/{page}.md`"


def code(text: str) -> str:
    """A text as code in a cell of a table."""
    return "<code>" + html.escape(text, quote=False).replace("|", "&#124;") + "</code>"


def called(command: str) -> list[str]:
    """The lines that show how a command is called."""
    return [line for line in head(CONF / f"{COMMANDS[command].config}.yaml") if line.startswith("inpaintlab ")]


def purpose(command: str) -> str:
    """What a command does, as its file says."""
    lines = head(CONF / f"{COMMANDS[command].config}.yaml")
    return " ".join(line for line in lines if not line.startswith("inpaintlab "))


def printed(*arguments: str) -> str:
    """What ``inpaintlab ...`` prints, of commands whose settings do not stand in conf/."""
    environment = os.environ | {"COLUMNS": "80", "NO_COLOR": "1"}
    start = [sys.executable, "-m", "inpaintlab", *arguments]
    return subprocess.run(start, env=environment, check=True, capture_output=True, text=True).stdout.strip()


# ------------------------------------------------------------------------------------------------------------ settings


@cache
def content(file: Path) -> dict[str, Any]:
    """What a file of conf/ holds."""
    return yaml.load(file.read_text(encoding="utf-8"), Loader=LOADER) or {}


def package(file: Path) -> str:
    """What stands before the keys of a group's file: ``model.`` of conf/model/glcic.yaml."""
    first = file.read_text(encoding="utf-8").partition("\n")[0]
    named = first.removeprefix("# @package ").strip() if first.startswith("# @package ") else ""
    folder = ".".join(file.relative_to(CONF).parent.parts)
    name = named or folder
    return "" if name in ("_global_", "") else f"{name}."


def rows(node: Mapping[str, Any], meanings: Mapping[str, str], inside: str = "") -> Iterator[tuple[str, str, str]]:
    """Key, default and meaning of each setting of a file, in its order; of what no run changes as well.

    A mapping is one row where nothing in it has a meaning of its own.
    """
    for key, value in node.items():
        name = f"{inside}{key}"
        if str(key).startswith("_") or name in ("defaults", "hydra"):
            continue
        meaning = meanings.get(name, "")
        explained = any(known.startswith(f"{name}.") and text for known, text in meanings.items())
        if not isinstance(value, dict) or not explained:
            yield name, "" if meaning.startswith(FIXED) and isinstance(value, dict) else typed(value), meaning
        else:
            if meaning or "_target_" in value:
                made_of = "of this class, made of the settings below" if "_target_" in value else ""
                yield name, str(value.get("_target_", "")).rpartition(".")[2], meaning or made_of
            yield from rows(value, meanings, f"{name}.")


def meanings(file: Path) -> dict[str, str]:
    """What each key of a file means: as its comment says, or that of the file which it is changed from."""
    own = {key: meaning for key, meaning in comments(file).items() if meaning}
    if file.parent == CONF / "experiment":
        return {**composed(CONF, "train", [f"experiment={file.stem}"]).meanings, **own}
    inherited: dict[str, str] = {}
    for entry in content(file).get("defaults", []):
        if isinstance(entry, str) and (base := file.parent / f"{entry}.yaml").is_file():
            inherited |= meanings(base)
    return {**inherited, **own}


def table(file: Path) -> list[str]:
    """The settings of a file as a table; nothing where it has none."""
    before = package(file)
    lines = [
        f"| {code(f'{before}{key}')} | {code(value) if value else ''} | {prose(without_kind(meaning))} |"
        for key, value, meaning in rows(content(file), meanings(file))
    ]
    return [TABLE, *lines, ""] if lines else []


def groups_of(config: str) -> dict[str, str | None]:
    """The groups that a command's file takes, each with the choice that it begins with."""
    found: dict[str, str | None] = {}
    for entry in content(CONF / f"{config}.yaml").get("defaults", []):
        if not isinstance(entry, dict):
            continue
        for key, choice in entry.items():
            group = key.removeprefix("override ").lstrip("/")
            if group in GROUPS and config != "train":  # only a training is swept over with others than the grid
                continue
            found[group] = choice
    return found


def groups() -> dict[str, list[Path]]:
    """Every group of conf/ with the files of its choices."""
    folders = sorted(folder for folder in CONF.rglob("*") if folder.is_dir())
    names = {str(folder.relative_to(CONF)): sorted(folder.glob("*.yaml")) for folder in folders}
    return {name: files for name, files in names.items() if name not in (*OF_WORDS, "hydra")}


def page_of(group: str) -> str:
    """The file of a group's page."""
    return f"{group.replace('/', '-')}.md"


def first_sentence(text: str) -> str:
    """Up to the first full stop."""
    return re.split(r"(?<=\.)\s+(?=[A-Z])", text)[0]


# --------------------------------------------------------------------------------------------------------------- pages


def verb_page(verb: str) -> str:
    """Everything that ``inpaintlab VERB`` takes."""
    commands = [command for command in COMMANDS if command.partition(" ")[0] == verb and COMMANDS[command].config]
    lines = [f"# inpaintlab {verb}", ""]
    if not commands:
        text = printed(verb, "--help")
        lines += ["```text", text, "```", ""]
        words = re.search(r"\b[a-z]+(?: \| [a-z]+)+\b", text)
        for word in words[0].split(" | ") if words else ():
            lines += [f"## inpaintlab {verb} {word}", "", "```text", printed(verb, word, "--help"), "```", ""]
        return "\n".join(lines)
    alone = len(commands) == 1
    if not alone:
        lines += [f"{prose(capital(VERBS[verb].partition(': inpaintlab')[0]))}.", ""]
    for command in commands:
        lines += [] if alone else [f"## inpaintlab {command}", ""]
        lines += [prose(purpose(command)), "", "```sh", *called(command), "```", ""]
        taken = groups_of(str(COMMANDS[command].config))
        if taken:
            lines += ["| group | begins with |", "|---|---|"]
            for group, choice in taken.items():
                place = group.partition("@")[0]
                lines.append(f"| [{group}](../groups/{page_of(place)}) | {code(str(choice)) if choice else 'none'} |")
                inner = [name for name in groups() if name.startswith(f"{place}/")] if command == "train" else []
                lines += [f"| [{name}](../groups/{page_of(name)}) | as the choice of {place} says |" for name in inner]
            lines.append("")
        lines += table(CONF / f"{COMMANDS[command].config}.yaml")
    for command in [c for c in COMMANDS if c.partition(" ")[0] == verb and not COMMANDS[c].config and " " in c]:
        lines += [f"## inpaintlab {command}", "", "```text", printed(*command.split(), "--help"), "```", ""]
    return "\n".join(lines)


def group_page(group: str, files: Iterable[Path]) -> str:
    """The choices of a group, each with its settings."""
    lines = [f"# {group}", ""]
    takers = [
        command
        for command, known in COMMANDS.items()
        if known.config and any(name.partition("@")[0] == group for name in groups_of(known.config))
    ]
    drawn = [command for command in takers if command.partition(" ")[1:] and command.split()[-1] in FIGURES]
    takers = [command for command in takers if command not in drawn]
    links = [f"[{command}](../verbs/{command.split()[0]}.md)" for command in takers]
    if links:
        lines += [f"Given as `{group}=CHOICE` to {', '.join(links)}.", ""]
    else:
        outer = group.rpartition("/")[0]
        lines += [f"Given as `{group}=CHOICE` where a choice of [{outer}]({page_of(outer)}) has it.", ""]
    files = list(files)
    lines += ["| choice | what it is |", "|---|---|"]
    lines += [
        f"| [{file.stem}](#{file.stem.lower()}) | {prose(first_sentence(' '.join(head(file))))} |" for file in files
    ]
    for file in files:
        lines += ["", f"## {file.stem} {{ #{file.stem.lower()} }}", "", prose(" ".join(head(file))), ""]
        lines += about(group, file)
        lines += table(file)
    return "\n".join(lines)


def about(group: str, file: Path) -> list[str]:
    """The class that a choice builds, and the choices that it begins with."""
    lines, inner = [], []
    if target := content(file).get("_target_"):
        lines.append(f"Class: `{target}`.")
    for entry in content(file).get("defaults", []):
        if isinstance(entry, str) and entry != "_self_":
            lines.append(f"Everything else as in [{entry}](#{entry.lower()}).")
        elif isinstance(entry, dict):
            for key, choice in entry.items():
                name = key.removeprefix("override ")
                name = name.lstrip("/") if name.startswith("/") else f"{group}/{name}"
                if choice and (CONF / f"{name}/{choice}.yaml").is_file():
                    inner.append(f"[{name}={choice}]({page_of(name)}#{str(choice).lower()})")
    if inner:
        lines.append(f"With {', '.join(inner)}.")
    return [" ".join(lines), ""] if lines else []


def capital(text: str) -> str:
    """With a large letter at the beginning."""
    return text[:1].upper() + text[1:]


def index_page() -> str:
    """What there is in the reference."""
    lines = ["# Reference", "", "Made of the program and of the comments in its YAML, when this site was built.", ""]
    lines += ["## Verbs", "", "| verb | what it does |", "|---|---|"]
    lines += [f"| [{verb}](verbs/{verb}.md) | {prose(capital(line), '../')} |" for verb, line in VERBS.items()]
    lines += ["", *TYPED.splitlines(), ""]
    lines += ["## Groups", "", "| group | choices |", "|---|---|"]
    for group, files in groups().items():
        names = ", ".join(f"[{file.stem}](groups/{page_of(group)}#{file.stem.lower()})" for file in files)
        lines.append(f"| [{group}](groups/{page_of(group)}) | {names} |")
    return "\n".join([*lines, ""])


def pages() -> dict[str, str]:
    """Every generated page: its file below docs/, and its Markdown."""
    found = {"reference/index.md": index_page()}
    found |= {f"reference/verbs/{verb}.md": verb_page(verb) for verb in VERBS}
    found |= {f"reference/groups/{page_of(group)}": group_page(group, files) for group, files in groups().items()}
    if (PACKAGE / "programs/__init__.py").is_file():
        found["reference/python.md"] = PYTHON
    return found


# --------------------------------------------------------------------------------------------------------- for MkDocs


@cache
def made() -> dict[str, str]:
    """The pages, made once a build."""
    with contextlib.redirect_stderr(io.StringIO()):  # Hydra's notes of plug-ins that are not there
        return pages()


def on_config(config: Any) -> Any:
    """Hang the generated pages into the part of the navigation that is called Reference."""
    (reference,) = [entry["Reference"] for entry in config.nav if "Reference" in entry]
    made.cache_clear()  # a served site is built again and again
    content.cache_clear()
    verbs = [{verb: f"reference/verbs/{verb}.md"} for verb in VERBS]
    named = [{group: f"reference/groups/{page_of(group)}"} for group in groups()]
    reference[:0] = [{"Overview": "reference/index.md"}, {"Verbs": verbs}, {"Groups of settings": named}]
    if "reference/python.md" in made():
        reference.append({"Python": "reference/python.md"})
    return config


def on_files(files: Any, config: Any) -> Any:
    """Add the generated pages to those of docs/."""
    from mkdocs.structure.files import File  # a test makes the pages without MkDocs

    for path, text in made().items():
        files.append(File.generated(config, path, content=text))
    return files
