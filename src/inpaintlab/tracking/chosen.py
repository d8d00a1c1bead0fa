"""The trackers that the setting ``logger`` chooses: ours, and loggers of Lightning's beside them."""

import inspect
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import instantiate
from lightning.fabric.loggers import Logger
from rich.console import Console

from inpaintlab.tracking.lightning_logger import LightningTracker
from inpaintlab.tracking.tracker import CsvTracker, Tracker


def require_trackers(logger: Mapping[str, Any] | None) -> None:
    """Check, before anything is written, that the setting names trackers and loggers, with settings that they take.

    Args:
        logger: the setting: a recipe by each name.

    Raises:
        ValueError: one of them is neither, or lacks a setting or does not know it.
    """
    for _ in _chosen(logger):
        pass


def chosen_trackers(
    logger: Mapping[str, Any] | None, run_dir: Path, console: Console, config: dict[str, Any], notes: str | None
) -> list[Tracker]:
    """The CSV tracker, which every run has, then what the setting names, in its order.

    Args:
        logger: see `require_trackers`.
        run_dir: the folder of the run.
        console: where trackers print.
        config: the settings, as plain values.
        notes: what the run is for.

    Raises:
        ValueError: see `require_trackers`; or a tracker or logger refuses its settings.
    """
    found: list[Tracker] = [CsvTracker(run_dir, console)]
    for name, builder in _chosen(logger):
        if _is(builder.func, Tracker):
            found.append(builder(run_dir, console, config, notes))
            continue
        try:
            made = builder()
        except Exception as error:  # of a library of the user's choice, in the words of which it is told
            reason = " ".join(str(error).split()) or type(error).__name__
            raise ValueError(f"logger.{name}: {_name(builder.func)} cannot be made ({reason}).") from error
        if not isinstance(made, Logger):
            raise ValueError(_refusal(name, type(made)))
        found.append(LightningTracker(run_dir, console, made, config))
    return found


def _chosen(logger: Mapping[str, Any] | None) -> Iterator[tuple[str, "partial[Any]"]]:
    """The name and the constructor of each logger, its settings bound."""
    for name, recipe in (logger or {}).items():
        if not isinstance(recipe, Mapping) or not isinstance(recipe.get("_target_"), str):
            raise ValueError(
                f"logger.{name} names no class ({recipe}); give one, as in +logger.{name}._target_="
                f"lightning.pytorch.loggers.CSVLogger +logger.{name}.save_dir=logs."
            )
        try:
            builder = instantiate({**recipe, "_partial_": True}, _convert_="all")
        except InstantiationException as error:
            reason = " ".join(str(error.__cause__ or error).split())
            raise ValueError(f"logger.{name}: {recipe['_target_']} cannot be found ({reason}).") from error
        ours = _is(builder.func, Tracker)
        if inspect.isclass(builder.func) and not (ours or _is(builder.func, Logger)):
            raise ValueError(_refusal(name, builder.func))
        try:
            inspect.signature(builder.func).bind(*([None] * 4 if ours else ()), *builder.args, **builder.keywords)
        except TypeError as error:
            raise ValueError(f"logger.{name}: {_name(builder.func)} {error}.") from error
        if not ours and recipe.get("log_model"):
            raise ValueError(
                f"logger.{name}.log_model uploads what Lightning's ModelCheckpoint saves, which saves nothing here; "
                "logger=wandb logger.wandb.artifacts=true uploads the checkpoints of a run."
            )
        yield name, builder


def _refusal(name: str, kind: type) -> str:
    """Why this is no logger, and what would be one."""
    if any(base.__module__.startswith("pytorch_lightning.") for base in kind.__mro__):
        return (
            f"logger.{name} is of the package pytorch_lightning, and this trainer of lightning: name the class "
            f"lightning.pytorch.loggers.{kind.__name__}."
        )
    return (
        f"logger.{name} is {_name(kind)}, which is neither a tracker of inpaintlab nor a logger of Lightning; derive "
        "it from lightning.pytorch.loggers.logger.Logger, or give another."
    )


def _is(found: Any, kind: type) -> bool:
    return inspect.isclass(found) and issubclass(found, kind)


def _name(found: Any) -> str:
    return f"{found.__module__}.{found.__qualname__}" if hasattr(found, "__qualname__") else str(found)
