"""The callbacks of a training are called in an order that their reasons ask for."""

from pathlib import Path

import pytest
from rich.console import Console

from inpaintlab.inpainting import Compiling
from inpaintlab.machine import Request
from inpaintlab.recipes import plain
from inpaintlab.survival import Checkpoints, Journal, Preemption
from inpaintlab.training.averaging import Averaging
from inpaintlab.training.callbacks import callbacks
from inpaintlab.training.health import Health
from inpaintlab.training.logbook import Logbook, OtherCallbacksDone
from inpaintlab.training.non_finite import NonFiniteBatches
from inpaintlab.training.panels import Panels
from inpaintlab.training.terminal import ProgressBar
from inpaintlab.training.validation import MissedValidation, Validation
from stand_ins.building import Composer

LOOKING = (Logbook, Validation, Checkpoints, Journal, Panels, Health, ProgressBar, Preemption)
"""What keeps, shows or judges what a step left."""


@pytest.fixture
def order(composed: Composer, tmp_path: Path) -> list[type]:
    settings = plain(composed("data=toy", "trainer=cpu"))
    chosen = {"scaling": [], "compiled": True, "missed_validation": True}
    return [type(each) for each in callbacks(settings, tmp_path, Console(quiet=True), Request(), **chosen)]


def comes_before(order: list[type], first: type, *others: type) -> bool:
    return all(order.index(first) < order.index(other) for other in others)


def test_a_step_is_taken_back_and_averaged_before_anything_looks_at_it(order: list[type]) -> None:
    assert comes_before(order, NonFiniteBatches, Averaging, *LOOKING)
    assert comes_before(order, Averaging, Compiling, *LOOKING)


def test_the_time_of_a_step_is_taken_around_it_alone(order: list[type]) -> None:
    assert comes_before(order, Logbook, *(kind for kind in LOOKING if kind is not Logbook), OtherCallbacksDone)
    assert comes_before(order, Preemption, OtherCallbacksDone)


def test_scores_are_there_before_the_checkpoint_that_they_choose_and_the_journal_that_tells_of_it(
    order: list[type],
) -> None:
    assert comes_before(order, Validation, Checkpoints)
    assert comes_before(order, Checkpoints, Journal, Preemption)


def test_a_validation_that_is_made_up_for_is_seen_by_all(order: list[type]) -> None:
    assert order[-1] is MissedValidation


def test_without_compilation_and_debts_there_are_no_callbacks_for_them(composed: Composer, tmp_path: Path) -> None:
    settings = plain(composed("data=toy", "trainer=cpu"))
    chosen = {"scaling": [], "compiled": False, "missed_validation": False}
    kinds = {type(each) for each in callbacks(settings, tmp_path, Console(quiet=True), Request(), **chosen)}
    assert not kinds & {Compiling, MissedValidation}
