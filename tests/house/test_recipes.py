"""What a recipe may name and hold: plain values, and nothing foreign that would run."""

import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from omegaconf import MissingMandatoryValue, OmegaConf

from inpaintlab import recipes
from inpaintlab.config import CONF
from inpaintlab.masks import Half, Mask, Mixture
from inpaintlab.recipes import built, data_of, nearest, plain


def test_plain_values_are_resolved() -> None:
    assert plain(OmegaConf.create({"a": 1, "b": ["${a}", {"c": None}]})) == {"a": 1, "b": [1, {"c": None}]}
    assert plain(3) == 3


def test_a_missing_value_does_not_pass_as_plain() -> None:
    with pytest.raises(MissingMandatoryValue):
        plain(OmegaConf.create({"root": "???"}))


def mask(recipe: Any) -> Any:
    """What a recipe makes where a file may name a mask."""
    return built(recipe, Mask, "A file", inside=(Mask,))


def test_our_own_recipes_are_built_of_plain_arguments() -> None:
    half = {"_target_": "inpaintlab.masks.Half", "_convert_": "all"}
    made = mask({"_target_": "inpaintlab.masks.Mixture", "masks": [half, half], "weights": (1, 2)})
    assert isinstance(made, Mixture)
    assert [type(inner) for inner in made.masks] == [Half, Half]


def test_a_part_waits_for_its_arguments_as_with_hydra() -> None:
    adam = built(
        {"_target_": "Kept", "optimizer": {"_target_": "torch.optim.Adam", "_partial_": True, "betas": [0.5, 0.9]}},
        Kept,
        "A file",
        inside=(torch.optim.Optimizer,),
        given=3,
    )
    assert adam.given == 3
    optimizer = adam.optimizer([torch.nn.Parameter(torch.zeros(1))], lr=0.25)
    assert isinstance(optimizer, torch.optim.Adam)
    assert tuple(optimizer.defaults["betas"]) == (0.5, 0.9)


@pytest.mark.parametrize(
    "text",
    [
        "${oc.env:HOME}",
        "${oc.create:{_target_:os.system,command:true}}",
        "\\${oc.env:HOME}",
        "\\\\\\${oc.env:HOME}",
        "${a}",
        "${",
        "???",
    ],
)
@pytest.mark.parametrize("place", ["argument", "in a list", "in a dict"])
def test_a_text_from_a_file_stays_that_text(text: str, place: str) -> None:
    value: Any = {"argument": text, "in a list": [text], "in a dict": {"a": text}}[place]
    assert built({"_target_": "Kept", "optimizer": value, "given": 1}, Kept, "A file").optimizer == value


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
    "a verb": "inpaintlab.verbs.train.main",
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
    evil = {"_target_": target}
    recipe = {
        "at the top": evil,
        "in a dict": {"_target_": "inpaintlab.masks.WithHoleRatio", "mask": evil},
        "in a list": {"_target_": "inpaintlab.masks.Mixture", "masks": [[evil]]},
    }[depth]
    with pytest.raises(ValueError, match=r"^A file asks to run '") as error:
        mask(recipe)
    assert target in str(error.value)


@pytest.mark.parametrize("target", [7, ["os.system"], {"_target_": "os.system"}, True, None])
def test_a_target_that_is_no_name_is_refused(target: Any) -> None:
    with pytest.raises(ValueError, match="asks to run"):
        mask({"_target_": target})


@pytest.mark.parametrize(
    "target",
    ["inpaintlab.data.DataModule", "inpaintlab.data.Toy", "inpaintlab.models.GLCIC", "torch.optim.Adam"],
)
@pytest.mark.parametrize("inside", [False, True])
def test_a_class_of_ours_is_refused_where_its_kind_does_not_belong(target: str, inside: bool) -> None:
    recipe = {"_target_": target}
    with pytest.raises(ValueError, match=rf"asks to run '{target}', which is no Mask of inpaintlab"):
        mask({"_target_": "inpaintlab.masks.WithHoleRatio", "mask": recipe} if inside else recipe)


@pytest.mark.parametrize(
    "steering",
    [
        *({"_args_": ["a"]}, {"_recursive_": False}, {"_partial_": True}, {"_partial_": "yes"}, {"_locate_": "os"}),
        *({"_mode_": 1}, {"__class__": "os"}),
    ],
)
def test_a_file_does_not_steer_how_it_is_built(steering: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"A file (asks to build Half in a way|does not say what to build)"):
        mask({"_target_": "inpaintlab.masks.Half"} | steering)
    with pytest.raises(ValueError, match="A file"):
        mask({"_target_": "inpaintlab.masks.WithHoleRatio", "mask": steering})


@pytest.mark.parametrize("recipe", [None, [], {}, "inpaintlab.masks.Half", 3, [{"_target_": "inpaintlab.masks.Half"}]])
def test_what_names_no_class_is_refused(recipe: Any) -> None:
    with pytest.raises(ValueError, match="A file does not say what to build: it names no class of the kind Mask"):
        mask(recipe)


@pytest.mark.parametrize(
    "arguments", [{"unknown": 1}, {"fraction": "a"}, {"fraction": [1]}, {"fraction": None}, {"fraction": {}}]
)
def test_arguments_that_do_not_fit_are_told_with_the_file(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"^A file: Block cannot be built of what is said there \(.*\)\.$"):
        mask({"_target_": "inpaintlab.masks.Block", **arguments})


