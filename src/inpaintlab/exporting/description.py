"""What a file tells of itself: whose networks they are, on which terms, and what goes in and comes out."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from inpaintlab import __version__
from inpaintlab.exporting.completion_graph import CompletionGraph, EdgeInput, edge_input, shapes_of
from inpaintlab.inpainting import Inpainter
from inpaintlab.machine import shown
from inpaintlab.published import CATALOGUE, STARTER_LAYOUT, STARTER_LICENCE, STARTERS, Published

UNKNOWN = "unknown: nobody has said so"
"""Of a licence."""


@final
@dataclass(frozen=True)
class Description:
    """What stands inside a file beside its networks.

    Args:
        sentence: what the file is.
        meanings: of each input and of the output, by name.
        texts: all else, by key; JSON where it has parts.
        edges: the input that the edges are, or None.
    """

    sentence: str
    meanings: Mapping[str, str]
    texts: Mapping[str, str]
    edges: EdgeInput | None


def describe(model: Inpainter, graph: CompletionGraph, identity: Mapping[str, Any], licence: str | None) -> Description:
    """Describe the file of a model.

    Args:
        model: as it was built.
        graph: made of it.
        identity: from `build_method`.
        licence: what the user says it is; None: what the catalogue of published weights knows.
    """
    label = shown(identity["label"])
    origin: Mapping[str, Any] = identity["checkpoint"] or {}
    terms, source = _terms(origin)
    edges = edge_input(model)
    made_for = model.made_for
    size = "any number of images of any height and width" if made_for is None else f"images of {made_for}"
    sides = "batch x {} x height x width" if made_for is None else f"batch x {{}} x {made_for.side} x {made_for.side}"
    meanings = {
        "image": f"float32, {sides.format(3)}: RGB in [0, 1]; its pixels in the hole are not read",
        "mask": f"float32, {sides.format(1)}: 1 in the hole, 0 where the image is known",
        "completed": f"float32, {sides.format(3)}: RGB in [0, 1]; bit for bit the image where the mask is 0",
    }
    if edges is not None:
        meanings["edges"] = f"float32, {sides.format(1)}: {edges.meaning}"
    texts = {
        "label": label,
        "method": type(model).__name__,
        "takes": size,
        "inputs": _json({name: meanings[name] for name in shapes_of(graph)}),
        "output": _json({"completed": meanings["completed"]}),
        "edges": _edges_in_words(model, edges),
        "licence": terms if licence is None else shown(licence),
        "origin": source,
        "checkpoint": shown(Path(origin["path"]).name) if origin else "none",
        "checkpoint_sha256": origin.get("sha256", ""),
        "iterations": str(origin.get("iterations")),
        "switches": _json(identity["switches"]),
        "recipe": _json(identity["config"]),
        "producer": f"inpaintlab {__version__}",
    }
    sentence = f"{label}: fills the holes of images ({type(model).__name__}, exported by inpaintlab {__version__})."
    return Description(sentence, meanings, texts, edges)


def _terms(origin: Mapping[str, Any]) -> tuple[str, str]:
    """Licence and origin of a checkpoint's weights, in words."""
    imported = origin.get("imported")
    if not imported:
        return UNKNOWN, "a training of inpaintlab"
    if imported["layout"] == STARTER_LAYOUT:
        if origin["sha256"] in {starter.sha256 for starter in STARTERS}:
            return STARTER_LICENCE, "the starter weights inside inpaintlab"
        return UNKNOWN, "a file that names itself starter weights and is none of those inside inpaintlab"
    files = ", ".join(f"{shown(file['name'])} ({file['sha256']})" for file in imported["files"])
    entries = [entry for entry in CATALOGUE if entry.layout == imported["layout"] and _is_of(entry, imported["files"])]
    if not entries:
        return UNKNOWN, f"says of itself that it was imported as {shown(imported['layout'])} from {files}"
    sources = ", ".join(dict.fromkeys(entry.source for entry in entries))
    terms = ", ".join(dict.fromkeys(entry.licence for entry in entries))
    return terms, f"published at {sources}, as the checkpoint says of itself: {files}"


def _is_of(entry: Published, files: Sequence[Mapping[str, str]]) -> bool:
    """Whether all files are called like some of an entry's, and have the hashes that the catalogue knows."""
    known = {file.name: file.sha256 or "" for file in entry.files}  # of many nobody has told a hash
    return bool(files) and all(file["sha256"].startswith(known.get(file["name"], "no hash")) for file in files)


def _edges_in_words(model: Inpainter, edges: EdgeInput | None) -> str:
    if edges is not None:
        return f"an input, because {edges.reason}"
    found = model.switches().get("edges")
    return "none are needed" if found is None else f"found inside this file: {found}"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)
