"""The caption of a figure: all that a reader needs to believe it, or to draw it again."""

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from inpaintlab.comparison import marked, weights, weights_of
from inpaintlab.evaluation import Result
from inpaintlab.figure.text import without_font
from inpaintlab.machine import command_line, commit, shown
from inpaintlab.metrics import Meaning
from inpaintlab.recipes import pictures_in_words
from inpaintlab.shapes import in_pixels
from inpaintlab.testsets import Manifest

ORACLE = "† sees something of the hidden part (an oracle): for orientation, never counted as best."


def caption(
    name: str,
    what: Sequence[str],
    *,
    test_sets: Iterable[str] = (),
    methods: Iterable[str] = (),
    results: Iterable[Result] = (),
    metrics: Mapping[str, Meaning] | None = None,
    notes: Iterable[str] = (),
    texts: Iterable[str] = (),
) -> str:
    """The Markdown of a caption.

    Args:
        name: of the figure.
        what: what it shows, in sentences; how its images were chosen.
        test_sets: see `of_manifest` and `of_result`.
        methods: see `of_checkpoint`.
        results: or the results that it is drawn of, see `of_method`.
        metrics: the meaning of each metric in it.
        notes: further sentences, such as those on intervals.
        texts: the labels that are drawn, to tell of characters without a font.
    """
    lines = [f"# {name}", "", " ".join(what), ""]
    lines += [f"- Test set: {line}" for line in dict.fromkeys(test_sets)]
    results = list({result.folder: result for result in results}.values())
    lines += [f"- Method: {line}" for line in (*methods, *dict.fromkeys(map(of_method, results)))]
    for metric, meaning in (metrics or {}).items():
        by = "" if meaning.backend == "inpaintlab" else f"; computed by {meaning.backend}"
        unit = f" ({meaning.unit})" if meaning.unit else ""
        better = "higher" if meaning.higher_is_better else "lower"
        lines.append(f"- Metric {code(metric)}{unit}, {better} is better: {escaped(meaning.definition + by)}")
    lines += [f"- {escaped(note)}" for note in notes]
    if missing := without_font(texts):
        lines.append(
            f"- No font of this machine has {missing}: each is drawn as the frame of its script; install a font of it "
            "(such as Noto) and draw the figure again."
        )
    lines += [f"- {line}" for line in of_versions(results)]
    lines.append(f"- Command: {code(shlex.join(command_line()))}")
    drawn_by = f"inpaintlab {version('inpaintlab')}" + (f" at commit {code(at)}" if (at := commit()) else "")
    lines.append(f"- Drawn by {drawn_by}, matplotlib {version('matplotlib')}.")
    return "\n".join(lines) + "\n"


def of_result(result: Result) -> str:
    """The test set of a result, in one line."""
    return of_manifest(result.folder / "manifest.json", "")


def of_manifest(path: Path, name: str) -> str:
    """A test set in one line.

    Args:
        path: of the manifest.
        name: what it is called; empty for the copy in a result folder, whose own name says nothing.

    Raises:
        ValueError: it cannot be read.
    """
    manifest = Manifest.load(path)
    photographs = len({item.image for item in manifest.items})
    called = f"{code(name)}, " if name else ""
    return (
        f"{called}manifest {code(manifest.sha256)}, {len(manifest.items)} images ({photographs} photographs) of "
        f"{in_pixels(manifest.size)} pixels, {escaped(pictures_in_words(manifest.source))}, split '{manifest.split}'"
    )


def of_method(result: Result) -> str:
    """A method of a result in one line: its label, what it is set to, whose weights it has."""
    label, _, marks = marked(result).partition(result.label)
    parts = [f"{label}{code(result.label)}{marks}", result.method.rpartition(".")[2], *_edges(result.switches)]
    parts += [weights(result), *_origin(result.checkpoint)]
    if result.post_processing:
        parts.append(f"after {result.post_processing}")
    return ", ".join(parts)


def of_versions(results: Iterable[Result]) -> list[str]:
    """What scored the results, one line for all that share it."""
    sharing: dict[str, list[str]] = {}
    for result in results:
        versions = ", ".join(f"{name} {number}" for name, number in result.versions.items())
        at = f" at commit {code(result.commit)}" if result.commit else ""
        sharing.setdefault(f"{versions}{at}", []).append(code(result.label))
    return [f"Scored with {versions}: {', '.join(dict.fromkeys(labels))}." for versions, labels in sharing.items()]


def of_checkpoint(identity: Mapping[str, Any], method: str) -> str:
    """The same of a method that was built of a checkpoint for this figure; see `build_method` for its identity."""
    parts = [code(identity["label"]), method, *_edges(identity["switches"])]
    parts += [weights_of(identity["checkpoint"]), *_origin(identity["checkpoint"])]
    return ", ".join(parts)


def _edges(switches: Mapping[str, Any]) -> list[str]:
    return [f"edges: {switches['edges']}"] if "edges" in switches else []


def _origin(checkpoint: Mapping[str, Any] | None) -> list[str]:
    if checkpoint is None:
        return []
    seen = checkpoint.get("images_seen")
    parts = [f"checkpoint {code(shown(checkpoint['path']))}, SHA-256 {code(checkpoint['sha256'])}"]
    parts += [f"{checkpoint['iterations']:,} batches"] if checkpoint.get("iterations") is not None else []
    return parts + ([f"{seen:,} images seen"] if seen is not None else [])


def code(text: str) -> str:
    """A text as Markdown shows it letter by letter, in one line."""
    text = " ".join(str(text).split()) or " "
    longest = max(map(len, re.findall("`+", text)), default=0)
    fence = "`" * (longest + 1)
    space = " " if longest else ""
    return f"{fence}{space}{text}{space}{fence}"


def escaped(text: str) -> str:
    """Text in one line, escaped for Markdown."""
    return re.sub(r"([\\|`*<\[\]])", r"\\\1", " ".join(text.split()))
