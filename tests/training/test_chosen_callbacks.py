"""Callbacks of the setting `callbacks`: those that can work do, all others are refused before anything starts."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Callback
from lightning.pytorch import callbacks as lightning_callbacks

from inpaintlab.inpainting import load_checkpoint
from inpaintlab.recipes import plain
from inpaintlab.runs import identity_of, training_record
from inpaintlab.survival import Checkpoints, Kept, SavingStates
from inpaintlab.training.chosen import chosen_callbacks, require_callbacks
from stand_ins.building import Composer
from stand_ins.callbacks import Counting
from stand_ins.commands import checkpoint, run_here, same_weights, tiny

THERE = "lightning.pytorch.callbacks."


def made(composed: Composer, *overrides: str) -> list[Any]:
    settings = plain(composed("data=toy", "trainer=cpu", *overrides))
    require_callbacks(settings)
    kept, others = chosen_callbacks(settings, Path("a"), Checkpoints(Path("a"), 1, 1, "val/psnr_rgb", True))
    return [*kept, *others]


MAKES = {
    "ModelCheckpoint": ("callbacks=checkpoints",),
    "OnExceptionCheckpoint": ("callbacks=checkpoints", "dirpath=x"),
    "Checkpoint": ("callbacks=checkpoints",),
    "StochasticWeightAveraging": ("average=", "swa_lrs=0.1"),
    "WeightAveraging": ("average=",),
    "EMAWeightAveraging": ("average=",),
    "GradientAccumulationScheduler": ("accumulate=", "scheduling={0:2}"),
    "ProgressBar": ("the terminal has one",),
    "RichProgressBar": ("the terminal has one",),
    "TQDMProgressBar": ("the terminal has one",),
    "ModelSummary": ("the plan",),
    "RichModelSummary": ("the plan",),
    "BatchSizeFinder": ("data.batch_size=",),
    "LearningRateFinder": ("model.learning_rate=",),
    "BaseFinetuning": ("model.schedule.phases",),
    "BackboneFinetuning": ("model.schedule.phases",),
    "ModelPruning": ("no recipe describes", "pruning_fn=l1_unstructured"),
    "BasePredictionWriter": ("inpaintlab complete",),
    "SpikeDetection": ("skip_broken=",),
    "ThroughputMonitor": ("speed/images_per_second", "batch_size_fn={_target_:builtins.len,_partial_:true}"),
    "Callback": (None,),
    "EarlyStopping": (None, "monitor=val/mae"),
    "LambdaCallback": (None,),
    "LearningRateMonitor": (None,),
    "Timer": (None, "duration=00:01:00:00"),
    "DeviceStatsMonitor": (None, "cpu_stats=false"),
}
"""Every callback of Lightning's: what its refusal names, None if it works; and the settings that it needs."""


def test_every_callback_of_lightnings_is_decided() -> None:
    assert set(MAKES) == set(lightning_callbacks.__all__)


@pytest.mark.parametrize("name", MAKES)
def test_a_callback_of_lightnings_works_or_is_refused_with_what_to_use(composed: Composer, name: str) -> None:
    named, *settings = MAKES[name]
    told = [f"+callbacks.mine.{setting}" for setting in (f"_target_={THERE}{name}", *settings)]
    if named is None:
        assert type(made(composed, *told)[0]) is getattr(lightning_callbacks, name)
        return
    with pytest.raises(ValueError, match=rf"callbacks.mine: {name} cannot be used here: .*{named}"):
        made(composed, *told)


class OwnProgress(lightning_callbacks.RichProgressBar):
    """A user's own bar."""


class Odd(Callback):
    """A callback whose state no checkpoint can hold."""

    def state_dict(self) -> dict[str, Any]:
        return {"since": Path("a")}


class Weighty(Callback):
    """A callback that keeps a tensor."""

    def state_dict(self) -> dict[str, Any]:
        return {"sum": torch.ones(2)}


