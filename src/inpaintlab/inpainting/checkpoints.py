"""Checkpoint files: write one, read one safely, load its weights, rebuild its model."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from pickle import UnpicklingError
from typing import Any
from zipfile import BadZipFile, ZipFile

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig

from inpaintlab.inpainting.inpainter import Inpainter
from inpaintlab.inpainting.schedule import Schedule
from inpaintlab.inpainting.steps import Steps
from inpaintlab.losses import AdversarialLoss
from inpaintlab.machine import require_format, whole
from inpaintlab.recipes import built, data_of, plain

CHECKPOINT_FORMAT = 1
"""The format of a checkpoint's record; checkpoints of version 0.1 have none."""

_PARTS = (Schedule, AdversarialLoss, torch.optim.Optimizer)
"""What may stand among the arguments of a model."""

AVERAGES = "averages."  # the prefix of averaged weights in a state dict


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint that this package wrote, tensors and plain values only.

    Args:
        path: the file, or a run's folder, whose ``last.ckpt`` is read.

    Returns:
        Lightning's checkpoint; its own record of the model is under the key 'inpaintlab'.

    Raises:
        ValueError: the file is missing, damaged, holds code, is not one of ours, or has another format.
    """
    if path.is_dir():
        path = path / "last.ckpt"
    if not path.is_file():
        raise ValueError(f"There is no checkpoint at {path.absolute()}; give the run's folder or its last.ckpt.")
    try:
        with ZipFile(path) as archive:
            damaged = archive.testzip()  # torch does not check the checksums that it writes
        if damaged is not None:
            raise BadZipFile(f"the checksum of {damaged} is wrong")
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        raise ValueError(
            f"{path} cannot be read as a checkpoint: it holds more than tensors and plain values."
        ) from error
    except Exception as error:  # zipfile and torch raise many kinds for a damaged file; to the user all mean the same
        raise ValueError(f"{path} cannot be read as a checkpoint: it is damaged, cut off or none at all.") from error
    record = checkpoint.get("inpaintlab") if isinstance(checkpoint, dict) else None
    if not isinstance(record, dict) or "state_dict" not in checkpoint or not isinstance(record.get("format", 0), int):
        raise ValueError(f"{path} is not a checkpoint of inpaintlab; a training run writes them as last.ckpt.")
    mend = "import the published files again" if record.get("imported") else "train again"
    require_format(path, record.get("format", 0), CHECKPOINT_FORMAT, mend)
    return checkpoint | {"inpaintlab": data_of(record, str(path))}


def save_checkpoint(path: Path, checkpoint: Mapping[str, Any]) -> None:
    """Write a checkpoint, whole or not at all.

    Raises:
        OSError: the file cannot be written; the old file at ``path`` stays.
    """
    try:
        with whole(path) as partial, partial.open("wb") as file:
            torch.save(checkpoint, file)
    except RuntimeError as error:  # on a full disk torch fails again while it closes the archive, and raises that
        raise error.__context__ if isinstance(error.__context__, OSError) else error from None


def load_weights(model: Inpainter, checkpoint: dict[str, Any], origin: str) -> None:
    """Load a checkpoint's networks into a model, but neither the position in its schedule nor averaged weights.

    Networks that an imported checkpoint lacks, because they were not published, keep the model's own weights.

    Args:
        model: takes the weights.
        checkpoint: from ``load_checkpoint``.
        origin: the file, for the error.

    Raises:
        ValueError: names or shapes differ; the message gives the first difference.
    """
    absent = checkpoint["inpaintlab"].get("absent", [])
    left_out = ("schedule.", AVERAGES)
    theirs = {key: value for key, value in checkpoint["state_dict"].items() if not key.startswith(left_out)}
    ours = {key: value for key, value in model.state_dict().items() if not key.startswith(left_out)}
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
    model.load_state_dict(theirs, strict=False)  # the lines above are stricter


def build(recipe: DictConfig | dict[str, Any], steps: Steps | None = None) -> Inpainter:
    """Build the model of a recipe of the configuration; the model keeps the recipe. One from a file is no such recipe.

    Args:
        recipe: a ``_target_`` and its arguments.
        steps: how a model that learns takes its steps; it is passed to every model with a schedule, and Hydra builds it
            too.
    """
    given = {}
    if steps is not None and "schedule" in recipe:
        given["steps"] = {"_target_": "inpaintlab.inpainting.Steps", **asdict(steps)}
    model: Inpainter = instantiate(recipe, **given)
    model.recipe = plain(recipe)
    return model


def rebuild(path: Path, overrides: dict[str, Any] | None = None) -> tuple[Inpainter, dict[str, Any]]:
    """Rebuild the trained model of a checkpoint from the recipe in it.

    If the checkpoint has averaged generators, the model gets these.

    Args:
        path: the file, or a run's folder.
        overrides: settings that replace those of the recipe.

    Returns:
        The model and the checkpoint's record: its recipe ('model'), 'iterations', 'images_seen' and more.

    Raises:
        ValueError: the checkpoint cannot be read, names code that is not ours, or does not fit the settings.
    """
    checkpoint = load_checkpoint(path)
    record = checkpoint["inpaintlab"]
    recipe = _merged(record.get("model"), overrides or {})
    given = {"steps": Steps(average=record.get("average"))} if "schedule" in recipe else {}
    model: Inpainter = built(recipe, Inpainter, str(path), inside=_PARTS, **given)
    model.recipe = recipe
    weights = checkpoint["state_dict"]
    checkpoint["state_dict"] = weights | {
        key.removeprefix(AVERAGES): value for key, value in weights.items() if key.startswith(AVERAGES)
    }
    load_weights(model, checkpoint, str(path))
    return model, record


def _merged(recipe: Any, overrides: dict[str, Any]) -> dict[str, Any]:
    """The recipe of a checkpoint with single settings on top, which may be those of its parts."""
    merged = dict(recipe) if isinstance(recipe, dict) else {}
    for key, value in overrides.items():
        merged[key] = _merged(merged.get(key), value) if isinstance(value, dict) else value
    return merged
