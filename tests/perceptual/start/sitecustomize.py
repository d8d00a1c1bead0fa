"""Lets torchvision be imported beside a torch that it was not built for.

Python runs this first in each process whose PYTHONPATH names this folder; conftest.py runs it in pytest's own. A
torchvision that belongs to the torch beside it brings its operators itself, and then this does nothing.
"""

from importlib.util import find_spec
from pathlib import Path

import torch

LIBRARY = None  # kept, because the operators go with it


def declare() -> None:
    global LIBRARY
    folder = Path(find_spec("torchvision").origin).parent
    try:
        torch.ops.load_library(next(folder.glob("_C*.so")))
    except OSError:
        LIBRARY = torch.library.Library("torchvision", "DEF")
        LIBRARY.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        LIBRARY.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")


declare()
