"""Reading YAML that others may have written, such as a study: plain data, within limits."""

import re
from pathlib import Path
from typing import Any

import yaml

_MOST_BYTES = 2**18  # such a file is written by hand


def read_yaml(path: Path, what: str) -> dict[Any, Any]:
    """Read a file of YAML whose top is a mapping.

    It is UTF-8 and holds mappings, lists, texts, numbers, flags and nulls; no tag makes anything else of them, an
    interpolation such as ``${a}`` is a text. Numbers such as 1e-4 are read as in our configuration. A key stands once
    in a mapping. There are no aliases (``*name``): a few lines of them can stand for billions of values.

    Args:
        path: a regular file of at most 256 KiB.
        what: what it should be, for the sentence, as in "a study".

    Raises:
        ValueError: there is no such file, or it is none of that.
        OSError: it cannot be opened.
    """
    if not path.is_file():  # a named pipe would be waited for
        raise ValueError(f"There is no file {path.absolute()}, which would be {what}.")
    if path.stat().st_size > _MOST_BYTES:
        raise ValueError(f"{path} cannot be read as YAML: it has more than {_MOST_BYTES:,} bytes, too many for {what}.")
    try:
        content = yaml.load(path.read_text(encoding="utf-8-sig"), Loader=_Plain)
    except (yaml.YAMLError, ValueError) as error:  # of a date that does not exist, for example
        raise ValueError(f"{path} cannot be read as YAML ({' '.join(str(error).split())}).") from error
    except RecursionError as error:
        raise ValueError(f"{path} cannot be read as YAML (it is nested too deep).") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} is not {what}: its top is no mapping of names to settings.")
    return content


class _Plain(yaml.SafeLoader):
    """PyYAML's safe loader, not libyaml's: in a deep file Python's gives up and the other one crashes."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):  # type: ignore[no-untyped-call]
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.YAMLError(f"an alias in line {mark.line + 1}, which is not read: write its value out")
        return super().compose_node(parent, index)  # type: ignore[no-untyped-call]

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        found = super().construct_mapping(node, deep=deep)
        if len(found) < len(node.value):
            keys = [str(key.value) for key, _ in node.value]
            twice = next((key for key in keys if keys.count(key) > 1), keys[0])
            raise yaml.YAMLError(f"found duplicate key {twice} in line {node.start_mark.line + 1}")
        return found


_Plain.yaml_implicit_resolvers = {  # dates stay texts, as in our configuration
    first: [(tag, form) for tag, form in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Plain.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?\d[\d_]*(\.[\d_]*)?[eE][-+]?\d+$"), list("-+0123456789")
)
for _tag in ("binary", "timestamp", "omap", "pairs", "set"):  # what the safe loader makes beyond plain data
    _Plain.add_constructor(f"tag:yaml.org,2002:{_tag}", _Plain.construct_undefined)
