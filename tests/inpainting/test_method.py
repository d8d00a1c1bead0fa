"""The method that an evaluation scores is built from plain arguments, whatever composed them."""

from typing import Any

import pytest
from hydra.core.hydra_config import HydraConfig

from inpaintlab.inpainting import Inpainter, build_method
from stand_ins.building import compose_train


@pytest.fixture(autouse=True)
def no_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hydra knows of none, whatever ran in this process before."""
    monkeypatch.setattr(HydraConfig.instance(), "cfg", None)


def built(model: str | None, **changes: Any) -> tuple[Inpainter, dict[str, Any]]:
    """What `build_method` makes of a model of conf/ without a command around it."""
    assert not HydraConfig.initialized()
    recipe = None if model is None else compose_train(f"model={model}", "data.size=32").model
    given = {"named": model, "overrides": [], "label": None, "seed": 3, "untrained": False}
    return build_method(recipe, None, **(given | changes))


def test_a_method_is_called_after_what_names_it_unless_it_has_a_label() -> None:
    assert built("telea")[1]["label"] == "telea"
    assert built("telea", label=7)[1]["label"] == "7"


def test_what_learns_needs_a_checkpoint_or_says_that_it_is_untrained() -> None:
    with pytest.raises(ValueError, match="GLCIC learns, so it needs checkpoint=runs/NAME"):
        built("glcic")
    identity = built("glcic", untrained=True)[1]
    assert (identity["trained"], identity["seed"], identity["checkpoint"]) == (False, 3, None)


def test_neither_a_model_nor_a_checkpoint_is_told() -> None:
    with pytest.raises(ValueError, match="No method is given"):
        built(None)
