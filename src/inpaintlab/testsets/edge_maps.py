"""The edge maps of a test set, which lie beside its photographs."""

from pathlib import Path
from typing import Any

from PIL import Image

from inpaintlab.data import Source, require_same_size


def moved_source(source: dict[str, Any], root: str) -> dict[str, Any]:
    """The recipe of a source whose photographs lie elsewhere; edge maps inside their folder move with them."""
    moved = source | {"root": root}
    edges, before = source.get("edges"), source.get("root")
    if isinstance(edges, str) and isinstance(before, str) and Path(edges).is_relative_to(before):
        moved["edges"] = str(Path(root, Path(edges).relative_to(before)))
    return moved


def edge_map(source: Source, split: str, name: str) -> Image.Image:
    """The edge map of an item whose source has them.

    Raises:
        ValueError: it is missing, cannot be read, or is not of its picture's size.
    """
    edges = source.edges(split, name)
    assert edges is not None
    require_same_size(edges, source.read(split, name), name)
    return edges


def require_frozen_map(source: Source, split: str, name: str, sha256: str | None) -> None:
    """Check the file of an edge map against its hash; None is that of an item without one.

    Raises:
        ValueError: it is missing, or is not the frozen one.
    """
    if sha256 is None:
        return
    try:
        found = source.edges_sha256(split, name)
    except OSError as error:
        raise ValueError(f"The edge map of '{name}' cannot be read: {error}. Restore the file.") from error
    if found != sha256:
        raise ValueError(
            f"The edge map of '{name}' is not the one that the manifest froze: its hash differs. Restore the file, or "
            "make a new manifest."
        )
