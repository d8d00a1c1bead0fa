"""What every method shares: completing images, training steps, checkpoints, precision and compilation."""

from inpaintlab.inpainting.checkpoints import (
    AVERAGES,
    CHECKPOINT_FORMAT,
    MOST_KEPT,
    Imported,
    build,
    load_checkpoint,
    load_weights,
    require_resumable,
    save_checkpoint,
)
from inpaintlab.inpainting.chosen import chosen_file
from inpaintlab.inpainting.compiling import (
    Compilation,
    CompileTimer,
    Compiling,
    chosen_compilation,
    compile_generators,
    require_compiler,
    uncompiled,
)
from inpaintlab.inpainting.fitting import fit
from inpaintlab.inpainting.inpainter import Classical, Inpainter, hide, require_known_pixels
from inpaintlab.inpainting.learner import Learner, Losses, learner_of
from inpaintlab.inpainting.made_for import Extent, MadeFor, extents
from inpaintlab.inpainting.method import build_method
from inpaintlab.inpainting.precision import (
    WHOLE,
    chosen_precision,
    completing_precision,
    computing,
    device_type,
    training_precision,
)
from inpaintlab.inpainting.schedule import Schedule
from inpaintlab.inpainting.steps import BATCH_BY_BATCH, Steps, evaluating, frozen, is_number, weigh

__all__ = [
    "AVERAGES",
    "BATCH_BY_BATCH",
    "CHECKPOINT_FORMAT",
    "MOST_KEPT",
    "WHOLE",
    "Classical",
    "Compilation",
    "CompileTimer",
    "Compiling",
    "Extent",
    "Imported",
    "Inpainter",
    "Learner",
    "Losses",
    "MadeFor",
    "Schedule",
    "Steps",
    "build",
    "build_method",
    "chosen_compilation",
    "chosen_file",
    "chosen_precision",
    "compile_generators",
    "completing_precision",
    "computing",
    "device_type",
    "evaluating",
    "extents",
    "fit",
    "frozen",
    "hide",
    "is_number",
    "learner_of",
    "load_checkpoint",
    "load_weights",
    "require_compiler",
    "require_known_pixels",
    "require_resumable",
    "save_checkpoint",
    "training_precision",
    "uncompiled",
    "weigh",
]
