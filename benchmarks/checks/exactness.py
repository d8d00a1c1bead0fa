"""Our losses and gradients beside those in float64, and our edges beside scikit-image's."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning import Callback, Trainer
from skimage.feature import canny as canny_of_scikit_image
from torch import Tensor
from torch.optim import Optimizer

from benchmarks import photographs
from benchmarks.settings import Settings, precision_of
from benchmarks.sides import Batch, Case, build_ours, fit
from benchmarks.timing import seconds
from benchmarks.work import strokes
from inpaintlab.edges import canny

BATCHES = 2

COSINES = {"edgeconnect": 0.999, "glcic": 0.9999}
"""The least cosine between a network's gradient and its gradient in float64, at full width and 256 pixels."""

SMALL_COSINES = {"edgeconnect": 0.9, "glcic": 0.99}
"""The same of smaller networks and pictures, which rounding turns further."""

TF32_COSINES = COSINES | {"glcic": 0.98}
"""The same on a GPU, whose convolutions of float32 round their operands to 10 bits.

Imitated on a CPU, that alone turned the gradients of GLCIC's C to 0.9945 and of D to 0.9883 at initialisation (full
width, 128 pixels, batch 4, torch 2.13, 2026-11-28), and a plain step's alike.
"""

LOSSES = {"float32": 0.005, "bf16": 0.03}
"""The largest relative difference of a loss at the same weights; TF32 has 10 bits, bfloat16 has 7."""

EXACT = 1e-6
"""The same between float64 on the device and float64 on the CPU, also after a step."""

SIGMAS = (1.0, 2.0, 3.0)


@dataclass
class Seen:
    """What a training showed: each batch's losses, and each network's gradient of the first batch."""

    losses: list[dict[str, float]] = field(default_factory=list)
    gradients: dict[str, Tensor] = field(default_factory=dict)


class Watch(Callback):
    """Sees a training whose first batch moves no weight, so that all its numbers are those of the first weights.

    Otherwise rounding would decide the sign of small steps (ADADELTA's first ones have one length whatever the gradient
    is), and a generator's loss after its discriminator's step would differ by percents.
    """

    def __init__(self) -> None:
        self.seen = Seen()

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        """Look at each optimizer's gradients before it steps."""
        names = {id(parameter): name.partition(".")[0] for name, parameter in pl_module.named_parameters()}
        for optimizer in trainer.optimizers:
            optimizer.register_step_pre_hook(partial(self._look, names))

    def _look(self, names: dict[int, str], optimizer: Optimizer, *_: Any) -> None:
        if self.seen.losses:
            return
        parameters = [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        gradient = torch.cat([p.grad.detach().double().flatten().cpu() for p in parameters if p.grad is not None])
        self.seen.gradients[names[id(parameters[0])]] = gradient
        for group in optimizer.param_groups:
            group["lr"] = 0.0  # our step sets it again in each batch

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Batch, batch_idx: int) -> None:
        """Keep the losses."""
        self.seen.losses.append({name: float(loss) for name, loss in outputs.items()})


def numbers(
    root: Path, folder: Path, settings: Settings, model: str, phase: str, variants: list[str], exact: bool
) -> Iterator[dict[str, Any]]:
    """The rows of a phase: float64 on the device beside the CPU's, then each variant beside float64 on the device.

    In float64 few small pictures show whether the device does the same as the CPU, steps of the optimizers included.
    What a precision takes away depends on the size, so that the variants have that of the training steps.

    Args:
        root: the folder of photographs.
        folder: for files; not used.
        settings: of the benchmark.
        model: to train.
        phase: of it.
        variants: precisions and compilation.
        exact: whether the row of float64 is one of them.
    """
    base = f"checks/numbers/{model}/{phase}"
    if exact and settings.wants(f"{base}/float64"):
        small = Case(model, phase, 64, 2)
        given = _batches(root, small)
        cpu, device = (_train(small, replace(settings, device=d), None, given) for d in ("cpu", settings.device))
        yield exactly(f"{base}/float64", device, cpu)
    wanted = [variant for variant in variants if settings.wants(f"{base}/{variant}")]
    case = Case(model, phase, *settings.training_shapes[0])
    batches = _batches(root, case) if wanted else []
    truth = _train(case, settings, None, batches) if wanted else Seen()
    large = case.size >= 256 and settings.width == 1
    for variant in wanted:
        ours = _train(case, settings, variant, batches)
        large_cosines = TF32_COSINES if settings.device == "cuda" else COSINES
        least = (large_cosines if large else SMALL_COSINES)[model]
        yield compared(f"{base}/{variant}", ours, truth, LOSSES[precision_of(variant)], least)


