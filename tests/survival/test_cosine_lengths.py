"""A run may become longer, but what it has done keeps the rate that it was done with."""

import re
from pathlib import Path
from typing import Any

import pytest

from inpaintlab.survival import require_same_cosines


def settings(first: int, second: int, rate: Any = "cosine") -> dict[str, Any]:
    phases = {"a": {"batches": first, "rate": "constant"}, "b": {"batches": second, "rate": rate}}
    return {"model": {"schedule": {"phases": phases}}}


def told(before: dict[str, Any], now: dict[str, Any], done: int) -> str:
    """The sentence on a run of ``before`` that is to go on as ``now``, or "" where it may."""
    try:
        require_same_cosines(Path("runs/x"), before, now, done)
    except ValueError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("rate", ["cosine", {"shape": "cosine", "end": 0.1}])
@pytest.mark.parametrize(("first", "second"), [(10, 20), (10, 9), (11, 10), (9, 10)])
def test_a_cosine_that_has_begun_keeps_its_place_and_length(first: int, second: int, rate: Any) -> None:
    for done in (11, 15, 20):
        sentence = told(settings(10, 10, rate), settings(first, second, rate), done)
        assert re.search(r"phase 'b' is on its cosine already, .* had 10 batches until now", sentence)


@pytest.mark.parametrize("done", [0, 5, 10])
def test_one_that_has_not_begun_may_change(done: int) -> None:
    assert told(settings(10, 10), settings(10, 30), done) == ""
    assert told(settings(10, 10), settings(20, 30), done) == ""


def test_a_shorter_phase_before_it_may_not_let_it_begin_in_the_past() -> None:
    assert told(settings(10, 10), settings(5, 10), 5) == ""
    sentence = told(settings(10, 10), settings(4, 10), 5)
    assert re.search(r"phase 'b' is on its cosine already, .* but 'a' had 10 batches", sentence)


@pytest.mark.parametrize("rate", ["constant", "plateau", {"shape": "steps", "at": [3]}])
def test_other_shapes_do_not_depend_on_the_length(rate: Any) -> None:
    assert told(settings(10, 10, rate), settings(10, 30, rate), 15) == ""


@pytest.mark.parametrize(
    "model", [{}, {"schedule": None}, {"schedule": {"stages": [1]}}, {"schedule": {"phases": [1]}}]
)
def test_a_schedule_of_another_kind_is_let_through(model: dict[str, Any]) -> None:
    assert told({"model": model}, {"model": model}, 5) == ""
