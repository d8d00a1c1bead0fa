"""The texts that a user reads when something is refused."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import inpaintlab
from inpaintlab.commandline.comments import comments
from inpaintlab.config import CONF

PACKAGE = Path(inpaintlab.__file__).parent
OF_HYDRA = {"hydra.searchpath", "hydra.launcher.n_jobs"}
OF_CONSTRUCTORS = {"data.source.max_pixels"}
"""Arguments that no file of conf/ sets, because nearly nobody needs them."""
ANY_KEY = {"model.key"}
"""Stands for every key of a model."""
OF_TORCH = {"weights_only"}
_SETTING = re.compile(r"(?<![\w.\0/@-])\+?([a-z][a-z_]*(?:[./][a-z0-9_]+)*)=(?![=\0])")


@cache
def settings() -> set[str]:
    """Every key of conf/ with the group that it may stand below, and every group."""
    found = set(OF_HYDRA | OF_CONSTRUCTORS | ANY_KEY | OF_TORCH)
    for file in CONF.rglob("*.yaml"):
        group = file.relative_to(CONF).parent.parts
        found |= {".".join([*group[start:], key]) for start in range(len(group) + 1) for key in comments(file)}
    return found | {str(folder.relative_to(CONF)) for folder in CONF.rglob("*") if folder.is_dir()}


def messages(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """The texts in the statements that raise, with a NUL in place of each value that is put in."""
    raised = [node for statement in ast.walk(tree) if isinstance(statement, ast.Raise) for node in ast.walk(statement)]
    parts = {id(part) for node in raised if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in raised:
        if isinstance(node, ast.JoinedStr):
            texts = [part.value if isinstance(part, ast.Constant) else "\0" for part in node.values]
            yield node.lineno, "".join(map(str, texts))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in parts:
            yield node.lineno, node.value


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_message_names_settings_that_exist(path: Path) -> None:
    for line, text in messages(ast.parse(path.read_text(encoding="utf-8"))):
        for name in _SETTING.findall(text):
            assert name in settings(), f"{path.name}:{line} names {name}=, which no file of conf/ has: {text!r}"
