"""The method that a command line names: built from conf/model, or rebuilt from a checkpoint."""

from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from inpaintlab import provenance
from inpaintlab.checkpoints import rebuild
from inpaintlab.inpainter import Inpainter
from inpaintlab.layers import fuse_spectral_norm
from inpaintlab.recipes import plain


def build_method(cfg: DictConfig) -> tuple[Inpainter, dict[str, Any]]:
    """The model of the command line or of a checkpoint, and what the result says of it.

    A checkpoint brings its own settings; ``model=...`` beside it only has to name the same method, and single
    ``model.key=value`` overrides go on top.

    Raises:
        ValueError: neither model nor checkpoint, a checkpoint of another method, a model that learns without one, or
            settings that would be ignored.
    """
    chosen = HydraConfig.get().runtime.choices.get("model")
    if cfg.checkpoint is None:
        if not cfg.get("model"):
            raise ValueError("No method is given: give checkpoint=runs/NAME, or model=telea (or another method).")
        model = instantiate(cfg.model)
        model.recipe = plain(cfg.model)
        if model.schedule is not None and not cfg.untrained:
            raise ValueError(
                f"{type(model).__name__} learns, so it needs checkpoint=runs/NAME; untrained=true scores it as it was "
                "born, which is a floor and no result."
            )
        return model, _identity(_label(cfg.label, chosen), model, model.schedule is None, None, cfg.seed)

    given = [override.lstrip("+") for override in HydraConfig.get().overrides.task]
    groups = [override for override in given if override.startswith("model/")]
    if groups:
        raise ValueError(
            f"{groups[0]} beside a checkpoint would be ignored, because the checkpoint brings its own settings; give "
            "single ones (model.key=value), or leave it out."
        )
    single = [override for override in given if override.startswith("model.")]
    overrides = OmegaConf.to_container(OmegaConf.from_dotlist(single)).get("model", {})  # type: ignore[union-attr]
    model, record = rebuild(Path(cfg.checkpoint), overrides)
    if chosen and cfg.model["_target_"] != model.recipe["_target_"]:
        raise ValueError(f"{cfg.checkpoint} holds a {type(model).__name__}, not what model={chosen} names.")
    fuse_spectral_norm(model)
    path = Path(cfg.checkpoint)
    file = path / "last.ckpt" if path.is_dir() else path
    origin = {
        "path": str(file),
        "sha256": provenance.file_sha256(file),
        "iterations": record["iterations"],
        "images_seen": record["images_seen"],
        "imported": record.get("imported"),
        "training": record.get("training"),
    }
    name = file.absolute().parent.name if file.stem in ("last", "best") else file.stem  # a run's, or an import's
    return model, _identity(_label(cfg.label, name), model, True, origin, cfg.seed)


def _label(given: Any, otherwise: str | None) -> str:
    """The label as text: Hydra makes a number of one that looks like it."""
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
