"""Laws of the phases of a training run."""

from pathlib import Path

import pytest
import torch

from inpaintlab.inpainting import Schedule
from inpaintlab.inpainting.schedule import Phase

GLCIC = {"completion": {"batches": 90_000}, "discriminator": {"batches": 10_000}, "joint": {"batches": 400_000}}


def at(schedule: Schedule, iteration: int) -> str:
    schedule.iteration = iteration
    return schedule.phase.name


@pytest.mark.parametrize(
    ("iteration", "phase"),
    [
        (0, "completion"),
        (89_999, "completion"),
        (90_000, "discriminator"),
        (99_999, "discriminator"),
        (100_000, "joint"),
        (499_999, "joint"),
    ],
)
def test_glcics_phases_change_at_the_papers_batches(iteration: int, phase: str) -> None:
    assert at(Schedule(GLCIC), iteration) == phase


def test_the_run_ends_when_its_last_phase_ends() -> None:
    schedule = Schedule(GLCIC)
    assert schedule.total == 500_000
    schedule.iteration = 499_999
    assert not schedule.finished
    schedule.advance()
    assert schedule.finished
    assert schedule.phase.name == "joint"


def test_a_phase_of_zero_batches_is_skipped() -> None:
    schedule = Schedule({"a": {"batches": 0}, "b": {"batches": 2}, "c": {"batches": 0}, "d": {"batches": 1}})
    assert [at(schedule, i) for i in range(3)] == ["b", "b", "d"]


def test_after_the_end_the_phase_is_the_last_one_that_ran() -> None:
    schedule = Schedule({"a": {"batches": 2}, "b": {"batches": 0}})
    assert at(schedule, 2) == "a"


def test_a_phase_may_have_its_own_learning_rate() -> None:
    schedule = Schedule({"a": {"batches": 1}, "b": {"batches": 1, "learning_rate": 1e-5}})
    assert schedule.phase == Phase("a", 1, None)
    schedule.advance()
    assert schedule.phase == Phase("b", 1, 1e-5)


def test_the_position_comes_back_from_a_file_of_plain_values(tmp_path: Path) -> None:
    schedule = Schedule(GLCIC)
    for _ in range(7):
        schedule.advance()
    torch.save(schedule.state_dict(), tmp_path / "schedule.pt")

    other = Schedule(GLCIC)
    other.load_state_dict(torch.load(tmp_path / "schedule.pt", weights_only=True))

    assert other.iteration == 7


def test_the_position_may_be_read_by_a_schedule_of_another_length() -> None:
    schedule = Schedule({"a": {"batches": 3}})
    schedule.iteration = 3
    longer = Schedule({"a": {"batches": 5}})
    longer.load_state_dict(schedule.state_dict())
    assert (longer.iteration, longer.finished) == (3, False)


def test_a_negative_length_is_refused() -> None:
    with pytest.raises(ValueError, match="Phase 'a' has -1 batches"):
        Schedule({"a": {"batches": -1}})


@pytest.mark.parametrize("rate", [0.0, -1e-4])
def test_a_learning_rate_that_is_not_positive_is_refused(rate: float) -> None:
    with pytest.raises(ValueError, match="Phase 'a' has the learning rate"):
        Schedule({"a": {"batches": 1, "learning_rate": rate}})


@pytest.mark.parametrize("settings", [{"batchs": 3}, {"batches": 3, "lr": 1e-4}, {}, {"learning_rate": 1e-4}])
def test_unknown_or_missing_settings_of_a_phase_are_refused(settings: dict[str, int | float | None]) -> None:
    with pytest.raises(ValueError, match=r"Phase 'a' has the settings .* it takes 'batches'"):
        Schedule({"a": settings})


@pytest.mark.parametrize("phases", [{}, {"a": {"batches": 0}, "b": {"batches": 0}}])
def test_a_schedule_without_batches_is_refused(phases: dict[str, dict[str, int | float | None]]) -> None:
    with pytest.raises(ValueError, match="nothing to train"):
        Schedule(phases)


def test_a_phase_that_the_model_does_not_know_is_refused_with_those_it_knows() -> None:
    schedule = Schedule({"completion": {"batches": 1}, "warmup": {"batches": 1}})
    with pytest.raises(ValueError, match="unknown phase 'warmup'; this model knows completion, joint"):
        schedule.require(("completion", "joint"))
