"""What every method shares: from a hole to finished pixels, from a batch to a step."""

from inpaintlab.inpainting.checkpoints import load_checkpoint, load_weights, save_checkpoint
from inpaintlab.inpainting.compiling import CompileTimer, Compiling, compile_generators, require_compiler, uncompiled
from inpaintlab.inpainting.inpainter import Inpainter, Losses, evaluating, frozen, hide
from inpaintlab.inpainting.method import build_method
from inpaintlab.inpainting.precision import (
    WHOLE,
    chosen_precision,
    completing_precision,
    computing,
    device_type,
    training_precision,
)
from inpaintlab.inpainting.schedule import Phase, Schedule

__all__ = [
    "WHOLE",
    "CompileTimer",
    "Compiling",
    "Inpainter",
    "Losses",
    "Phase",
    "Schedule",
    "build_method",
    "chosen_precision",
    "compile_generators",
    "completing_precision",
    "computing",
    "device_type",
    "evaluating",
    "frozen",
    "hide",
    "load_checkpoint",
    "load_weights",
    "require_compiler",
    "save_checkpoint",
    "training_precision",
    "uncompiled",
]
