"""The settings of the benchmark, given as KEY=VALUE on the command line."""

import math
import os
from dataclasses import dataclass, field
from pathlib import Path

import torch
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

VARIANTS = {
    "float32": "trainer.precision=32-true",
    "bf16": "trainer.precision=bf16-mixed",
    "compile": "compile=true",
}
"""Words of a variant, joined by +, and the setting of `inpaintlab train` and `complete` that each stands for."""

GPU_SHAPES = ["256x16", "256x8", "256x32", "256x96"]  # the first is the one that `reach` is stated for
GPU_VARIANTS = ["bf16", "bf16+compile", "float32+compile", "float32"]


@dataclass
class Settings:
    """A run of the benchmark.

    quick: small pictures and few rounds, in under two minutes: to see that everything works, not how fast it is.
    minutes: end after so many, the most telling cases first, each bounded in time; by default everything is measured.
    cases: parts of names such as steps/edgeconnect/inpaint/256x1 or masks; all cases whose name holds one of them.
    device: cpu, cuda, or auto.
    threads: of torch and OpenCV; the cores of the machine by default. Edges, masks, loader and metrics take one.
    rounds: pairs of each case; by default 5 on a CPU, 20 on a GPU.
    variants: of our steps, each measured against the plain step in float32, and of our completions; by default float32
        and bf16, on a GPU each of them compiled as well.
    shapes: of training batches, side x batch; by default 256x1 and 128x4, on a GPU 256x16, 256x8, 256x32 and 256x96.
    width: of all networks; 1 is the papers'.
    keep_freed: let our step, where it has a process of its own (memory, growth), keep freed memory on a CPU as
        `inpaintlab train` does. Both sides of a pair have what the system's C library does by itself.
    images: a folder of JPEG files; by default the photographs inside scikit-image, saved as such.
    side: the shorter side of those, in pixels.
    out: the folder of the results in JSON.
    docs: write the tables into docs/performance.md; by default after a whole run at width 1.
    force: write them even though others kept the machine busy.
    render: measure nothing, but write the tables of this file of results, which another machine may have made.
    """

    quick: bool = False
    minutes: float | None = None
    cases: list[str] = field(default_factory=list)
    device: str = "auto"
    threads: int | None = None
    rounds: int | None = None
    variants: list[str] = field(default_factory=list)
    shapes: list[str] = field(default_factory=list)
    width: float = 1.0
    keep_freed: bool = True
    images: str | None = None
    side: int = 512
    out: str = "benchmarks/results"
    docs: bool | None = None
    force: bool = False
    render: str | None = None

    @property
    def torch_device(self) -> torch.device:
        """The device of the networks."""
        return torch.device(self.device)

    @property
    def whole(self) -> bool:
        """Whether everything is measured at the papers' width, so that the tables may go into the documentation."""
        return not self.quick and not self.cases and self.minutes is None and self.keep_freed and self.width == 1

    @property
    def training_shapes(self) -> list[tuple[int, int]]:
        """Side and batch of the training steps."""
        return [(int(side), int(batch)) for side, batch in (shape.split("x") for shape in self.shapes)]

    @property
    def telling_first(self) -> bool:
        """Whether the most telling cases come first, with the checks and the completion of a folder among them."""
        return self.device == "cuda" or self.minutes is not None

    def wants(self, name: str) -> bool:
        """Whether a case is to be measured."""
        return not self.cases or any(part in name for part in self.cases)


def read(arguments: list[str]) -> Settings:
    """The settings of a command line, with defaults for the missing ones.

    Raises:
        ValueError: an unknown setting, or a value that it cannot have.
    """
    try:
        merged = OmegaConf.merge(OmegaConf.structured(Settings), OmegaConf.from_dotlist(arguments))
        settings: Settings = OmegaConf.to_object(merged)  # type: ignore[assignment]
    except OmegaConfBaseException as error:
        raise ValueError(
            f"{' '.join(arguments)} is not understood ({str(error).splitlines()[0]}); there are "
            f"{', '.join(Settings.__dataclass_fields__)}, each as KEY=VALUE, lists as KEY=[A,B]."
        ) from error
    if settings.device not in ("auto", "cpu", "cuda"):
        raise ValueError(f"device is '{settings.device}'; it can be auto, cpu or cuda.")
    if settings.device == "cuda" and not torch.cuda.is_available():
        raise ValueError("device is 'cuda', but torch finds no GPU here; say device=cpu.")
    if settings.device == "auto":
        settings.device = "cuda" if torch.cuda.is_available() else "cpu"
    cuda = settings.device == "cuda"
    settings.threads = settings.threads or len(os.sched_getaffinity(0))
    settings.rounds = settings.rounds or (2 if settings.quick else 20 if cuda else 5)
    if not settings.shapes:
        settings.shapes = ["64x2"] if settings.quick else GPU_SHAPES if cuda else ["256x1", "128x4"]
    if not settings.variants:
        settings.variants = GPU_VARIANTS if cuda else ["float32", "bf16"]
    if settings.minutes is not None and not 0 < settings.minutes < math.inf:
        raise ValueError(f"minutes is {settings.minutes}; give a number above 0, or leave it out.")
    for shape in settings.shapes:
        side, _, batch = shape.partition("x")
        if not (side.isdecimal() and batch.isdecimal() and int(side) % 4 == 0 and int(side) >= 32 and int(batch) > 0):
            raise ValueError(f"shapes holds '{shape}'; give side x batch such as 256x1, sides by 4s from 32.")
    for word in (word for variant in settings.variants for word in variant.split("+")):
        if word not in VARIANTS:
            raise ValueError(f"variants holds '{word}'; there are {', '.join(VARIANTS)}, or several joined by +.")
    if settings.images and not Path(settings.images).is_dir():
        raise ValueError(f"images is '{settings.images}', which is no folder; give one that holds JPEG files.")
    return settings


def settings_of(variant: str) -> list[str]:
    """The settings of `inpaintlab train` and `inpaintlab complete` that a variant stands for."""
    words = variant.split("+")
    return [*(VARIANTS[word] for word in words), *(() if compiled(variant) else ("compile=false",))]


def precision_of(variant: str) -> str:
    """float32 or bf16."""
    return "bf16" if "bf16" in variant.split("+") else "float32"


def compiled(variant: str) -> bool:
    """Whether the networks are compiled."""
    return "compile" in variant.split("+")