def doubled() -> list[Any]:
    """Forty lists, each of which holds the one before it twice: 2 ** 40 in all."""
    inner: list[Any] = []
    for _ in range(40):
        inner = [inner, inner]
    return inner


def endless() -> list[Any]:
    inner: list[Any] = []
    inner.append(inner)
    return inner


def deep() -> list[Any]:
    inner: list[Any] = []
    for _ in range(10**5):
        inner = [inner]
    return inner


NOT_PLAIN = {
    "2 ** 40 lists": doubled(),
    "a list in itself": endless(),
    "100,000 lists inside each other": deep(),
    "a class": Half,
    "bytes": b"a",
    "a tensor": torch.zeros(1),
    "a set": {1},
    "a name that is no text": {1: 2},
    "a text with a class of its own": type("Text", (str,), {})("a"),
}


@pytest.mark.parametrize("value", NOT_PLAIN.values(), ids=NOT_PLAIN.keys())
def test_what_is_not_plain_is_no_data(value: Any) -> None:
    with pytest.raises(ValueError, match=r"^A file holds "):
        data_of({"a": [value]}, "A file")


def test_data_is_copied_with_every_text_as_it_is() -> None:
    content = {"a": [1, 2.5, None, True, "${b}"], "b": {"c": ("x",)}}
    assert data_of(content, "A file") == {"a": [1, 2.5, None, True, "${b}"], "b": {"c": ["x"]}}
    assert data_of(content, "A file")["a"] is not content["a"]


def test_a_checkpoint_of_plain_values_is_what_recipes_are_made_of(tmp_path: Path) -> None:
    torch.save(plain(OmegaConf.create({"a": [1, 2.5, None, "${b}"], "b": True})), tmp_path / "recipe.pt")
    assert torch.load(tmp_path / "recipe.pt", weights_only=True) == {"a": [1, 2.5, None, True], "b": True}


class Kept:
    """Keeps what it is built of."""

    def __init__(self, optimizer: Any, given: int) -> None:
        self.optimizer = optimizer
        self.given = given


@pytest.fixture(autouse=True)
def _kept_is_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    offered = recipes._offered
    monkeypatch.setattr(recipes, "_offered", lambda target: Kept if target == "Kept" else offered(target))


@pytest.fixture
def door(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A wing whose door names a class of its own, a class of elsewhere, one of another wing, and a function."""
    package, inside = ModuleType("inpaintlab.door"), {"__module__": "inpaintlab.door.inside"}
    package.__spec__ = ModuleSpec("inpaintlab.door", None, is_package=True)
    package.__all__ = ["Offered", "Path", "Half", "data_of", "Absent"]
    package.Offered, package.Kept = type("Offered", (), inside), type("Kept", (), inside)
    package.Path, package.Half, package.data_of = Path, Half, data_of
    monkeypatch.setitem(sys.modules, "inpaintlab.door", package)
    return package


def test_what_a_door_of_ours_offers_is_built(door: ModuleType) -> None:
    assert type(built({"_target_": "inpaintlab.door.Offered"}, object, "A file")) is door.Offered


@pytest.mark.parametrize("name", ["Kept", "Path", "Half", "data_of"])
def test_a_door_offers_only_classes_of_its_own_wing_that_it_names(door: ModuleType, name: str) -> None:
    with pytest.raises(ValueError, match="asks to run"):
        built({"_target_": f"inpaintlab.door.{name}"}, object, "A file")


def test_nothing_foreign_is_imported_to_decide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "foreign.py").write_text("raise SystemExit('was run')\n")
    (tmp_path / "foreigners").mkdir()
    (tmp_path / "foreigners/__init__.py").write_text("raise SystemExit('was run')\n")
    monkeypatch.syspath_prepend(tmp_path)
    for target in ("foreign.Thing", "foreigners.inside.Thing", "inpaintlab.foreign.Thing"):
        with pytest.raises(ValueError, match="asks to run"):
            built({"_target_": target}, object, "A file")


OTHERS = {
    "datetime.timedelta",
    "hydra_plugins.inpaintlab_sweeper.JobSweeper",
    "inpaintlab.training.early_stopping",
    "lightning.pytorch.strategies.DDPStrategy",
}
"""Of others, or a function: strategy, sweeper and callbacks, which no checkpoint or manifest holds."""

FILES = sorted(path for folder in (CONF, CONF.parent / "experiments") for path in folder.rglob("*.yaml"))


def targets(recipe: Any) -> set[str]:
    """Every ``_target_`` in a recipe."""
    inside = recipe.values() if isinstance(recipe, dict) else recipe if isinstance(recipe, list) else []
    own = {recipe["_target_"]} if isinstance(recipe, dict) and "_target_" in recipe else set()
    return own.union(*map(targets, inside))


def test_every_class_that_the_configuration_names_is_offered() -> None:
    named = {path: targets(OmegaConf.to_container(OmegaConf.load(path))) for path in FILES}
    assert {
        target for found in named.values() for target in found - OTHERS if recipes._offered(target) is None
    } == set()
    assert set().union(*named.values()) >= OTHERS | {"inpaintlab.models.GLCIC", "inpaintlab.metrics.FID"}


@pytest.mark.parametrize(("word", "told"), [("trian", " Did you mean 'train'?"), ("xyz", ""), ("train", "")])
def test_an_unknown_word_is_met_with_the_nearest_known_one(word: str, told: str) -> None:
    words = ["train", "evaluate"] if word != "train" else []
    assert nearest(word, words) == told
