"""The models of conf/, by whether they learn, and what makes one small enough for a test."""

from collections.abc import Iterable
from typing import Any

import pytest
import yaml

from inpaintlab.config import CONF

MODELS = sorted(path.stem for path in (CONF / "model").glob("*.yaml"))


def settings_of(model: str) -> dict[str, Any]:
    """What a file of conf/model says, and those before it in its defaults; the schedule by its name."""
    own = yaml.safe_load((CONF / f"model/{model}.yaml").read_text("utf-8"))
    found: dict[str, Any] = {}
    for choice in own.pop("defaults", []):
        if isinstance(choice, str):
            found |= settings_of(choice) if choice != "_self_" else {}
        else:
            found |= {group.removeprefix("override "): chosen for group, chosen in choice.items()}
    return found | own


CLASSICAL = tuple(name for name in MODELS if "schedule" not in settings_of(name))


LEARNING = tuple(name for name in MODELS if name not in CLASSICAL)


def _phases(model: str) -> tuple[str, ...]:
    schedule = yaml.safe_load((CONF / f"model/schedule/{settings_of(model)['schedule']}.yaml").read_text("utf-8"))
    return tuple(schedule["phases"])


def _trained() -> list[str]:
    """One preset a paper: that which defines the class, or where this fills the centre alone, that of any hole."""
    papers = [name for name in LEARNING if "_target_" in (CONF / f"model/{name}.yaml").read_text("utf-8")]
    return [{"context_encoder": "context_encoder_random"}.get(name, name) for name in papers]


def only(*ordinary: Any, of: Iterable[Any]) -> list[Any]:
    """The cases of a law: the ``ordinary`` ones in every run of the tests, the others where minutes are asked for."""
    return [name if name in ordinary else pytest.param(name, marks=pytest.mark.endurance) for name in of]


PHASES = {name: _phases(name) for name in _trained()}
"""The phases of the models that tests train."""


SMALL = {"width": 0.0625, "patch_size": 16, "levels": 3, "bottleneck": 8, "vgg": "random", "critic_steps": 1}
"""Settings of models for pictures of 32 pixels and few batches, of those models that have them."""

QUICK = {"speed": 8, "iterations": [1]}
"""Of those that do not learn."""
