"""Files of torch.export: written and run."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor
from torch.export import ExportedProgram

from inpaintlab.exporting.program import exporting_quietly

ABOUT = "inpaintlab.json"
"""The name of the texts inside the file."""


def write_program(path: Path, program: ExportedProgram, texts: Mapping[str, str]) -> None:
    """Write a program as one file of torch.export, weights included.

    Args:
        path: the file.
        program: of the model's graph.
        texts: what a reader should know, by key.

    Raises:
        ValueError: torch cannot write it.
        OSError: the file cannot be written.
    """
    program.example_inputs = None  # of the size that was traced
    for module in program.graph_module.modules():  # loops are modules of their own
        for node in getattr(module, "graph", torch.fx.Graph()).nodes:
            node.meta.pop("stack_trace", None)  # lines of our code, with the paths of this machine
    with exporting_quietly(texts["label"]), path.open("wb") as file:
        torch.export.save(program, file, extra_files={ABOUT: json.dumps(texts, ensure_ascii=False, indent=2)})


def program_runner(path: Path) -> Callable[[Mapping[str, Tensor]], Tensor]:
    """What runs a file of torch.export on the processor."""
    with exporting_quietly(path.name), path.open("rb") as file:
        module = torch.export.load(file).module()

    def run(inputs: Mapping[str, Tensor]) -> Tensor:
        with torch.no_grad():
            found: Tensor = module(*inputs.values())
        return found

    return run
