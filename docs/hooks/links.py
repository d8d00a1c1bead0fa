"""Links between pages and files of the repository: pages of the site where there is one, else the file's name.

The pages of docs/ are read in the repository too, where ``../experiments/README.md`` and ``../src`` are links. The site
holds the studies and a few texts from the top of the repository beside docs/; of other files it shows the path.
"""

import logging
import posixpath
import re
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[2]
TOP = ("CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")
"""Texts from the top of the repository that are pages of the site."""
LOG = logging.getLogger("mkdocs.hooks.links")
_LINK = re.compile(r"(?<!!)\[([^\]]*)\]\(([^)\s]+)\)")
_FENCE = re.compile(r"^ *(```|~~~)")


def beside_docs() -> list[str]:
    """The pages that lie elsewhere in the repository, by their paths in it."""
    top = [name for name in TOP if (REPOSITORY / name).is_file()]
    studies = sorted(REPOSITORY.glob("experiments/*/README.md"))
    return [*top, "experiments/README.md", *(str(path.relative_to(REPOSITORY)) for path in studies)]


def moved(markdown: str, page: str) -> tuple[str, list[str]]:
    """A page's Markdown with its links as the site has them, and the links that lead nowhere.

    Args:
        markdown: its text.
        page: its path in the site's sources.
    """
    beside = beside_docs()
    here = page if page in beside else f"docs/{page}"
    lost: list[str] = []

    def link(found: re.Match[str]) -> str:
        text, target = found[1], found[2]
        if re.match(r"[a-z]+:|#", target):
            return found[0]
        path, anchor, name = target.partition("#")
        place = posixpath.normpath(posixpath.join(posixpath.dirname(here), path))
        if place.startswith("docs/") or place in beside:
            site = place.removeprefix("docs/")
            as_page = re.sub(r"\.ipynb$", ".md", site)
            site = site if as_page == page else as_page  # its own page alone leads to the file of a notebook
            return f"[{text}]({posixpath.relpath(site, posixpath.dirname(page) or '.')}{anchor}{name})"
        if not (REPOSITORY / place).exists():
            lost.append(target)
            return found[0]
        plain = text.strip("`")
        return f"`{place}`" if place.endswith(plain) else f"{text} (`{place}`)"

    lines, fenced = [], False
    for line in markdown.splitlines():
        if _FENCE.match(line):
            fenced = not fenced
        lines.append(line if fenced else _LINK.sub(link, line))
    return "\n".join(lines), lost


def on_config(config: Any) -> Any:
    """Hang the studies and the texts from the top into the navigation."""
    pages = beside_docs()
    (explanation,) = [entry["Explanation"] for entry in config.nav if "Explanation" in entry]
    explanation.append({"Studies": [path for path in pages if path.startswith("experiments/")]})
    config.nav.append({"Project": [path for path in pages if not path.startswith("experiments/")]})
    return config


def on_files(files: Any, config: Any) -> Any:
    """Add them to the pages of docs/."""
    from mkdocs.structure.files import File  # a test moves links without MkDocs

    for path in beside_docs():
        files.append(File.generated(config, path, content=(REPOSITORY / path).read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Let the links of a page lead where the site has their targets."""
    source = page.file.src_uri
    if source.startswith("reference/"):
        return markdown
    text, lost = moved(markdown, source)
    for target in lost:
        LOG.warning("%s links to %s, which is not there", source, target)
    return text