HERE = f"+callbacks.mine._target_={__name__}"


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        ([f"{HERE}.OwnProgress"], "callbacks.mine: OwnProgress cannot be used here"),
        ([f"{HERE}.Odd"], "The state of the callback Odd holds a .*Path.* let its state_dict give plain values"),
        (["+callbacks.mine._target_=torch.nn.ReLU"], "callbacks.mine is .*ReLU: no callback of Lightning"),
        ([f"{HERE}.Odd", "+callbacks.mine._partial_=true"], "with _partial_, which makes none of it: no callback"),
        (["+callbacks.mine=my.Callback"], "callbacks.mine names no class"),
        (["+callbacks.mine=[]"], "callbacks.mine names no class"),
        ([f"+callbacks.mine._target_=pytorch_lightning.callbacks.{'Timer'}"], "name the class lightning.pytorch.call"),
        ([f"{HERE}.Weighty", f"+callbacks.too._target_={__name__}.Weighty"], "Two callbacks would keep their states"),
        (["callbacks=early_stopping", "callbacks.early_stopping.patience=0"], "early_stopping.patience is 0"),
        (["callbacks=early_stopping", "callbacks.early_stopping.min_delta=-1"], "early_stopping.min_delta is -1"),
        (["callbacks=checkpoints", "callbacks.checkpoints.every=3", "accumulate=2"], "no multiple of accumulate=2"),
        (["callbacks=checkpoints", "+callbacks.checkpoints.most=3"], "unexpected keyword argument 'most'"),
        (
            [f"+callbacks.mine._target_={THERE}EarlyStopping", "+callbacks.mine.monitor=val/loss"],
            "callbacks.mine.monitor is 'val/loss', which validation does not give; it gives val/mae, ",
        ),
        (
            [
                f"+callbacks.mine._target_={THERE}EarlyStopping",
                "+callbacks.mine.monitor=val/mae",
                "+callbacks.mine.check_on_train_epoch_end=true",
            ],
            "check_on_train_epoch_end would look at the end alone",
        ),
    ],
)
def test_what_cannot_work_is_refused_in_a_sentence(composed: Composer, overrides: list[str], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        made(composed, *overrides)


def test_ours_and_a_users_own_stand_beside_each_other(composed: Composer) -> None:
    found = made(composed, "callbacks=[early_stopping,checkpoints]", f"{HERE}.Weighty")
    assert [type(each) for each in found] == [Kept, lightning_callbacks.EarlyStopping, Weighty]
    assert (found[1].monitor, found[1].mode, found[1].patience) == ("val/psnr_rgb", "max", 10)
    lower = ("monitor.name=val/mae", "monitor.higher_is_better=false", "callbacks=early_stopping")
    (stopping,) = made(composed, *lower)
    assert (stopping.monitor, stopping.mode) == ("val/mae", "min")
    assert made(composed) == []


def test_a_users_own_callback_makes_another_run_and_ours_and_lightnings_do_not(composed: Composer) -> None:
    plainly, watched, own = (
        plain(composed("data=toy", *more))
        for more in ((), ("callbacks=[early_stopping,checkpoints]",), ("callbacks=checkpoints", f"{HERE}.Weighty"))
    )
    assert identity_of(watched) == identity_of(plainly)
    assert identity_of(own) == identity_of(plainly) | {"callbacks": {"mine": {"_target_": f"{__name__}.Weighty"}}}
    lambdas = ("+callbacks.f._target_=lightning.pytorch.callbacks.LambdaCallback", "+callbacks.f.on_fit_end.path=my.f")
    called = plain(composed("data=toy", *lambdas, "+callbacks.f.on_fit_end._target_=hydra.utils.get_method"))
    assert "callbacks" in identity_of(called)
    assert [set(training_record(cfg)["callbacks"]) for cfg in (plainly, watched, own)] == [
        set(),
        {"early_stopping", "checkpoints"},
        {"checkpoints", "mine"},
    ]


def test_the_states_of_callbacks_go_on_exactly_and_a_stopped_run_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that callbacks end twice, once killed between a validation and what keeps its results, as one in one go."""
    own = "+callbacks.mine._target_=stand_ins.callbacks.Counting"
    told = [*tiny("glcic"), "callbacks=[checkpoints,early_stopping]", "callbacks.early_stopping.patience=9", own]
    told += ["callbacks.checkpoints.every=3", "monitor.name=val/mae", "monitor.higher_is_better=false"]
    assert run_here("train", *told, "name=whole", cwd=tmp_path).returncode == 0

    class Killed(BaseException):
        pass

    def kill(*_: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(SavingStates, "on_validation_end", kill)
        with pytest.raises(Killed):
            run_here("train", *told, "name=parts", cwd=tmp_path)
    assert checkpoint(tmp_path / "runs/parts")["callbacks"]["Counting"] == {"count": 2, "scores": []}
    with monkeypatch.context() as patch:  # the validation is repeated; the one after it ends the training
        patch.setattr(Counting.__init__, "__defaults__", (2,))
        run_here("train", *told, "name=parts", cwd=tmp_path)
    stopped = checkpoint(tmp_path / "runs/parts")
    assert (stopped["callbacks"]["Counting"]["count"], len(stopped["callbacks"]["Counting"]["scores"])) == (4, 2)
    done = run_here("train", *told, "name=parts", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    whole, parts = (checkpoint(tmp_path / "runs" / name) for name in ("whole", "parts"))
    assert same_weights(whole, parts)
    key = "EarlyStopping{'monitor': 'val/mae', 'mode': 'min'}"
    assert len(parts["callbacks"]["Counting"]["scores"]) == 3
    for state in ("Counting", key):
        assert whole["callbacks"][state] == parts["callbacks"][state]
    files = [{path.name for path in (tmp_path / "runs" / name / "kept").iterdir()} for name in ("whole", "parts")]
    assert files[0] == files[1]
    assert {"0000003.ckpt", "0000006.ckpt", "kept.json"} < files[0]
    recorded = load_checkpoint(tmp_path / "runs/parts/kept/0000003.ckpt")["inpaintlab"]
    assert recorded["iterations"] == 3
    assert set(recorded["training"]["callbacks"]) == {"checkpoints", "early_stopping", "mine"}
    config = json.loads((tmp_path / "runs/parts/config.json").read_text())
    assert config["callbacks"]["early_stopping"]["patience"] == 9


def test_what_is_no_callback_is_refused_before_a_folder_is_made(tmp_path: Path) -> None:
    for target, told in (
        ("torch.nn.ReLU", "callbacks.mine is torch.nn.modules.activation.ReLU: no callback of Lightning"),
        ("nowhere.Mine", "nowhere"),
        (f"{THERE}EarlyStopping", "monitor"),
    ):
        done = run_here("train", *tiny("glcic", 1), f"+callbacks.mine._target_={target}", "name=a", cwd=tmp_path)
        assert done.returncode == 1
        assert told in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert not (tmp_path / "runs").exists()
