"""The comments of our YAML files, which say what each setting means: the help prints them, a test asks for them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml's, where PyYAML was built with it, because it is ten times faster."""

_PACKAGE = "# @package"


def head(file: Path) -> list[str]:
    """The lines of the comment that a file begins with, without Hydra's line that names a package."""
    lines = []
    for line in file.read_text().splitlines():
        if not line.startswith("#"):
            break
        if not line.startswith(_PACKAGE):
            lines.append(_text(line))
    return lines


def comments(file: Path) -> dict[str, str]:
    """The comment of each key of a file, dotted keys in their order; "" where a key has none.

    A key's comment stands at the end of its line (of a value over several lines: of the last), or in the lines right
    above it. The comment that the file begins with is no key's.
    """
    text = file.read_text()
    lines = text.splitlines()
    root = yaml.compose(text, Loader=LOADER)
    return dict(_walk(root, "", lines)) if isinstance(root, yaml.MappingNode) else {}


def _walk(mapping: yaml.MappingNode, prefix: str, lines: list[str]) -> Iterator[tuple[str, str]]:
    for key, value in mapping.value:
        name = f"{prefix}{key.value}"
        yield name, _behind(key, value, lines) or _above(key, lines)
        if isinstance(value, yaml.MappingNode):
            yield from _walk(value, f"{name}.", lines)


def _behind(key: yaml.Node, value: yaml.Node, lines: list[str]) -> str:
    """The comment at the end of the line of a value, or of its key where the value stands in the lines below."""
    block = isinstance(value, yaml.CollectionNode) and not value.flow_style
    mark = key.end_mark if block else value.end_mark
    rest = lines[mark.line][mark.column :].lstrip(" :,") if mark.line < len(lines) else ""
    return _text(rest) if rest.startswith("#") else ""


def _above(key: yaml.Node, lines: list[str]) -> str:
    """The comment right above a key that begins its line."""
    row = key.start_mark.line
    if lines[row][: key.start_mark.column].strip():
        return ""
    first = row
    while first and lines[first - 1].lstrip().startswith("#"):
        first -= 1
    return " ".join(map(_text, lines[first:row])) if first else ""


def _text(comment: str) -> str:
    return comment.strip().removeprefix("#").strip()
