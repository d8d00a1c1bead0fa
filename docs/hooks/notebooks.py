"""Notebooks of docs/ as pages: their text, their code, and what it gave when they were stored.

``python -m docs.hooks.notebooks`` runs them anew and stores what they give.
"""

import json
import re
import tempfile
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parents[1]

_PICTURES = ("image/png", "image/jpeg")


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
    for kind in _PICTURES:
        if kind in data:
            letters = "".join(data[kind]).replace("\n", "")
            return f'<img class="output" alt="" src="data:{kind};base64,{letters}">'
    text = "".join(data.get("text/plain", "")).strip("\n")
    return f"```text\n{text}\n```" if text else ""


def executed(path: Path, place: Path) -> dict[str, Any]:
    """A notebook with what its cells give now.

    Args:
        path: the notebook.
        place: the folder in which it runs.
    """
    import nbclient
    import nbformat

    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    where = {"metadata": {"path": str(place)}}
    client = nbclient.NotebookClient(notebook, timeout=300, kernel_name="python3", resources=where, record_timing=False)
    client.execute()
    return json.loads(nbformat.writes(notebook))  # type: ignore[no-any-return]


def stored(notebook: dict[str, Any]) -> str:
    """The text of a notebook's file: of two codings of a picture the smaller one, and nothing of who ran it when."""
    for cell in notebook["cells"]:
        cell["metadata"] = {}
        for output in cell.get("outputs", ()):
            data = output.get("data", {})
            pictures = sorted((kind for kind in _PICTURES if kind in data), key=lambda kind: len(data[kind]))
            for kind in pictures[1:]:
                del data[kind]
    notebook["metadata"]["language_info"] = {"name": "python"}
    return json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"


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


if __name__ == "__main__":
    for path in notebooks().values():
        with tempfile.TemporaryDirectory() as place:
            path.write_text(stored(executed(path, Path(place))), encoding="utf-8")
