"""What a recipe may name and hold: plain values, and nothing foreign that would run."""

import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from omegaconf import MissingMandatoryValue, OmegaConf

from inpaintlab.masks import Half
from inpaintlab.recipes import nearest, only_ours, plain


def test_plain_values_are_resolved() -> None:
    assert plain(OmegaConf.create({"a": 1, "b": ["${a}", {"c": None}]})) == {"a": 1, "b": [1, {"c": None}]}
    assert plain(3) == 3


def test_a_missing_value_does_not_pass_as_plain() -> None:
    with pytest.raises(MissingMandatoryValue):
        plain(OmegaConf.create({"root": "???"}))


def test_our_own_recipes_pass_unchanged() -> None:
    recipe = {"_target_": "inpaintlab.masks.Mixture", "masks": [{"_target_": "inpaintlab.masks.Half"}], "weights": [1]}
    assert only_ours(recipe, "A manifest") is recipe


@pytest.mark.parametrize(
    "target",
    [
        "os.system",
        "builtins.eval",
        "torch.load",
        "inpaintlab",
        "inpaintlabs.Thing",
        # names that modules of ours import are not ours
        "inpaintlab.config.os.system",
        "inpaintlab.provenance.subprocess.run",
        "inpaintlab.evaluate.shutil.rmtree",
        # neither are functions of ours that act on files
        "inpaintlab.machine.files.write_texts",
    ],
)
@pytest.mark.parametrize("depth", ["at the top", "in a dict", "in a list"])
def test_a_foreign_target_is_refused_wherever_it_stands(target: str, depth: str) -> None:
    evil = {"_target_": target, "_args_": ["true"]}
    recipe = {
        "at the top": evil,
        "in a dict": {"_target_": "inpaintlab.masks.WithHoleRatio", "mask": evil},
        "in a list": {"_target_": "inpaintlab.masks.Mixture", "masks": [[evil]]},
    }[depth]
    with pytest.raises(ValueError, match=r"^runs/a/last\.ckpt asks to run '") as error:
        only_ours(recipe, "runs/a/last.ckpt")
    assert target in str(error.value)


def test_a_target_made_by_interpolation_is_refused() -> None:
    with pytest.raises(ValueError, match="asks to run"):
        only_ours({"_target_": "inpaintlab.${name}", "name": "config.os.system"}, "A manifest")


def test_a_checkpoint_of_plain_values_is_what_recipes_are_made_of(tmp_path: Path) -> None:
    torch.save(plain(OmegaConf.create({"a": [1, 2.5, None, "${b}"], "b": True})), tmp_path / "recipe.pt")
    assert torch.load(tmp_path / "recipe.pt", weights_only=True) == {"a": [1, 2.5, None, True], "b": True}


@pytest.fixture
def door(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A package of ours that offers a class of a module inside it, and holds a second one that it does not offer."""
    package, inside = ModuleType("inpaintlab.door"), "inpaintlab.door.inside"
    package.__path__, package.__all__ = [], ["Offered", "Path", "Half"]
    package.Offered, package.Kept = (
        type("Offered", (), {"__module__": inside}),
        type("Kept", (), {"__module__": inside}),
    )
    package.Path, package.Half = Path, Half
    monkeypatch.setitem(sys.modules, "inpaintlab.door", package)
    return package


def test_what_a_package_of_ours_offers_passes(door: ModuleType) -> None:
    assert only_ours({"_target_": "inpaintlab.door.Offered"}, "A manifest")


@pytest.mark.parametrize("name", ["Kept", "Path", "Half", "Absent"])
def test_a_package_offers_only_classes_of_its_own_that_it_names(door: ModuleType, name: str) -> None:
    with pytest.raises(ValueError, match="asks to run"):
        only_ours({"_target_": f"inpaintlab.door.{name}"}, "A manifest")


@pytest.mark.parametrize(("word", "told"), [("trian", " Did you mean 'train'?"), ("xyz", ""), ("train", "")])
def test_an_unknown_word_is_met_with_the_nearest_known_one(word: str, told: str) -> None:
    words = ["train", "evaluate"] if word != "train" else []
    assert nearest(word, words) == told
