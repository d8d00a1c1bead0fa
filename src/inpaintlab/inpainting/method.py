"""The method that a command line names: built from conf/model, or rebuilt from a checkpoint."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from inpaintlab.edges import EdgeSource
from inpaintlab.inpainting.checkpoints import build, rebuild
from inpaintlab.inpainting.chosen import chosen_file
from inpaintlab.inpainting.inpainter import Inpainter
from inpaintlab.inpainting.learner import Learner
from inpaintlab.layers import fuse_spectral_norm
from inpaintlab.machine import file_sha256
from inpaintlab.recipes import built, plain

_EDGES = "model/edges"
"""The group of settings that may be chosen beside a checkpoint, as a switch: what is known at the test."""


def build_method(
    recipe: DictConfig | None,
    checkpoint: str | None,
    *,
    named: str | None,
    overrides: Sequence[str],
    label: Any,
    seed: int,
    untrained: bool,
    which: Any = None,
) -> tuple[Inpainter, dict[str, Any]]:
    """Build the model of a recipe or of a checkpoint.

    A checkpoint has its own settings: ``model=...`` beside it must name the same method, and single
    ``model.key=value`` overrides replace settings, and ``model/edges=...`` the source of its edges.

    Args:
        recipe: the model's settings (the key ``model`` of a configuration), or None.
        checkpoint: a run's folder or a file of weights, or None.
        named: the recipe's name in conf/model, as in ``model=NAME``.
        overrides: those of the command line, as Hydra lists them.
        label: the method's name in tables; None takes that of the run, of the file, or ``named``.
        seed: from which an untrained model's weights were drawn.
        untrained: whether a model that learns may come without a checkpoint.
        which: 'best' or 'last' checkpoint of a run's folder, see `chosen_file`.

    Returns:
        The model, and its identity for the result: label, settings, checkpoint, seed, choices.

    Raises:
        ValueError: neither model nor checkpoint, a checkpoint of another method, a model that learns without one,
            settings that would be ignored, or the method lacks what it needs beside its weights.
    """
    if checkpoint is not None:
        model, origin, trained_on = _from_checkpoint(checkpoint, which, recipe, named, overrides)
        model.require()
        identity = _identity(_label(label, _name(Path(origin["path"]))), model, True, origin, seed)
        identity["switches"] |= trained_on
        return model, identity
    if which is not None:
        raise ValueError(f"which={which} chooses among the checkpoints of a run's folder, but no checkpoint is given.")
    if not recipe or "_target_" not in recipe:
        raise ValueError("No method is given: give checkpoint=runs/NAME, or model=telea (or another method).")
    model = build(recipe)
    model.require()
    learns = isinstance(model, Learner)
    if learns and not untrained:
        raise ValueError(
            f"{type(model).__name__} learns, so it needs checkpoint=runs/NAME; untrained=true scores it as it was "
            "born, which is a floor and no result."
        )
    return model, _identity(_label(label, named), model, not learns, None, seed)


def _from_checkpoint(
    checkpoint: str, which: Any, recipe: DictConfig | None, named: str | None, overrides: Sequence[str]
) -> tuple[Inpainter, dict[str, Any], dict[str, str]]:
    """The model of a checkpoint, ready to complete images; its origin; switches that are other than in training."""
    given = [override.lstrip("+") for override in overrides]
    groups = [override for override in given if override.startswith("model/")]
    if groups := [override for override in groups if not override.startswith(f"{_EDGES}=")]:
        raise ValueError(
            f"{groups[0]} beside a checkpoint would be ignored, because the checkpoint brings its own settings; give "
            "single ones (model.key=value), or leave it out."
        )
    path = Path(checkpoint)
    settings = _single([override for override in given if override.startswith("model.")], recipe)
    if recipe and any(override.startswith(f"{_EDGES}=") for override in given):
        settings["edges"] = plain(recipe["edges"])
    model, record = rebuild(path, settings, which)
    if named and recipe and recipe["_target_"] != model.recipe["_target_"]:
        raise ValueError(f"{checkpoint} holds a {type(model).__name__}, not what model={named} names.")
    fuse_spectral_norm(model)
    file = chosen_file(path, which)
    origin = {
        "path": str(file),
        "sha256": file_sha256(file),
        "iterations": record["iterations"],
        "images_seen": record["images_seen"],
        "imported": record.get("imported"),
        "training": record.get("training"),
    }
    return model, origin, _other_edges(model, record["model"].get("edges"), checkpoint)


def _other_edges(model: Inpainter, before: Any, checkpoint: str) -> dict[str, str]:
    """The switch that names the source of a model's edges and the other one that it was trained on, if it is other."""
    now = model.recipe.get("edges")
    if before is None or now == before:
        return {}
    trained, tested = (built(recipe, EdgeSource, checkpoint, inside=(EdgeSource,)) for recipe in (before, now))
    return {"edges": f"{tested.in_words()} (trained on {trained.in_words()})"}


def _single(overrides: Sequence[str], recipe: Any) -> dict[str, Any]:
    """The settings of single overrides as Hydra has understood and resolved them, nested as in the recipe."""
    settings: dict[str, Any] = {}
    for override in overrides:
        *parts, last = override.partition("=")[0].split(".")[1:]
        inner = settings
        for part in parts:
            inner = inner.setdefault(part, {})
        inner[last] = plain(OmegaConf.select(recipe, ".".join([*parts, last])))
    return settings


def _name(file: Path) -> str:
    """The name of a checkpoint: its run's, or that of an imported file."""
    return file.absolute().parent.name if file.stem in ("last", "best") else file.stem


def _label(given: Any, otherwise: str | None) -> str:
    """The label as text, because Hydra turns one of digits into a number."""
    return str(otherwise if given is None else given)


def _identity(
    label: str, model: Inpainter, trained: bool, checkpoint: dict[str, Any] | None, seed: int
) -> dict[str, Any]:
    return {
        "label": label,
        "trained": trained,
        "config": model.recipe,
        "checkpoint": checkpoint,
        "seed": None if trained else seed,
        "switches": model.switches(),
        "post_processing": None,
    }
