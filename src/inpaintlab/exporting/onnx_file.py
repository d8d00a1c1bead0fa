"""ONNX files: made of a program, with everything that a reader should know inside, and run."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.export import ExportedProgram

from inpaintlab import __version__
from inpaintlab.exporting.program import exporting_quietly

if TYPE_CHECKING:
    import onnx

OUTPUT = "completed"
"""The name of the output."""

COLOURS = 3
"""Planes of the output."""

_MOST_BYTES = 2**31 - 1
"""Of a file of protobuf."""


def write_onnx(
    path: Path,
    program: ExportedProgram,
    shapes: Mapping[str, tuple[Any, ...]],
    about: tuple[str, Mapping[str, str], Mapping[str, str]],
    opset: int,
) -> None:
    """Write a program as one file of ONNX, weights included.

    Args:
        path: the file.
        program: of the model's graph.
        shapes: of the inputs, by their names.
        about: what the file is, in a sentence; what each input and the output is, by name; and texts by key.
        opset: version of ONNX's operators.

    Raises:
        ValueError: the exporter cannot, or the file would be larger than ONNX allows.
        OSError: the file cannot be written.
    """
    import onnx
    from onnxscript.optimizer import fold_constants, remove_unused_nodes

    sentence, meanings, texts = about
    if sum(weight.nbytes for weight in program.state_dict.values()) > _MOST_BYTES:
        raise ValueError(
            "its weights take more than the 2 GB that one file of ONNX can hold; give format=torch_export."
        )
    with exporting_quietly(texts["label"]):
        # not optimize=True: its rules take terms below 1e-8 for 0, which keep quotients of partial convolutions finite
        made = torch.onnx.export(
            program,
            input_names=list(shapes),
            output_names=[OUTPUT],
            dynamo=True,
            opset_version=opset,
            verbose=False,
            optimize=False,
        )
        assert made is not None
        fold_constants(made.model)
        remove_unused_nodes(made.model)
        model = made.model_proto
    _forget(model.graph)
    for function in model.functions:
        _forget(function)
    model.producer_name, model.producer_version = "inpaintlab", __version__
    model.doc_string = sentence
    del model.metadata_props[:]
    for key, text in texts.items():
        model.metadata_props.add(key=key, value=text)
    batch, _, *sides = shapes["image"]
    for value, shape in zip(
        [*model.graph.input, *model.graph.output], [*shapes.values(), (batch, COLOURS, *sides)], strict=True
    ):
        value.doc_string = meanings[value.name]
        for dimension, side in zip(value.type.tensor_type.shape.dim, shape, strict=True):
            if isinstance(side, str):
                dimension.dim_param = side
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString(deterministic=True))


def _forget(graph: "onnx.GraphProto | onnx.FunctionProto") -> None:
    """Take out what tells of this machine, such as the paths of sources in the traces of operations; loops included."""
    graph.doc_string = ""
    del graph.metadata_props[:]
    del graph.value_info[:]
    for node in graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
        for attribute in node.attribute:
            if attribute.HasField("g"):
                _forget(attribute.g)


def onnx_runner(path: Path) -> Callable[[Mapping[str, Tensor]], Tensor]:
    """What runs a file of ONNX on the processor, with as many threads as torch has."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 4  # errors are raised as well
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def run(inputs: Mapping[str, Tensor]) -> Tensor:
        return torch.from_numpy(session.run([OUTPUT], {name: x.numpy() for name, x in inputs.items()})[0])

    return run
