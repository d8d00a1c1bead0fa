"""Checkpoint files: write one, read one safely, load its weights, rebuild its model."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from pickle import UnpicklingError
from typing import Annotated, Any
from zipfile import BadZipFile, ZipFile

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig
from torch import Tensor, nn

from inpaintlab.edges import EdgeSource
from inpaintlab.inpainting.chosen import BEST, LAST, chosen_file, meant_instead
from inpaintlab.inpainting.inpainter import Inpainter
from inpaintlab.inpainting.rates import Seen
from inpaintlab.inpainting.schedule import Schedule
from inpaintlab.inpainting.steps import Steps
from inpaintlab.losses import AdversarialLoss
from inpaintlab.machine import Between, Count, Sha256, conform, require_format, whole
from inpaintlab.recipes import built, data_of, plain, require_buildable

CHECKPOINT_FORMAT = 1
"""The format of a checkpoint's record; the first checkpoints had none."""

PARTS = (Schedule, AdversarialLoss, EdgeSource, torch.optim.Optimizer)
"""What may stand among the arguments of a model."""

OWN_PARTS = (nn.Module,)
"""What may stand there besides, where it is of a user's own package: networks and losses."""

AVERAGES = "averages."  # the prefix of averaged weights in a state dict

_POSITION = "schedule._extra_state"

_OURS = "a training run writes one as last.ckpt, and `inpaintlab weights import` makes one of published files"

_OF_LIGHTNING = {"loops": dict, "callbacks": dict, "optimizer_states": list, "lr_schedulers": list} | {
    "pytorch-lightning_version": str
}


@dataclass(frozen=True)
class _Published:
    name: str
    sha256: Sha256


@dataclass(frozen=True)
class Imported:
    """What published weights came from: the layout that `inpaintlab weights import` read, and the files."""

    layout: str
    files: tuple[_Published, ...]


@dataclass(frozen=True)
class _Settings:
    """What is read of the settings of a training."""

    seed: int | None = None
    precision: str | None = None


@dataclass(frozen=True)
class _Files:
    files: Count
    bytes: Count
    sha256: Sha256


@dataclass(frozen=True)
class _Run:
    """What a resumed run is held against."""

    settings: dict[str, Any]
    trained_on: dict[str, _Files]
    changed_after: tuple[Count, ...]


@dataclass(frozen=True)
class _Record:
    """What is read of a checkpoint's own record."""

    model: dict[str, Any]
    iterations: Count | None
    images_seen: Count | None
    training: _Settings | None = None
    run: _Run | None = None
    average: Annotated[float, Between(0, 1)] | None = None
    processes: Annotated[int, Between(1, 10**6)] = 1
    absent: tuple[str, ...] = ()
    imported: Imported | None = None


@dataclass(frozen=True)
class _Position:
    iteration: Count
    plateaus: dict[str, Seen] = field(default_factory=dict)


@dataclass(frozen=True)
class _Training:
    """What is plain of Lightning's part of a checkpoint."""

    epoch: Count
    global_step: Count
    loops: dict[str, dict[str, dict[str, Any]]]
    position: _Position


def load_checkpoint(place: Path, which: Any = None) -> dict[str, Any]:
    """Read a checkpoint that this package wrote, tensors and plain values only.

    Args:
        place: the file, or a run's folder.
        which: of a folder, see `chosen_file`.

    Returns:
        Lightning's checkpoint; its own record of the model is under the key 'inpaintlab'.

    Raises:
        ValueError: the file is missing, damaged, holds code, is not one of ours, or has another format.
    """
    path = chosen_file(place, which)
    try:
        return _load(path)
    except ValueError as error:
        if path != place and path.name == BEST and (place / LAST).is_file():
            raise ValueError(f"{error} With which=last, {place / LAST} is taken.") from error
        raise


def _load(path: Path) -> dict[str, Any]:
    """See `load_checkpoint`."""
    if not path.is_file():
        hint = meant_instead(path)
        raise ValueError(f"There is no checkpoint at {path.absolute()}; give a run's folder, or a file in it.{hint}")
    with path.open("rb") as file:
        if file.read(1) == b"\x80":
            raise ValueError(
                f"{path} is a pickle, as torch wrote them before 1.6, and no checkpoint of inpaintlab; {_OURS}."
            )
    try:
        with ZipFile(path) as archive:
            damaged = archive.testzip()  # torch does not check the checksums that it writes
        if damaged is not None:
            raise BadZipFile(f"the checksum of {damaged} is wrong")
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        raise ValueError(
            f"{path} cannot be read as a checkpoint: it holds more than tensors and plain values; {_OURS}."
        ) from error
    except Exception as error:  # zipfile and torch raise many kinds for a damaged file; to the user all mean the same
        raise ValueError(f"{path} cannot be read as a checkpoint: it is damaged, cut off or none at all.") from error
    record = checkpoint.get("inpaintlab") if isinstance(checkpoint, dict) else None
    if not isinstance(record, dict):
        raise ValueError(f"{path} is not a checkpoint of inpaintlab{_instead(checkpoint)}; {_OURS}.")
    mend = "import the published files again" if record.get("imported") else "train again"
    require_format(path, record.get("format", 0), CHECKPOINT_FORMAT, mend)
    record = data_of(record, str(path))
    conform(_Record, record, f"{path}, its key 'inpaintlab'", mend, closed=False)
    weights = checkpoint.get("state_dict")
    if not isinstance(weights, dict) or not all(isinstance(key, str) for key in weights):
        raise ValueError(f"{path}: state_dict is no table of weights; {mend}.")
    if strange := [key for key, value in weights.items() if not isinstance(value, Tensor) and key != _POSITION]:
        raise ValueError(f"{path}: {strange[0]} in state_dict is no tensor; {mend}.")
    return checkpoint | {"inpaintlab": record}


