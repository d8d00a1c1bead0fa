"""The models of conf/, by whether they learn, and what makes one small enough for a test."""

from typing import Any

import yaml

from inpaintlab.config import CONF

MODELS = sorted(path.stem for path in (CONF / "model").glob("*.yaml"))


CLASSICAL = ("biharmonic", "mean_colour", "navier_stokes", "telea")


LEARNING = tuple(name for name in MODELS if name not in CLASSICAL)


def settings_of(model: str) -> dict[str, Any]:
    """What a file of conf/model says itself."""
    return yaml.safe_load((CONF / f"model/{model}.yaml").read_text("utf-8"))


def _phases(model: str) -> tuple[str, ...]:
    """The phases of the schedule that a file of conf/model chooses."""
    (schedule,) = (choice["schedule"] for choice in settings_of(model)["defaults"] if "schedule" in choice)
    return tuple(settings_of(f"schedule/{schedule}")["phases"])


PHASES = {name: _phases(name) for name in LEARNING if "_target_" in settings_of(name)}
"""Of each paper's model: other presets change another's, and are composed and built elsewhere."""


SMALL = {"width": 0.0625, "patch_size": 16, "levels": 3, "vgg": "random", "critic_steps": 1}
"""Settings of models for pictures of 32 pixels and few batches, of those models that have them."""
