"""One file that completes images in another program: ONNX, or torch.export's."""

from inpaintlab.exporting.canny_graph import CannyGraph
from inpaintlab.exporting.completion_graph import CompletionGraph, EdgeInput, edge_input, require_exportable
from inpaintlab.exporting.description import Description
from inpaintlab.exporting.measured import TOLERANCE, Measured
from inpaintlab.exporting.writing import SUFFIXES, Written, require_format_packages, write_model

__all__ = [
    "SUFFIXES",
    "TOLERANCE",
    "CannyGraph",
    "CompletionGraph",
    "Description",
    "EdgeInput",
    "Measured",
    "Written",
    "edge_input",
    "require_exportable",
    "require_format_packages",
    "write_model",
]
