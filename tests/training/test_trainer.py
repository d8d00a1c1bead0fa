"""Every flag of Lightning's trainer is heeded, or refused with what to give in its place."""

import inspect
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from lightning import Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.plugins.environments import LightningEnvironment
from lightning.pytorch.profilers import AdvancedProfiler
from lightning.pytorch.strategies import DDPStrategy

from inpaintlab.config import CONF
from inpaintlab.runs import FLAGS, advice, taken
from inpaintlab.runs.flags import OF_OLD
from inpaintlab.training import predicting_trainer, training_trainer
from inpaintlab.training.trainer import flags_explained, profiler_of, seconds_of
from stand_ins.building import compose_train

EVERY = {"validation": 3, "log": 7}
LIGHTNINGS = set(inspect.signature(Trainer.__init__).parameters) - {"self"}


@pytest.fixture(autouse=True)
def torch_as_before() -> Iterator[None]:
    """Lightning sets these for the whole process."""
    yield
    torch.use_deterministic_algorithms(False)
    torch.backends.cudnn.benchmark = False
    torch.autograd.set_detect_anomaly(False)


def trainer(**flags: Any) -> Trainer:
    return training_trainer({"accelerator": "cpu", "devices": 1} | flags, EVERY)


def test_the_table_has_the_flags_of_lightning() -> None:
    assert set(FLAGS) == LIGHTNINGS
    assert not set(OF_OLD) & LIGHTNINGS


@pytest.mark.parametrize("verb", ["train", "evaluate"])
@pytest.mark.parametrize("flag", [*sorted(LIGHTNINGS), *OF_OLD])
def test_a_flag_is_taken_or_refused_with_what_to_give(flag: str, verb: str) -> None:
    told = advice(flag, verb)
    assert (told is None) == (flag in taken(verb))
    build = trainer if verb == "train" else lambda **flags: predicting_trainer({"accelerator": "cpu"} | flags)
    if told is None:
        assert build(**{flag: None})  # null leaves it to Lightning
        return
    assert told.startswith(f"trainer.{flag} is not taken by inpaintlab {verb}: ")
    for value in (None, 1, True):
        with pytest.raises(ValueError, match=told):
            build(**{flag: value})


def test_what_is_advised_is_a_setting() -> None:
    settings = compose_train()
    for setting in ("every.validation", "every.checkpoint", "every.log", "validation_images", "accumulate", "runs"):
        assert any(f"{setting}=" in str(advice(flag)) for flag in LIGHTNINGS), setting
        node: Any = settings
        for key in setting.split("."):
            node = node[key]
    assert "clip_gradients" in settings
    for choice in ("fdr", "limit", "overfit", "profiler"):
        assert any(f"debug={choice}" in str(advice(flag, verb)) for flag in FLAGS for verb in ("train", "evaluate"))
        assert (CONF / f"debug/{choice}.yaml").is_file()


def test_an_unknown_flag_is_met_with_the_nearest() -> None:
    with pytest.raises(ValueError, match=r"trainer\.max_epoch is no flag .* Did you mean 'max_epochs'\?"):
        trainer(max_epoch=3)


def test_flags_are_heeded() -> None:
    assert trainer(deterministic="warn")
    assert torch.is_deterministic_algorithms_warn_only_enabled()
    built = trainer(benchmark=True, detect_anomaly=True, inference_mode=False)
    assert torch.backends.cudnn.benchmark
    assert built._detect_anomaly  # type: ignore[attr-defined]
    assert not built.fit_loop.epoch_loop.val_loop.inference_mode
    made = {"_target_": "lightning.pytorch.profilers.AdvancedProfiler", "line_count_restriction": 0.5}
    assert isinstance(profiler_of(trainer(profiler=made)), AdvancedProfiler)
    environment = {"_target_": "lightning.pytorch.plugins.environments.LightningEnvironment"}
    for plugins in (environment, [environment]):
        found = trainer(plugins=plugins, devices=2).strategy.cluster_environment
        assert isinstance(found, LightningEnvironment)


def test_the_whole_schedule_is_one_epoch_that_no_callback_ends() -> None:
    built: Any = trainer()
    assert (built.max_epochs, built.min_epochs, built.max_steps) == (1, 1, -1)
    assert (built.val_check_interval, built.check_val_every_n_epoch, built.log_every_n_steps) == (3, None, 7)
    assert not built.fit_loop._can_stop_early
    assert built.checkpoint_callbacks == []
    assert built.callbacks == []  # not even a timer: `max_time` is Preemption's