def _instead(found: Any) -> str:
    """What a file of torch holds instead of a checkpoint of ours, in words."""
    if isinstance(found, dict) and "pytorch-lightning_version" in found:
        return f", but one that another project trained with Lightning {str(found['pytorch-lightning_version'])[:20]}"
    if isinstance(found, dict) and found and all(isinstance(value, Tensor) for value in found.values()):
        return ", but the weights of a network alone"
    return ""


MOST_KEPT = 10**6
"""Values that callbacks keep in a checkpoint, such as a long window of the discriminators' health."""


def require_resumable(checkpoint: Mapping[str, Any], path: Path) -> None:
    """See that a training can go on from a checkpoint: it holds all that Lightning puts into one.

    Args:
        checkpoint: from `load_checkpoint`.
        path: its file, for the sentence.

    Raises:
        ValueError: a part is missing or is nothing that Lightning 2 writes.
    """
    mend = "evaluate it, or train anew from its weights with init="
    faults = [key for key, kind in _OF_LIGHTNING.items() if not isinstance(checkpoint.get(key), kind)]
    if faults:
        raise ValueError(f"{path} holds no training that could go on: it has no {faults[0]}; {mend}{path}.")
    if not re.match(r"[2-9]\.|\d\d+\.", checkpoint["pytorch-lightning_version"]):
        version = checkpoint["pytorch-lightning_version"][:20]
        raise ValueError(f"{path} was written by Lightning {version}, and this one cannot go on from it; {mend}{path}.")
    states = data_of(checkpoint["callbacks"], str(path), MOST_KEPT, (Tensor,))
    if strange := [key for key, state in states.items() if not isinstance(state, dict)]:
        raise ValueError(f"{path}: callbacks.{strange[0]} is no table of values; {mend}{path}.")
    parts = {key: checkpoint[key] for key in ("epoch", "global_step", "loops") if key in checkpoint}
    parts["position"] = checkpoint["state_dict"].get(_POSITION)
    training = conform(_Training, data_of(parts, str(path), MOST_KEPT), path, f"{mend}{path}", closed=False)
    if "epoch_loop.batch_progress" not in training.loops.get("fit_loop", {}):
        raise ValueError(f"{path} holds no training that could go on: it has no loops.fit_loop; {mend}{path}.")
    record = checkpoint["inpaintlab"]
    if training.position.iteration != record["iterations"] or record.get("training") is None:
        raise ValueError(f"{path} contradicts itself about the batches or settings of its training; {mend}{path}.")


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
    try:
        model.load_state_dict(theirs, strict=False)  # the lines above are stricter
    except RuntimeError as error:  # tensors of a kind that cannot be copied, such as quantized ones
        raise ValueError(
            f"{origin} does not fit {type(model).__name__}: {' '.join(str(error).split())[:300]}."
        ) from error


def build(recipe: DictConfig | dict[str, Any], steps: Steps | None = None) -> Inpainter:
    """Build the model of a recipe of the configuration; the model keeps the recipe. One from a file is no such recipe.

    Args:
        recipe: a ``_target_`` and its arguments.
        steps: how a model that learns takes its steps; it is passed to every model with a schedule, and Hydra builds it
            too.

    Raises:
        ValueError: it is to learn, and no checkpoint of it could be built again.
    """
    given = {}
    if steps is not None and "schedule" in recipe:  # without one there is nothing to learn, and no checkpoint
        require_buildable(plain(recipe), Inpainter, "The setting model", inside=PARTS, own=OWN_PARTS)
        given["steps"] = {"_target_": "inpaintlab.inpainting.Steps", **asdict(steps)}
    model: Inpainter = instantiate(recipe, **given)
    model.recipe = plain(recipe)
    return model


def rebuild(path: Path, overrides: dict[str, Any] | None = None, which: Any = None) -> tuple[Inpainter, dict[str, Any]]:
    """Rebuild the trained model of a checkpoint from the recipe in it.

    If the checkpoint has averaged generators, the model gets these.

    Args:
        path: the file, or a run's folder.
        overrides: settings that replace those of the recipe.
        which: of a folder, see `chosen_file`.

    Returns:
        The model and the checkpoint's record: its recipe ('model'), 'iterations', 'images_seen' and more.

    Raises:
        ValueError: the checkpoint cannot be read, names code that is not ours, or does not fit the settings.
    """
    checkpoint = load_checkpoint(path, which)
    record = checkpoint["inpaintlab"]
    recipe = _merged(record.get("model"), overrides or {})
    given = {"steps": Steps(average=record.get("average"))} if "schedule" in recipe else {}
    model: Inpainter = built(recipe, Inpainter, str(path), inside=PARTS, own=OWN_PARTS, **given)
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
        part = isinstance(value, dict) and "_target_" not in value  # a whole recipe takes the place of another
        merged[key] = _merged(merged.get(key), value) if part else value
    return merged