def _batches(root: Path, case: Case) -> list[Batch]:
    whole = photographs.batch(root, case.size, case.batch * BATCHES)
    parts = {name: whole[name].split(case.batch) for name in ("image", "mask", "edges")}
    return [{name: part[number] for name, part in parts.items()} for number in range(BATCHES)]


def _train(case: Case, settings: Settings, variant: str | None, batches: list[Batch]) -> Seen:
    """Train on the batches; without a variant in float64."""
    more = ["trainer.precision=64-true"] if variant is None else []
    model, build_trainer = build_ours(case, settings, variant or "float32", len(batches), *more)
    watch = Watch()
    on_device = [photographs.to(settings.torch_device, batch) for batch in batches]
    fit(model, build_trainer, on_device, case.size, watch)
    return watch.seen


def exactly(name: str, ours: Seen, truth: Seen) -> dict[str, Any]:
    """The row of a check whether two trainings in float64 have the same losses in all batches, and gradients."""
    row = compared(name, ours, truth, EXACT, 1 - EXACT)
    return row | {"passed": bool(row["passed"] and max(row["losses"]) <= EXACT)}


def compared(name: str, ours: Seen, truth: Seen, most: float, least: float) -> dict[str, Any]:
    """The row of a check whether losses and gradients at the first weights are within the limits.

    Args:
        name: of the check.
        ours: what our training showed.
        truth: what it showed in float64.
        most: the largest relative difference of a loss.
        least: the least cosine of a network's gradients.
    """
    differences = [
        max(abs(one[loss] - other[loss]) / max(abs(other[loss]), 1e-12) for loss in other)
        for one, other in zip(ours.losses, truth.losses, strict=True)
    ]
    cosines = {network: _cosine(ours.gradients[network], gradient) for network, gradient in truth.gradients.items()}
    later = ", ".join(f"{difference:.1e}" for difference in differences[1:])
    return {
        "name": name,
        "passed": differences[0] <= most and min(cosines.values()) >= least,
        "measured": f"losses off by {differences[0]:.1e}, after a step by {later}; cosines "
        + ", ".join(f"{network} {cosine:.6f}" for network, cosine in cosines.items()),
        "limit": f"losses {most:g}, cosines {least:g}",
        "losses": differences,
        "cosines": cosines,
    }


def _cosine(one: Tensor, other: Tensor) -> float:
    return float(torch.dot(one, other) / (one.norm() * other.norm()))


def edges(root: Path, folder: Path, settings: Settings) -> Iterator[dict[str, Any]]:
    """The row of Canny's edges on the device beside scikit-image's: every map is to be the same.

    Args:
        root: the folder of photographs.
        folder: for files; not used.
        settings: of the benchmark.
    """
    size, count = (64, 8) if settings.quick else (256, 32)
    device = settings.torch_device
    gray = photographs.batch(root, size, count)["gray"]
    known = 1 - strokes(size, count)
    given, usable = gray.to(device), known.to(device)
    maps = pixels = 0
    for sigma in SIGMAS:
        for mask in (None, usable):
            ours = canny(given, sigma, mask).cpu().numpy() > 0.5
            for number in range(count):
                region = None if mask is None else known[number, 0].numpy() > 0.5
                theirs = canny_of_scikit_image(gray[number, 0].double().numpy(), sigma=sigma, mask=region)
                different = int(np.count_nonzero(ours[number, 0] != theirs))
                pixels, maps = pixels + different, maps + bool(different)
    milliseconds = 1000 * seconds(lambda: canny(given, 2.0), device, repeats=1 if settings.quick else 10) / count
    yield {
        "name": "checks/edges",
        "passed": maps == 0,
        "measured": f"{maps} of {2 * len(SIGMAS) * count} maps differ, in {pixels} pixels; {milliseconds:.3f} ms each",
        "limit": "none differs",
    }
