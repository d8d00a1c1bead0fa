"""The recipe in a stranger's checkpoint is data: nothing in it is resolved, and it builds methods only."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from inpaintlab.inpainting import CHECKPOINT_FORMAT, build_method, save_checkpoint
from inpaintlab.inpainting.checkpoints import rebuild
from inpaintlab.models import OpenCVInpainting
from stand_ins.building import compose_train

TELEA: dict[str, Any] = {"_target_": "inpaintlab.models.OpenCVInpainting", "method": "telea", "radius": 3.0}


def saved(path: Path, model: Any, **changes: Any) -> Path:
    record = {"format": CHECKPOINT_FORMAT, "model": model, "iterations": 0, "images_seen": 0, "training": {"seed": 1}}
    save_checkpoint(path, {"state_dict": {}, "inpaintlab": record | changes})
    return path


@pytest.fixture
def ran() -> Iterator[list[str]]:
    """What a resolver was called with, which anybody's settings would call as ``${harm:...}``."""
    calls: list[str] = []
    OmegaConf.register_new_resolver("harm", lambda *words: calls.append(str(words)) or 3.0)
    yield calls
    OmegaConf.clear_resolver("harm")


@pytest.mark.parametrize("text", ["${harm:}", "\\${harm:}", "\\\\\\${harm:}", "${oc.env:HOME}"])
@pytest.mark.parametrize(
    "model",
    [
        lambda text: TELEA | {"radius": text},
        lambda text: TELEA | {"more": {"deep": [text]}},
        lambda text: TELEA | {"_target_": text},
        lambda text: TELEA | {text: 1},
        lambda text: TELEA | {"steps": {"_target_": "inpaintlab.inpainting.Steps", "seed": text}},
    ],
    ids=["argument", "deep", "target", "key", "inside"],
)
def test_nothing_in_a_checkpoint_is_resolved(tmp_path: Path, ran: list[str], model: Any, text: str) -> None:
    with pytest.raises(ValueError, match=r"a\.ckpt") as error:
        rebuild(saved(tmp_path / "a.ckpt", model(text)))
    assert "\n" not in str(error.value)
    assert ran == []


@pytest.mark.parametrize(
    "target",
    [
        *("os.system", "inpaintlab.machine.write_texts", "inpaintlab.machine.Lock", "inpaintlab.data.Toy"),
        *("inpaintlab.inpainting.save_checkpoint", "inpaintlab.inpainting.checkpoints.whole", "torch.optim.Adam"),
    ],
)
@pytest.mark.parametrize("inside", [False, True])
def test_a_checkpoint_builds_methods_only(tmp_path: Path, target: str, inside: bool) -> None:
    evil = {"_target_": target, "path": str(tmp_path / "harm")}
    refused = target != "torch.optim.Adam" or not inside
    sentence = "asks to run" if refused else "Adam cannot be built"
    with pytest.raises(ValueError, match=rf"a\.ckpt.* {sentence}"):
        rebuild(saved(tmp_path / "a.ckpt", TELEA | {"radius": evil} if inside else evil))
    assert [file.name for file in tmp_path.iterdir()] == ["a.ckpt"]


def bomb() -> list[Any]:
    inner: list[Any] = []
    for _ in range(40):
        inner = [inner, inner]
    return inner


@pytest.mark.parametrize("key", ["model", "training", "imported"])
def test_a_record_that_would_unfold_to_billions_is_refused(tmp_path: Path, key: str) -> None:
    record: dict[str, Any] = {"model": TELEA} | {key: TELEA | {"more": bomb()}}
    path = saved(tmp_path / "a.ckpt", **record)
    with pytest.raises(ValueError, match=r"a\.ckpt holds settings that are nested too deep or too many"):
        rebuild(path)


def test_a_users_own_setting_goes_on_top_and_is_resolved(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.ckpt", TELEA)
    given = ["+model.radius=${half:10}"]
    recipe = compose_train("model=telea", "data.size=32", "model.radius=${half:10}").model
    model, identity = build_method(recipe, str(path), named=None, overrides=given, label=None, seed=0, untrained=False)
    assert isinstance(model, OpenCVInpainting)
    assert identity["config"] == TELEA | {"radius": 5}
