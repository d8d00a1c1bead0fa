"""A recipe is held against the class that it names, ours, others' or a user's own."""

import functools
import sys
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any, Literal

import pytest
import torch
from torch import nn

from inpaintlab.settings.kinds import Recipe
from inpaintlab.settings.recipe import require_recipe

ANY = Recipe(None, "anything")


class Base:
    """What a user's classes are of."""


class Mine(Base):
    """A class of which one hint cannot be resolved, and one argument has none."""

    def __init__(
        self,
        number: float,
        bare=None,  # type: ignore[no-untyped-def]
        unknown: "NotImported" = None,  # type: ignore[name-defined]  # noqa: F821
    ) -> None:
        """Nothing is built here."""


class Readable(Base):
    """A class with hints of every sort, all of which can be resolved."""

    def __init__(
        self,
        number: float,
        whole: int = 1,
        text: str = "",
        flag: bool = False,
        choice: Literal["one", "two"] = "one",
        several: Sequence[int] = (),
        pair: tuple[float, float] = (0.0, 1.0),
        nested: Mapping[str, Mapping[str, float | None]] | None = None,
        either: float | Sequence[float] | None = None,
        parts: Sequence[Base] = (),
        network: nn.Module | None = None,
        tensor: float | torch.Tensor = 0.0,
        later: "functools.partial[torch.optim.Optimizer] | None" = None,
        odd: torch.dtype = torch.float32,
        bare=None,  # type: ignore[no-untyped-def]
    ) -> None:
        """Nothing is built here."""


class Open:
    """Takes whatever it is given."""

    def __init__(self, **anything: Any) -> None:
        """Nothing is built here."""


def make() -> Base:
    """A function that says what it makes."""
    return Base()


@pytest.fixture(autouse=True)
def _own_package(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("mine")
    vars(module).update(Mine=Mine, Readable=Readable, Open=Open, Base=Base, make=make)
    monkeypatch.setitem(sys.modules, "mine", module)


def told(recipe: Any, expected: Recipe = ANY) -> str:
    try:
        require_recipe(recipe, "it", expected)
    except ValueError as error:
        return str(error)
    return ""


ADAM = {"_target_": "torch.optim.Adam", "_partial_": True}


@pytest.mark.parametrize(
    "sound",
    [
        {"number": 1},
        {"number": 1.5, "whole": 3, "text": "x", "flag": True, "choice": "two", "several": [1, 2], "pair": [0, 1]},
        {"nested": {"a": {"b": 1.0, "c": None}}},
        {"nested": None, "either": None},
        {"either": 1, "tensor": 2},
        {"either": [1, 2.5]},
        {"parts": [{"_target_": "mine.Base"}, {"_target_": "mine.Readable", "number": 1}]},
        {"parts": [{"_target_": "mine.make"}]},
        {"later": ADAM},
        {"network": {"_target_": "torch.nn.Identity"}},
        {"odd": "float32", "bare": {"any": ["thing"]}},
    ],
)
def test_what_the_hints_allow_is_taken(sound: dict[str, Any]) -> None:
    assert not told({"_target_": "mine.Readable", "number": 1, **sound})


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"number": "zero"}, "it.number is 'zero'; it must be a number."),
        ({"number": None}, "it.number is null; it must be a number."),
        ({"number": True}, "it.number is True; it must be a number."),
        ({"whole": 1.5}, "it.whole is 1.5; it must be a whole number."),
        ({"text": 5}, "it.text is 5; it must be text."),
        ({"flag": "no"}, "it.flag is 'no'; it must be true or false."),
        ({"choice": "tow"}, "it.choice is 'tow'; it must be 'one' or 'two'. Did you mean 'two'?"),
        ({"several": 3}, "it.several is 3; it must be a list, each a whole number."),
        ({"several": [1, "x"]}, "it.several[1] is 'x'; it must be a whole number."),
        ({"pair": [0]}, "it.pair is [0]; it must be a list of 2, each a number."),
        ({"nested": {"a": {"b": "x"}}}, "it.nested.a.b is 'x'; it must be a number or null."),
        ({"either": "x"}, "it.either is 'x'; it must be a number or a list, each a number or null."),
        ({"tensor": "x"}, "it.tensor is 'x'; it must be a number"),
        ({"parts": [{"_target_": "mine.Open"}]}, "it.parts[0]._target_ is 'mine.Open', which is no class of the kind"),
        ({"parts": [{"_target_": "mine.Readable"}]}, "it.parts[0].number is missing: mine.Readable needs it; give"),
        ({"later": {"_target_": "torch.optim.Adam"}}, "it.later needs _partial_: true, because further arguments"),
        ({"later": ADAM | {"xyz": 1}}, "it.later.xyz is unknown. torch.optim.Adam takes params, lr, betas, eps,"),
        ({"later": ADAM | {"betas": "x"}}, "it.later.betas is 'x'; it must be a list"),
        ({"nubmer": 1}, "it.nubmer is unknown. Did you mean 'number'?"),
        ({"_partial_": "yes"}, "it._partial_ is 'yes'; it must be true or false."),
    ],
)
def test_what_they_do_not_allow_is_one_sentence(wrong: dict[str, Any], sentence: str) -> None:
    assert told({"_target_": "mine.Readable", "number": 1, **wrong}).startswith(sentence)


def test_a_hint_that_cannot_be_resolved_leaves_its_class_without_hints_but_with_names() -> None:
    assert not told({"_target_": "mine.Mine", "number": 1, "bare": "x", "unknown": {"a": 1}})
    assert told({"_target_": "mine.Mine", "number": 1, "unknwon": 1}).startswith("it.unknwon is unknown.")


def test_a_class_that_takes_whatever_it_is_given_gets_it() -> None:
    assert not told({"_target_": "mine.Open", "a": 1, "b": [1]})


@pytest.mark.parametrize(
    ("target", "sentence"),
    [
        ("os.system", "it._target_ is 'os.system', which is no class of the kind Base."),
        ("mine.Open", "it._target_ is 'mine.Open', which is no class of the kind Base."),
        ("mine.Bsae", "it._target_ is 'mine.Bsae', which cannot be imported: mine has no Bsae. Did you mean 'Base'?"),
        ("nowhere.Base", "it._target_ is 'nowhere.Base', which cannot be imported: No module named 'nowhere'."),
        ("", "it._target_ is '', which cannot be imported"),
        (None, "it is {'_target_': None}; it needs a _target_, the dotted name of a class of the kind Base."),
    ],
)
def test_a_class_that_does_not_belong_there_is_one_sentence(target: Any, sentence: str) -> None:
    assert told({"_target_": target}, Recipe(lambda: Base, "a base")).startswith(sentence)


def test_a_function_is_taken_where_it_says_that_it_makes_what_belongs_there() -> None:
    assert not told({"_target_": "mine.make"}, Recipe(lambda: Base, "a base"))


def test_arguments_of_the_code_are_not_missed_and_changes_of_a_checkpoint_need_no_class() -> None:
    assert not told({"_target_": "mine.Readable"}, Recipe(None, "it", given=("number",)))
    assert not told({"width": 3}, Recipe(lambda: Base, "a base", open=True))
    assert told({"width": 3}, Recipe(lambda: Base, "a base")).startswith("it is {'width': 3}; it needs a _target_")
