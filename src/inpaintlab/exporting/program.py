"""A model's graph as torch.export's program, with open batch, height and width."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.export import Dim, ExportedProgram
from torch.fx.experimental import _config as _shapes

from inpaintlab.exporting.completion_graph import CompletionGraph, shapes_of

_EXAMPLE = {"batch": 2, "height": 2100, "width": 3300}
"""Sides of the images that are traced, which are never filled: so large that none becomes 1 inside a network, for which
operations have other rules."""

_OPEN = {"backed_size_oblivious": True}
"""Without this setting of torch's, a side above 1 in the traced images would be one above 1 for ever."""


def program_of(graph: CompletionGraph, label: str) -> ExportedProgram:
    """Trace the graph of a model.

    Args:
        graph: of the model.
        label: the method's name, for the error.

    Raises:
        ValueError: torch cannot.
    """
    shapes = shapes_of(graph)
    open_sides = {name: Dim(name) for name in _EXAMPLE}
    examples = tuple(torch.empty([_EXAMPLE.get(side, side) for side in shape]) for shape in shapes.values())
    dynamic = tuple(
        {axis: open_sides[side] for axis, side in enumerate(shape) if side in open_sides} for shape in shapes.values()
    )
    with exporting_quietly(label), torch.no_grad(), _shapes.patch(**_OPEN):  # type: ignore[attr-defined]
        program = torch.export.export(
            graph, examples, dynamic_shapes=dynamic, strict=False, prefer_deferred_runtime_asserts_over_guards=True
        )
    _leave_out(program)
    return program


@contextmanager
def exporting_quietly(label: str) -> Iterator[None]:
    """Without the warnings of torch's exporters, which are about its own code; their errors as one sentence.

    Raises:
        ValueError: an exporter has failed.
    """
    logs = [logging.getLogger(name) for name in ("torch.onnx", "torch._export")]
    before = [log.level for log in logs]
    for log in logs:
        log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except Exception as error:  # they raise many kinds; to the user all mean the same
        reason = " ".join(str(error).split())[:300]
        raise ValueError(
            f"torch {torch.__version__} cannot export {label}: {type(error).__name__}: {reason}."
        ) from error
    finally:
        for log, level in zip(logs, before, strict=True):
            log.setLevel(level)


_IDLE = (torch.ops.aten._assert_scalar.default, torch.amp._exit_autocast, torch.amp._enter_autocast)
"""What computes nothing in float32: assertions, which would refuse smaller images than the traced one (the file is run
on small ones before it is kept), and where autocast is switched off."""


def _leave_out(program: ExportedProgram) -> None:
    """Take out of a program what is ``_IDLE``."""
    graph = program.graph_module.graph
    for kind in _IDLE:
        for node in [node for node in graph.nodes if node.target is kind]:
            graph.erase_node(node)
    graph.eliminate_dead_code()
    program.graph_module.recompile()
