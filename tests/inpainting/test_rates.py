"""Laws of the learning rate over a phase; torch's schedulers are the independent reference."""

import json
import math
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra.errors import InstantiationException
from rich.console import Console
from torch.optim import SGD, lr_scheduler

from inpaintlab.inpainting import Schedule, Steps
from inpaintlab.inpainting.rates import Plateau
from inpaintlab.training.terminal import ProgressBar, print_plan
from stand_ins.building import Builder, Watch, compose_train, fit
from stand_ins.commands import PHASES

SHAPES: list[Any] = [
    "constant",
    "cosine",
    {"shape": "cosine", "end": 0.01},
    {"shape": "steps", "at": [3, 8], "factor": 0.5},
    {"shape": "plateau", "window": 2, "patience": 4, "factor": 0.5, "end": 0.05},
]


def schedule(rate: Any, batches: int = 12, **settings: Any) -> Schedule:
    return Schedule({"a": {"batches": batches, "rate": rate, **settings}})


def rates(of: Schedule, losses: Callable[[int], float] = lambda batch: 1.0, peak: float = 0.1) -> list[float]:
    """The rate of each batch to the end; ``losses`` gives the loss of a batch of the run."""
    found = []
    while not of.finished:
        found.append(of.rate(peak))
        if (rule := of.rule(peak)) is not None:
            rule.see(torch.tensor([losses(of.iteration), 1.0], dtype=torch.float64), 1)
        of.advance()
    return found


def theirs(make: Callable[[SGD], Any], batches: int, peak: float = 0.1) -> list[float]:
    """The rates that a scheduler of torch gives a step each."""
    optimizer = SGD([torch.zeros(1, requires_grad=True)], lr=peak)
    scheduler, found = make(optimizer), []
    for _ in range(batches):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return found


# -------------------------------------------------------------------------------------------------------------- shapes


def test_a_constant_rate_stays() -> None:
    assert rates(schedule("constant", 5)) == [0.1] * 5


def test_a_cosine_by_hand() -> None:
    # (1 + cos(pi t / 4)) / 2 for t = 0 .. 3
    found = rates(schedule({"shape": "cosine", "end": 0.02}, 4))
    assert found == pytest.approx([0.1, 0.02 + 0.08 * 0.8535534, 0.06, 0.02 + 0.08 * 0.1464466])


def test_a_cosine_is_torchs() -> None:
    ours = rates(schedule({"shape": "cosine", "end": 0.02}, 50))
    assert ours == pytest.approx(theirs(lambda o: lr_scheduler.CosineAnnealingLR(o, 50, eta_min=0.02), 50))


def test_steps_by_hand_and_as_torch_has_them() -> None:
    ours = rates(schedule({"shape": "steps", "at": [2, 5]}, 7))
    assert ours == pytest.approx([0.1, 0.1, 0.01, 0.01, 0.01, 0.001, 0.001])
    assert ours == pytest.approx(theirs(lambda o: lr_scheduler.MultiStepLR(o, [2, 5]), 7))


def test_a_warm_up_by_hand_and_as_torch_has_it() -> None:
    ours = rates(schedule("constant", 6, warm_up=4))
    assert ours == pytest.approx([0.025, 0.05, 0.075, 0.1, 0.1, 0.1])
    assert ours == pytest.approx(theirs(lambda o: lr_scheduler.LinearLR(o, 1 / 4, total_iters=3), 6))


def test_a_cosine_begins_where_the_warm_up_ends_as_in_torchs_sequence() -> None:
    def sequence(optimizer: SGD) -> Any:
        parts = [lr_scheduler.LinearLR(optimizer, 1 / 5, total_iters=4), lr_scheduler.CosineAnnealingLR(optimizer, 15)]
        return lr_scheduler.SequentialLR(optimizer, parts, milestones=[5])

    assert rates(schedule("cosine", 20, warm_up=5)) == pytest.approx(theirs(sequence, 20))


def test_steps_are_counted_from_the_beginning_of_the_phase() -> None:
    assert rates(schedule({"shape": "steps", "at": [3]}, 5, warm_up=2)) == pytest.approx([0.05, 0.1, 0.1, 0.01, 0.01])


@pytest.mark.parametrize("rate", SHAPES, ids=json.dumps)
def test_each_phase_begins_anew_with_its_own_rate(rate: Any) -> None:
    both = Schedule(
        {
            "a": {"batches": 12, "rate": rate, "warm_up": 3},
            "none": {"batches": 0, "rate": "cosine"},
            "b": {"batches": 12, "rate": rate, "warm_up": 3, "learning_rate": 0.2},
        }
    )
    one, other = schedule(rate, warm_up=3), schedule(rate, warm_up=3, learning_rate=0.2)
    assert rates(both) == rates(one) + rates(other)