def test_lightnings_checkpoints_may_stand_beside_ours() -> None:
    kept = ModelCheckpoint(monitor="val/psnr_rgb")
    assert training_trainer({"accelerator": "cpu"}, EVERY, [kept]).checkpoint_callbacks == [kept]  # type: ignore[attr-defined]


@pytest.mark.parametrize("flags", [{"devices": 2}, {"devices": 2, "strategy": "ddp"}])
def test_several_devices_train_networks_that_rest_in_a_phase(flags: dict[str, Any]) -> None:
    strategy = trainer(**flags).strategy
    assert isinstance(strategy, DDPStrategy)
    assert strategy._ddp_kwargs["find_unused_parameters"] is True
    with pytest.raises(ValueError, match="networks rest"):
        trainer(devices=2, strategy="ddp_find_unused_parameters_false")


PRECISION = {"_target_": "lightning.pytorch.plugins.DoublePrecision"}
WRITER = {"_target_": "lightning.pytorch.plugins.TorchCheckpointIO"}


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        ({"accelerator": "tpu"}, "trainer.accelerator=tpu"),
        ({"accelerator": "gpu"}, "No supported gpu backend found"),
        ({"accelerator": "abacus"}, "Available names are"),
        ({"devices": 0}, "trainer.devices=0"),
        ({"devices": "x"}, "trainer.devices=x"),
        ({"devices": [0, 1]}, "trainer.devices=.0, 1."),
        ({"num_nodes": -1}, "must be a positive integer"),
        ({"num_nodes": 0}, "started by neither"),
        ({"num_nodes": 2}, "started by neither"),
        ({"strategy": "horovod"}, "trainer.strategy=horovod"),
        ({"strategy": "fsdp"}, "give trainer=ddp"),
        ({"strategy": {"_target_": "lightning.pytorch.strategies.ModelParallelStrategy"}}, "give trainer=ddp"),
        ({"plugins": "nonsense"}, "nonsense"),
        ({"plugins": [PRECISION]}, "group precision"),
        ({"plugins": WRITER}, "whole or not at all"),
        ({"profiler": "perf"}, "'simple' or 'advanced' or 'pytorch'"),
        ({"profiler": True}, "'simple' or 'advanced' or 'pytorch'"),
        ({"deterministic": "no"}, "'true' or 'false' or 'warn'"),
        ({"benchmark": "maybe"}, "true or false"),
        ({"detect_anomaly": "x"}, "true or false"),
        ({"inference_mode": 0}, "true or false"),
        ({"sync_batchnorm": "yes"}, "true or false"),
        ({"max_time": "01:00"}, "00:02:30:00"),
    ],
    ids=str,
)
def test_a_value_that_cannot_be_is_told_in_a_sentence(flags: dict[str, Any], told: str) -> None:
    if "gpu" in flags.values() and torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(ValueError, match=told) as refused:
        trainer(**flags)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("time", "seconds"),
    [
        (None, None),
        ("00:00:00:05", 5.0),
        ("01:02:03:04", 93784.0),  # 86,400 + 7,200 + 180 + 4
        ({"hours": 1, "minutes": 30}, 5400.0),
    ],
)
def test_a_time_is_read_as_lightning_reads_it(time: Any, seconds: float | None) -> None:
    assert seconds_of(time) == seconds


@pytest.mark.parametrize("time", ["5", 5, "00:00:00:00", {"moons": 1}, {"hours": "x"}, {"hours": -1}, True, [1]])
def test_what_is_no_time_is_refused(time: Any) -> None:
    with pytest.raises(ValueError, match=r"trainer\.max_time is"):
        seconds_of(time)


@pytest.mark.parametrize(
    ("flags", "reason", "told"),
    [
        ({"deterministic": True}, "pad_backward does not have a deterministic implementation", "deterministic=warn"),
        ({"detect_anomaly": True}, "Function 'PowBackward0' returned nan values in its 0th output.", "PowBackward0"),
    ],
)
def test_what_a_flag_was_given_to_find_is_told_in_a_sentence(flags: dict[str, Any], reason: str, told: str) -> None:
    with pytest.raises(ValueError, match=told), flags_explained(flags):
        raise RuntimeError(reason)
    with pytest.raises(RuntimeError, match=r"pad|Pow"), flags_explained({}):
        raise RuntimeError(reason)
