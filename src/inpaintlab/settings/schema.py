"""Every setting of every command and what it can be, a table a command as conf/ has them.

To add a setting, add its line: the key, and a hint of `kinds` (or of Python) that says what it can be. One with a
default may be missing: a group without a choice leaves no key. Ranges that follow from other settings are in `rules`;
the arguments of a recipe are checked by the signature of its class.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from inpaintlab.machine import Said
from inpaintlab.settings import kinds as k
from inpaintlab.settings.export import Export, OnlySize
from inpaintlab.settings.figures import FIGURES
from inpaintlab.settings.run_lists import RUNS
from inpaintlab.settings.serving import Serve

# ----------------------------------------------------------------------------------------------------- parts of several


@dataclass(frozen=True)
class Data:
    """The group data."""

    source: k.Source
    crop: k.Crop
    size: k.Size
    batch_size: k.Positive
    flip: k.Share
    decode: Literal["exact", "reduced"]
    workers: k.Workers
    root: k.Path = ""


@dataclass(frozen=True)
class Precision:
    """The group precision where no trainer is."""

    precision: Annotated[str | int | None, Said("a precision such as 32-true, or null")]


# ---------------------------------------------------------------------------------------------------------------- train


@dataclass(frozen=True)
class Every:
    """Batches between two of them."""

    validation: k.Batches
    checkpoint: k.Batches
    panel: k.Batches
    log: k.Batches


@dataclass(frozen=True)
class Monitor:
    """The validation score that best.ckpt is chosen by."""

    name: Annotated[str, Said("the name of a score, such as val/psnr_rgb")]
    higher_is_better: k.Flag


@dataclass(frozen=True)
class Debug:
    """The group debug."""

    batches: k.BatchesOrShare
    same_batch: k.Flag


@dataclass(frozen=True)
class Health:
    """When a discriminator wins or loses."""

    wins: k.Share
    loses: k.Share
    batches: k.Positive


@dataclass(frozen=True)
class Train:
    """``inpaintlab train``."""

    seed: k.Seed
    trust: k.Texts
    data: Data
    model: k.Model
    mask: k.Mask
    metrics: dict[str, k.Metric]
    trainer: k.Flags
    runs: k.Path
    notes: k.Text
    name: k.Text
    init: k.PathOrNull
    which: k.Which
    hole_ratio: Annotated[tuple[float, float] | None, Said("[low, high], two shares of the image, or null")]
    accumulate: k.Positive
    clip_gradients: Annotated[float | None, k.Range(above=0)]
    compile: Annotated[bool | Literal["auto"], Said("auto, true or false")]
    compile_limit: Annotated[float, k.Range(above=0)]
    skip_broken: k.NotNegative
    data_changed: Literal["refuse", "accept"]
    average: Annotated[float | None, k.Range(above=0, below=1)]
    every: Every
    validation_images: k.Positive
    panel_images: k.NotNegative
    monitor: Monitor
    health: Health
    datamodule: k.DataModule
    logger: dict[str, k.Logger] = field(default_factory=dict)
    callbacks: dict[str, k.Callback] = field(default_factory=dict)
    debug: Debug = field(default_factory=dict)  # type: ignore[assignment]


# ------------------------------------------------------------------------------------------------ evaluate and complete


@dataclass(frozen=True)
class Evaluate:
    """``inpaintlab evaluate``."""

    metrics: dict[str, k.Metric]
    trainer: k.Flags
    trust: k.Texts
    manifest: k.Path
    checkpoint: k.PathOrNull
    which: k.Which
    untrained: k.Flag
    root: k.PathOrNull
    mask_root: k.PathOrNull
    label: k.Text
    results: k.Path
    seed: k.Seed
    batch_size: k.Positive
    workers: k.NotNegative
    data: OnlySize
    raw: k.Flag
    fit: Literal["refuse", "resize"]
    overwrite: k.Flag
    cache: k.Path
    resamples: k.NotNegative
    blend: k.Flag
    compile: k.Flag
    model: k.ModelOrChanges = field(default_factory=dict)
    logger: dict[str, k.Logger] = field(default_factory=dict)


@dataclass(frozen=True)
class Complete:
    """``inpaintlab complete``."""

    trust: k.Texts
    image: k.Path
    holes: k.Path
    out: k.Path
    drawing: k.PathOrNull
    hole_colour: Literal["white", "black"]
    threshold: k.Grey
    blend: k.Flag
    format: Literal["png", "input"]
    memory: Annotated[float, k.Range(above=0)]
    window: k.Window
    fit: Literal["refuse", "resize"]
    overwrite: k.Flag
    compile: k.Flag
    checkpoint: k.PathOrNull
    which: k.Which
    untrained: k.Flag
    seed: k.Seed
    label: k.Text
    data: OnlySize
    trainer: Precision
    model: k.ModelOrChanges = field(default_factory=dict)


# -------------------------------------------------------------------------------------------------------------- compare


@dataclass(frozen=True)
class Compare:
    """``inpaintlab compare``."""

    trust: k.Texts
    study: k.PathOrNull
    results: k.Paths
    out: k.Path
    pictures: k.NotNegative
    printed: k.NotNegative
    reference: k.Text
    intervals: k.Flag
    published: k.Texts
    log_per_image: k.Flag
    root: k.PathOrNull
    logger: dict[str, k.Logger] = field(default_factory=dict)


# ------------------------------------------------------------------------------------------------------------- manifest


@dataclass(frozen=True)
class ManifestCreate:
    """``inpaintlab manifest create``."""

    irregular: k.Mask
    out: k.Path
    split: k.Split
    images: k.PositiveOrNull
    seed: k.NotNegative
    ratios: k.Ratios | None
    bins: dict[str, k.Mask]
    data: Data = field(default_factory=dict)  # type: ignore[assignment]


@dataclass(frozen=True)
class ManifestShow:
    """``inpaintlab manifest show``."""

    manifest: k.Path


@dataclass(frozen=True)
class ManifestVerify:
    """``inpaintlab manifest verify``."""

    trust: k.Texts
    manifest: k.Path
    root: k.PathOrNull
    mask_root: k.PathOrNull


@dataclass(frozen=True)
class ManifestSplit:
    """``inpaintlab manifest split``."""

    manifest: k.Path
    parts: Annotated[list[Annotated[float, k.Range(above=0)]], Said("a list of shares, together 1")]
    seed: k.NotNegative
    out: k.PathOrNull


@dataclass(frozen=True)
class ManifestLeaks:
    """``inpaintlab manifest leaks``."""

    trust: k.Texts
    manifest: k.Path
    split: k.Split
    distance: Annotated[int, k.Range(least=0, most=64)]
    root: k.PathOrNull
    mask_root: k.PathOrNull
    data: Data = field(default_factory=dict)  # type: ignore[assignment]
    mask: k.Mask = field(default_factory=dict)


@dataclass(frozen=True)
class ManifestImport:
    """``inpaintlab manifest import``."""

    layout: Literal["edgeconnect", "lama", "names", "ratio_folders"]
    images: k.Path
    masks: k.PathOrNull
    out: k.Path
    size: k.Size
    ratios: k.Ratios
    hole: Literal["white", "black"]
    threshold: k.Grey
    dilate: k.NotNegative
    seed: k.NotNegative
    root: k.PathOrNull
    mask_root: k.PathOrNull


# ------------------------------------------------------------------------------------------------------ the other verbs


@dataclass(frozen=True)
class Shard:
    """``inpaintlab shard``."""

    data: Data
    out: k.Path
    splits: list[k.Split]
    longest_side: k.PositiveOrNull
    quality: Annotated[int, k.Range(least=1, most=100)]
    pictures_per_shard: k.Positive
    seed: k.NotNegative
    skip_broken: k.Flag
    workers: k.AtLeastOneWorker
    verify: k.Flag


@dataclass(frozen=True)
class Doctor:
    """``inpaintlab doctor``."""

    data: Data = field(default_factory=dict)  # type: ignore[assignment]
    mask: k.Mask = field(default_factory=dict)


@dataclass(frozen=True)
class BenchData:
    """``inpaintlab bench data``."""

    mask: k.Mask
    seed: k.Seed
    images: k.Positive
    images_per_second: Annotated[float | None, k.Range(above=0)]
    run: k.Path | None
    gpus: k.Positive
    data: Data = field(default_factory=dict)  # type: ignore[assignment]


@dataclass(frozen=True)
class SweepStatus:
    """``inpaintlab sweep status``."""

    sweep: k.Path


SCHEMAS: Mapping[str, Any] = {
    "train": Train,
    "evaluate": Evaluate,
    "complete": Complete,
    "export": Export,
    "compare": Compare,
    "manifest create": ManifestCreate,
    "manifest show": ManifestShow,
    "manifest verify": ManifestVerify,
    "manifest split": ManifestSplit,
    "manifest leaks": ManifestLeaks,
    "manifest import": ManifestImport,
    "serve": Serve,
    "shard": Shard,
    "doctor": Doctor,
    "bench data": BenchData,
    "sweep status": SweepStatus,
    **RUNS,
    **FIGURES,
}
"""The table of each command, by its words."""
