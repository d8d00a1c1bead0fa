"""What a recipe may name and hold: plain values, and nothing foreign that would run."""

import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from omegaconf import MissingMandatoryValue, OmegaConf

from inpaintlab.config import CONF
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


HOSTILE = {
    "of the standard library": "os.system",
    "built in": "builtins.eval",
    "of torch": "torch.load",
    "of a package of nearly our name": "inpaintlabs.masks.Half",
    "the package": "inpaintlab",
    "a wing": "inpaintlab.masks",
    "a file of a wing": "inpaintlab.masks.rectangles",
    "a class by its file": "inpaintlab.masks.rectangles.Half",
    "a class that its door does not name": "inpaintlab.testsets.Holes",
    "a class that another wing's door names": "inpaintlab.testsets.Half",
    "a class that nothing defines": "inpaintlab.masks.Absent",
    "a class of no wing": "inpaintlab.absent.Half",
    "a class of the package's top": "inpaintlab.recipes.Any",
    "a verb": "inpaintlab.train.main",
    "a function that a door names": "inpaintlab.machine.write_texts",
    "a function by its file": "inpaintlab.machine.files.write_texts",
    "a constant that a door names": "inpaintlab.published.CATALOGUE",
    "a method": "inpaintlab.masks.Half.draw",
    "a class's own module": "inpaintlab.masks.Half.__init__.__globals__",
    "a module that a file of ours imports": "inpaintlab.machine.provenance.subprocess.run",
    "a module that a verb of ours imports": "inpaintlab.config.os.system",
    "a name of Python's own": "inpaintlab.masks.__builtins__",
    "a name in version 0.1": "inpaintlab.gray_metrics.PSNRGray",
    "no wing": "inpaintlab..Half",
    "with a line's end": "inpaintlab.masks.Half\n",
    "with a space": " inpaintlab.masks.Half",
    "an interpolation": "inpaintlab.masks.${name}",
    "nothing": "",
}


@pytest.mark.parametrize("target", HOSTILE.values(), ids=HOSTILE.keys())
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


@pytest.mark.parametrize("target", [7, ["os.system"], {"_target_": "os.system"}, True])
def test_a_target_that_is_no_name_is_refused(target: Any) -> None:
    with pytest.raises(ValueError, match="asks to run"):
        only_ours({"_target_": target}, "A manifest")


@pytest.fixture
def door(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A wing whose door names a class of its own, a class of elsewhere, one of another wing, and a function."""
    package, inside = ModuleType("inpaintlab.door"), {"__module__": "inpaintlab.door.inside"}
    package.__spec__ = ModuleSpec("inpaintlab.door", None, is_package=True)
    package.__all__ = ["Offered", "Path", "Half", "only_ours", "Absent"]
    package.Offered, package.Kept = type("Offered", (), inside), type("Kept", (), inside)
    package.Path, package.Half, package.only_ours = Path, Half, only_ours
    monkeypatch.setitem(sys.modules, "inpaintlab.door", package)
    return package


def test_what_a_door_of_ours_offers_passes(door: ModuleType) -> None:
    assert only_ours({"_target_": "inpaintlab.door.Offered"}, "A manifest")


@pytest.mark.parametrize("name", ["Kept", "Path", "Half", "only_ours"])
def test_a_door_offers_only_classes_of_its_own_wing_that_it_names(door: ModuleType, name: str) -> None:
    with pytest.raises(ValueError, match="asks to run"):
        only_ours({"_target_": f"inpaintlab.door.{name}"}, "A manifest")


def test_nothing_foreign_is_imported_to_decide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "foreign.py").write_text("raise SystemExit('was run')\n")
    (tmp_path / "foreigners").mkdir()
    (tmp_path / "foreigners/__init__.py").write_text("raise SystemExit('was run')\n")
    monkeypatch.syspath_prepend(tmp_path)
    for target in ("foreign.Thing", "foreigners.inside.Thing", "inpaintlab.foreign.Thing"):
        with pytest.raises(ValueError, match="asks to run"):
            only_ours({"_target_": target}, "A manifest")


OTHERS = {
    "datetime.timedelta",
    "hydra_plugins.hydra_submitit_launcher.submitit_launcher.SlurmLauncher",
    "hydra_plugins.inpaintlab_sweeper.JobSweeper",
    "lightning.Trainer",
    "lightning.pytorch.strategies.DDPStrategy",
}
"""What the configuration names of others: the trainer and Hydra's plugins, which no checkpoint or manifest holds."""

FILES = sorted(path for folder in (CONF, CONF.parent / "experiments") for path in folder.rglob("*.yaml"))


def targets(recipe: Any) -> set[str]:
    """Every ``_target_`` in a recipe."""
    inside = recipe.values() if isinstance(recipe, dict) else recipe if isinstance(recipe, list) else []
    own = {recipe["_target_"]} if isinstance(recipe, dict) and "_target_" in recipe else set()
    return own.union(*map(targets, inside))


def test_every_class_that_the_configuration_names_is_offered() -> None:
    named = {path: targets(OmegaConf.to_container(OmegaConf.load(path))) for path in FILES}
    for path, found in named.items():
        for target in found - OTHERS:
            only_ours({"_target_": target}, str(path))
    assert set().union(*named.values()) >= OTHERS | {"inpaintlab.models.GLCIC", "inpaintlab.metrics.FID"}


@pytest.mark.parametrize(("word", "told"), [("trian", " Did you mean 'train'?"), ("xyz", ""), ("train", "")])
def test_an_unknown_word_is_met_with_the_nearest_known_one(word: str, told: str) -> None:
    words = ["train", "evaluate"] if word != "train" else []
    assert nearest(word, words) == told
