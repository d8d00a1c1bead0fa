"""Reads files of other frameworks, a stranger's too, without these frameworks and without running anything in them."""

from inpaintlab.readers.pickles import read as read_torch
from inpaintlab.readers.pickles import table, tensors
from inpaintlab.readers.tensorflow1 import files as tensorflow1_files
from inpaintlab.readers.tensorflow1 import read as read_tensorflow1
from inpaintlab.readers.torch7 import Torch7Object
from inpaintlab.readers.torch7 import read as read_torch7
from inpaintlab.readers.words import printable

__all__ = [
    "Torch7Object",
    "printable",
    "read_tensorflow1",
    "read_torch",
    "read_torch7",
    "table",
    "tensorflow1_files",
    "tensors",
]
