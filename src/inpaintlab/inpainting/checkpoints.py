"""Checkpoints from the outside: read one safely, take its weights, rebuild its model."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from pickle import UnpicklingError
from typing import Any
from zipfile import BadZipFile, ZipFile

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from inpaintlab.inpainting.inpainter import Inpainter
from inpaintlab.inpainting.steps import Steps
from inpaintlab.machine import require_format, whole
from inpaintlab.recipes import only_ours, plain

CHECKPOINT_FORMAT = 1
"""Of what stands in a checkpoint beside the weights; those of version 0.1 tell none."""


_AVERAGES = "averages."  # of the names of averaged weights in a checkpoint


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint that this package wrote, tensors and plain values only.

    Raises:
        ValueError: the file is missing, damaged, holds code, is not one of ours, or has another format.
    """
    if path.is_dir():
        path = path / "last.ckpt"
    if not path.is_file():
        raise ValueError(f"There is no checkpoint at {path.absolute()}; give the run's folder or its last.ckpt.")
    try:
        with ZipFile(path) as archive:
            damaged = archive.testzip()  # torch does not compare the checksums that it writes
        if damaged is not None:
            raise BadZipFile(f"the checksum of {damaged} is wrong")
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        raise ValueError(
            f"{path} cannot be read as a checkpoint: it holds more than tensors and plain values."
        ) from error
    except Exception as error:  # zipfile and torch raise many kinds for a damaged file: all mean the same to the user
        raise ValueError(f"{path} cannot be read as a checkpoint: it is damaged, cut off or none at all.") from error
    record = checkpoint.get("inpaintlab") if isinstance(checkpoint, dict) else None
    if not isinstance(record, dict) or "state_dict" not in checkpoint or not isinstance(record.get("format", 0), int):
        raise ValueError(f"{path} is not a checkpoint of inpaintlab; a training run writes them as last.ckpt.")
    mend = "import the published files again" if record.get("imported") else "train again"
    require_format(path, record.get("format", 0), CHECKPOINT_FORMAT, mend)
    return checkpoint


def save_checkpoint(path: Path, checkpoint: Mapping[str, Any]) -> None:
    """Write a checkpoint, whole or not at all.

    Raises:
        OSError: the file cannot be written; what was at ``path`` is still there.
    """
    try:
        with whole(path) as partial, partial.open("wb") as file:
            torch.save(checkpoint, file)
    except RuntimeError as error:  # torch stumbles over the archive's end when the disk is full, and says that
        raise error.__context__ if isinstance(error.__context__, OSError) else error from None


def load_weights(model: Inpainter, checkpoint: dict[str, Any], origin: str) -> None:
    """Load a checkpoint's networks into ``model``; the model's schedule keeps its own position, averages stay behind.

    Networks that an imported checkpoint lacks, because they were never published, keep the model's own weights.

    Raises:
        ValueError: names or shapes that differ, with the first of them.
    """
    absent = checkpoint["inpaintlab"].get("absent", [])
    aside = ("schedule.", _AVERAGES)
    theirs = {key: value for key, value in checkpoint["state_dict"].items() if not key.startswith(aside)}
    ours = {key: value for key, value in model.state_dict().items() if not key.startswith(aside)}
    wrong = [f"{key} is missing" for key in ours.keys() - theirs.keys() if key.partition(".")[0] not in absent]
    wrong += [f"{key} is unknown" for key in theirs.keys() - ours.keys()]
    wrong += [
        f"{key} has shape {tuple(theirs[key].shape)}, not {tuple(ours[key].shape)}"
        for key in ours.keys() & theirs.keys()
        if theirs[key].shape != ours[key].shape
    ]
    if wrong:
        raise ValueError(
            f"{origin} does not fit {type(model).__name__} as configured: {len(wrong)} tensors differ, first: "
            f"{sorted(wrong)[0]}. Give the model the settings that the checkpoint was trained with."
        )
    model.load_state_dict(theirs, strict=False)  # strictness is what the lines above are


def build(recipe: DictConfig | dict[str, Any], steps: Steps | None = None) -> Inpainter:
    """The model of a recipe, which it keeps; one that learns with these ``steps``.

    Hydra builds the steps too: they go to whatever has a schedule, and any other model has no use for them.
    """
    given = {}
    if steps is not None and "schedule" in recipe:
        given["steps"] = {"_target_": "inpaintlab.inpainting.Steps", **asdict(steps)}
    model: Inpainter = instantiate(recipe, **given)
    model.recipe = plain(recipe)
    return model


def rebuild(path: Path, overrides: dict[str, Any] | None = None) -> tuple[Inpainter, dict[str, Any]]:
    """The trained model of a checkpoint, built from the recipe inside it with ``overrides`` on top.

    Where the checkpoint holds averaged generators, these are the model's.

    Returns the model and the checkpoint's own record: its recipe ('model'), 'iterations' and 'images_seen'.
    """
    checkpoint = load_checkpoint(path)
    record = checkpoint["inpaintlab"]
    recipe = only_ours(OmegaConf.to_container(OmegaConf.merge(record["model"], overrides or {})), str(path))
    model = build(recipe, Steps(average=record.get("average")))
    weights = checkpoint["state_dict"]
    checkpoint["state_dict"] = weights | {
        key.removeprefix(_AVERAGES): value for key, value in weights.items() if key.startswith(_AVERAGES)
    }
    load_weights(model, checkpoint, str(path))
    return model, record
