"""From a model to a file that was run before it got its name."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from inpaintlab.exporting.completion_graph import CompletionGraph, shapes_of
from inpaintlab.exporting.description import Description, describe
from inpaintlab.exporting.measured import Measured, measure
from inpaintlab.exporting.onnx_file import onnx_runner, write_onnx
from inpaintlab.exporting.program import program_of
from inpaintlab.exporting.torch_file import program_runner, write_program
from inpaintlab.inpainting import WHOLE, Inpainter, fit
from inpaintlab.machine import shown, whole
from inpaintlab.published import require_packages

SUFFIXES: Mapping[str, str] = {"onnx": ".onnx", "torch_export": ".pt2"}
"""The formats, and how their files end."""


@final
@dataclass(frozen=True)
class Written:
    """A file that was written.

    Args:
        description: what it tells of itself.
        measured: how it compares to our completion.
        size: in bytes.
    """

    description: Description
    measured: Measured
    size: int


def require_format_packages(form: str) -> None:
    """See that the packages of a format are there.

    Raises:
        ValueError: one is not.
    """
    if form == "onnx":
        require_packages("format=onnx", ("onnx", "onnxscript", "onnxruntime"), extra="export")


def write_model(
    out: Path, form: str, model: Inpainter, identity: Mapping[str, Any], licence: str | None, opset: int
) -> Written:
    """Write one file that completes images as the model does, whole or not at all.

    It is run on images of several sizes before it gets its name.

    Args:
        out: the file; its folder is made.
        form: one of ``SUFFIXES``.
        model: as it was built; it is fitted to the processor.
        identity: from `build_method`.
        licence: what the user says it is, or None.
        opset: version of ONNX's operators.

    Raises:
        ValueError: torch cannot export it, or the file does not complete as the model does.
        OSError: the file cannot be written.
    """
    graph = CompletionGraph(model)
    description = describe(model, graph, identity, licence)
    texts = description.texts
    program = program_of(graph, texts["label"])
    fit(model.networks(), "cpu", WHOLE)
    out.parent.mkdir(parents=True, exist_ok=True)
    try:
        with whole(out) as partial:
            if form == "onnx":
                about = (description.sentence, description.meanings, texts)
                write_onnx(partial, program, shapes_of(graph), about, opset)
                run = onnx_runner(partial)
            else:
                write_program(partial, program, texts)
                run = program_runner(partial)
            measured = measure(run, model, graph)
    except ValueError as error:
        raise ValueError(f"{shown(out)} was not written: {error}") from error
    return Written(description, measured, out.stat().st_size)
