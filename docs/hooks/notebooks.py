"""Notebooks of docs/ as pages: their text, their code, and what it gave when they were saved."""

import json
import re
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parents[1]


def notebooks() -> dict[str, Path]:
    """Every notebook of docs/ by the page that it becomes."""
    return {f"{path.stem}.md": path for path in sorted(DOCS.glob("*.ipynb"))}


def as_markdown(notebook: dict[str, Any]) -> str:
    """A notebook as Markdown.

    Args:
        notebook: as its JSON file has it, of format 4.
    """
    parts = []
    for cell in notebook["cells"]:
        source = "".join(cell["source"]).strip("\n")
        parts.append(f"```python\n{source}\n```" if cell["cell_type"] == "code" else source)
        parts += [_given(output) for output in cell.get("outputs", ())]
    return "\n\n".join(part for part in parts if part) + "\n"


def _given(output: dict[str, Any]) -> str:
    """What a cell gave: a table or another piece of HTML, a picture, or else text."""
    data = output.get("data", {"text/plain": output.get("text", "")})
    if "text/html" in data:  # an empty line would end it
        return '<div class="output">\n' + re.sub(r"\n\s*\n", "\n", "".join(data["text/html"])) + "\n</div>"
    if "image/png" in data:
        letters = "".join(data["image/png"]).replace("\n", "")
        return f'<img class="output" alt="" src="data:image/png;base64,{letters}">'
    text = "".join(data.get("text/plain", "")).strip("\n")
    return f"```text\n{text}\n```" if text else ""


def on_config(config: Any) -> Any:
    """Hang the notebooks into the navigation."""
    (how_to,) = [entry["How to"] for entry in config.nav if "How to" in entry]
    how_to += [{path.stem.replace("_", " ").capitalize(): page} for page, path in notebooks().items()]
    return config


def on_files(files: Any, config: Any) -> Any:
    """Add them to the pages of docs/."""
    from mkdocs.structure.files import File  # a test reads notebooks without MkDocs

    for page, path in notebooks().items():
        text = as_markdown(json.loads(path.read_text(encoding="utf-8")))
        note = f"The notebook itself: [{path.name}]({path.name}).\n"
        title, _, rest = text.partition("\n") if text.startswith("# ") else (f"# {path.stem}", "", text)
        files.append(File.generated(config, page, content=f"{title}\n\n{note}\n{rest}"))
    return files