@pytest.mark.parametrize("warm_up", [12, 100])
@pytest.mark.parametrize("rate", SHAPES, ids=json.dumps)
def test_a_phase_may_end_in_its_warm_up(rate: Any, warm_up: int) -> None:
    assert rates(schedule(rate, warm_up=warm_up)) == pytest.approx([0.1 * (n + 1) / warm_up for n in range(12)])


# ------------------------------------------------------------------------------------------------------------- plateau

FALLING = [8.0, 7.9, 5.0, 5.2, 4.96, 6.0, 4.9, 4.97, 4.99, 4.7, 4.7, 4.71, 4.69, 4.72, 4.7, 3.0, 3.0, 3.1, 2.9, 3.0]


@pytest.mark.parametrize("patience", [1, 2, 3])
def test_a_plateau_is_torchs_on_the_means_of_windows(patience: int) -> None:
    window = 4
    rule = {"shape": "plateau", "window": window, "patience": patience * window, "factor": 0.5, "end": 0.01}
    ours = rates(schedule(rule, window * len(FALLING)), lambda batch: FALLING[batch // window] + (batch % 2) - 0.5)

    optimizer = SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    # theirs lowers the rate when the number of bad means is more than patience, ours when it is reached
    scheduler = lr_scheduler.ReduceLROnPlateau(
        optimizer, factor=0.5, patience=patience - 1, threshold=0.01, min_lr=0.01, eps=0
    )
    expected = []
    for mean in FALLING:
        expected += [optimizer.param_groups[0]["lr"]] * window
        scheduler.step(mean)
    assert len(set(ours)) > 1
    assert ours == pytest.approx(expected)


def test_the_rule_of_the_paper_lowers_the_rate_once() -> None:
    rule = {"shape": "plateau", "end": 1e-5, "window": 1, "patience": 3}
    assert rates(schedule(rule, 12), peak=1e-4) == pytest.approx([1e-4] * 4 + [1e-5] * 8)


def test_once_it_is_at_its_end_nothing_is_watched() -> None:
    of = schedule({"shape": "plateau", "end": 1e-5, "window": 1, "patience": 3}, 12)
    rates(of, peak=1e-4)
    assert of.plateaus == 1
    assert of.rule(1e-4) is None


def test_losses_that_rise_are_a_plateau() -> None:
    found = rates(schedule({"shape": "plateau", "window": 1, "patience": 3}, 6), lambda batch: 1.0 + batch)
    assert found == pytest.approx([0.1] * 4 + [0.01] * 2)


def test_a_negative_loss_has_to_fall_by_a_share_of_its_size() -> None:
    """A hinge generator's loss is negative; torch's `rel` would take -0.995 for better than -1."""
    rule = {"shape": "plateau", "window": 1, "patience": 3}
    assert rates(schedule(rule, 6), lambda batch: -1.0 + batch * 1e-3)[-1] == pytest.approx(0.01)
    assert rates(schedule(rule, 6), lambda batch: -1.0 - batch * 0.1)[-1] == 0.1


def test_the_warm_up_is_not_watched() -> None:
    found = rates(schedule({"shape": "plateau", "window": 1, "patience": 3}, 9, warm_up=3))
    assert found[3:] == pytest.approx([0.1] * 4 + [0.01] * 2)


def test_a_window_of_losses_that_are_not_finite_is_no_better_one() -> None:
    rule = Plateau(window=2, patience=4)
    for count in (1.0, 0.0, 0.0):  # of the first window one loss is finite, of the others none
        rule.see(torch.tensor([count, count]), 1)
        rule.see(torch.tensor([0.0, 0.0]), 1)
    assert (rule.seen.best, rule.seen.plateaus) == (1.0, 1)


# -------------------------------------------------------------------------------------------------------------- resume


@pytest.mark.parametrize("stop", [1, 3, 5, 7, 11])
@pytest.mark.parametrize("rate", SHAPES, ids=json.dumps)
def test_a_resumed_run_has_the_rates_of_an_unbroken_one(rate: Any, stop: int, tmp_path: Path) -> None:
    def losses(batch: int) -> float:
        return 1 / 3 + math.sin(batch)

    def made() -> Schedule:
        return Schedule({name: {"batches": 12, "rate": rate, "warm_up": 2} for name in ("a", "b")})

    whole = rates(made(), losses)
    first, second = made(), made()
    found = []
    for _ in range(12 + stop):
        found.append(first.rate(0.1))
        if (rule := first.rule(0.1)) is not None:
            rule.see(torch.tensor([losses(first.iteration), 1.0], dtype=torch.float64), 1)
        first.advance()
    torch.save(first.state_dict(), tmp_path / "schedule.pt")
    second.load_state_dict(torch.load(tmp_path / "schedule.pt", weights_only=True))
    assert found + rates(second, losses) == whole
    assert (len(set(whole)) > 1) == (rate is not None)


def test_a_longer_phase_goes_on_after_the_plateaus_of_before() -> None:
    rule = {"shape": "plateau", "window": 1, "patience": 3, "end": 0.01}
    short, longer = schedule(rule, 6), schedule(rule, 8)
    rates(short)
    longer.load_state_dict(short.state_dict())
    assert rates(longer) == pytest.approx([0.01, 0.01])


# ---------------------------------------------------------------------------------------------------------- in a model


def lengths(name: str, **batches: int) -> list[str]:
    return [f"model.schedule.phases.{phase}.batches={batches.get(phase, 0)}" for phase in PHASES[name]]


@pytest.mark.parametrize("accumulate", [1, 2])
def test_the_optimizers_get_the_rates_of_the_batches_that_step(built: Builder, accumulate: int) -> None:
    settings = ["model.schedule.phases.inpaint.rate={shape:cosine,end:1e-6}", "model.schedule.phases.inpaint.warm_up=2"]
    model = built("edgeconnect", *lengths("edgeconnect", inpaint=6), *settings, steps=Steps(accumulate=accumulate))
    watch = Watch(["inpaint_generator", "inpaint_discriminator"])
    fit(model, watch)
    expected = rates(schedule({"shape": "cosine", "end": 1e-6}, 6, warm_up=2), peak=1e-4)
    seen = [batch.rates for batch in watch.batches][accumulate - 1 :: accumulate]
    assert [rate[2] for rate in seen] == expected[accumulate - 1 :: accumulate]
    assert [rate[3] for rate in seen] == pytest.approx([rate / 10 for rate in expected[accumulate - 1 :: accumulate]])


@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_plateau_watches_what_the_generator_descends(built: Builder, accumulate: int) -> None:
    rule = "model.schedule.phases.joint.rate={shape:plateau,window:4,patience:100}"
    model = built("glcic", *lengths("glcic", joint=4), rule, steps=Steps(accumulate=accumulate))
    watch = Watch(["completion", "discriminator"])
    fit(model, watch)
    sums = [batch.losses["reconstruction"] + 4e-4 * batch.losses["adversarial"] for batch in watch.batches]
    assert model.schedule.phases[2].shape.seen.best == pytest.approx(sum(sums) / 4)


def test_a_line_says_when_the_rate_is_lowered(built: Builder) -> None:
    """Not at the end of the phase, whose rate nobody trains with any more."""
    rule = "model.schedule.phases.completion.rate={shape:plateau,window:1,patience:2,threshold:0.99,factor:0.5}"
    model = built("glcic", *lengths("glcic", completion=5, joint=1), rule)
    with (console := Console(width=200)).capture() as captured:
        fit(model, ProgressBar(console))
    told = [line for line in captured.get().splitlines() if "plateau" in line]
    assert told == ["a plateau of the losses: the learning rate is 0.5 after batch 3"]
    assert model.schedule.plateaus == 2


def test_where_no_generator_learns_a_plateau_watches_the_discriminator(built: Builder) -> None:
    rule = "model.schedule.phases.discriminator.rate={shape:plateau,window:2,patience:100}"
    model, watch = built("glcic", *lengths("glcic", discriminator=2), rule), Watch(["completion", "discriminator"])
    fit(model, watch)
    sums = [sum(batch.losses.values()) for batch in watch.batches]
    assert model.schedule.phases[1].shape.seen.best == pytest.approx(sum(sums) / 2)


def test_the_processes_of_a_run_agree_on_a_plateau(built: Builder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each has losses of its own; with the sums of all, one process does what the other does."""
    model = built("glcic", *lengths("glcic", joint=1), "model.schedule.phases.joint.rate={shape:plateau,window:1}")
    others = torch.tensor([5.0, 1.0], dtype=torch.float64)
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "all_reduce", lambda tensor: tensor.add_(others))
    model.descents = [(False, torch.tensor(100.0)), (True, torch.tensor(2.0))]
    model._look_for_plateau()
    assert model.schedule.phases[2].shape.seen.best == (2 + 5) / 2
    assert model.descents == []


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ([], "1"),
        (["model.schedule.phases.joint.rate=cosine"], "1, cosine to 0"),
        (["model.schedule.phases.joint.warm_up=1000"], "1, warm-up 1,000"),
        (
            [
                "model.schedule.phases.joint.learning_rate=1e-4",
                "model.schedule.phases.joint.warm_up=1000",
                "model.schedule.phases.joint.rate={shape:cosine,end:1e-6}",
            ],
            "0.0001, cosine to 1e-06, warm-up 1,000",
        ),
        (["model.schedule.phases.joint.rate={shape:steps,at:[10,2000]}"], "1, x 0.1 after 10, 2,000 batches"),
        (
            ["model.schedule.phases.joint.rate={shape:plateau,end:1e-5,patience:5000}"],
            "1, x 0.1 at a plateau of 5,000 batches, down to 1e-05",
        ),
    ],
)
def test_the_plan_says_what_the_rate_will_be(built: Builder, settings: list[str], told: str) -> None:
    model = built("glcic", *lengths("glcic", joint=3), *settings)
    with (console := Console(width=200)).capture() as captured:
        print_plan(console, model, {}, 1)
    row = next(line for line in captured.get().splitlines() if "joint" in line)
    assert row.split("│")[-2].strip() == told


def test_the_papers_preset_says_its_rule() -> None:
    phases = compose_train("model=edgeconnect_paper").model.schedule.phases
    of = Schedule(phases)
    assert [phase.in_words(of.peak_of(phase, 1e-4)) for phase in of.phases] == [
        "0.0001, x 0.1 at a plateau of 50,000 batches, down to 1e-05",
        "0.0001, x 0.1 at a plateau of 50,000 batches, down to 1e-05",
        "0.0001",
        "1e-06",
    ]


# ---------------------------------------------------------------------------------------------------------- wrong ones


@pytest.mark.parametrize(
    ("rate", "told"),
    [
        ("cosin", r"has the shape 'cosin'; it can be constant, cosine, steps, plateau.*Did you mean 'cosine'\?"),
        (None, "has the shape None"),
        (0.1, r"has the shape 0\.1"),
        ({"end": 1e-6}, "has the shape None"),
        ({"shape": "cosine", "ends": 1e-6}, "has 'ends', but cosine takes end .*Did you mean 'end'"),
        ({"shape": "cosine", "warm_up": 5}, "has 'warm_up', but cosine takes end"),
        ({"shape": "constant", "end": 1e-6}, "has 'end', but constant takes no settings"),
        ({"shape": "cosine", "end": -1.0}, r"has the end -1\.0"),
        ({"shape": "cosine", "end": "low"}, "has the end 'low'"),
        ({"shape": "cosine", "end": math.nan}, "has the end nan"),
        ({"shape": "plateau", "end": math.inf}, "has the end inf"),
        ("steps", "is steps without 'at'; give a list of rising numbers"),
        ({"shape": "steps", "at": 1000}, "has the at 1000; give a list"),
        ({"shape": "steps", "at": "1000"}, "has the at '1000'; give a list"),
        ({"shape": "steps", "at": []}, "has the at"),
        ({"shape": "steps", "at": [2, 1]}, "has the at"),
        ({"shape": "steps", "at": [1, 1]}, "has the at"),
        ({"shape": "steps", "at": [0, 1]}, "has the at"),
        ({"shape": "steps", "at": [1.5]}, "has the at"),
        ({"shape": "steps", "at": ["a", 1]}, "has the at"),
        ({"shape": "steps", "at": [1], "factor": 1.0}, "has the factor"),
        ({"shape": "plateau", "factor": True}, "has the factor"),
        ({"shape": "plateau", "window": 0}, "has the window 0"),
        ({"shape": "plateau", "patience": 1.5}, "has the patience"),
        ({"shape": "plateau", "threshold": 1}, "has the threshold"),
        ({"shape": "plateau", "seen": {}}, "has 'seen', but plateau takes factor, end, window, patience, threshold"),
    ],
)
def test_a_wrong_rate_is_one_sentence_that_names_the_phase(rate: Any, told: str) -> None:
    with pytest.raises(ValueError, match=f"^The rate of phase 'a' {told}"):
        schedule(rate)


@pytest.mark.parametrize("warm_up", [-1, 1.5, True, "1000", None])
def test_a_wrong_warm_up_is_told(warm_up: Any) -> None:
    with pytest.raises(ValueError, match="Phase 'a' has the warm_up"):
        schedule("constant", warm_up=warm_up)


@pytest.mark.parametrize("rate", [math.nan, math.inf, "1e-4", True])
def test_a_learning_rate_that_is_no_positive_number_is_told(rate: Any) -> None:
    with pytest.raises(ValueError, match="Phase 'a' has the learning rate"):
        schedule("constant", learning_rate=rate)


def test_an_end_above_the_learning_rate_is_told(built: Builder) -> None:
    told = r"Phase 'joint' has the learning rate 0\.0001 and would end at 0\.001"
    with pytest.raises(InstantiationException, match=told):
        built("edgeconnect", "model.schedule.phases.joint.rate={shape:cosine,end:1e-3}")


def test_no_shape_raises_a_rate() -> None:
    for rate in SHAPES:
        found = rates(schedule(rate), math.sin)
        assert all(before >= after > 0 for before, after in pairwise(found))
