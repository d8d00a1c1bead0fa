"""Lightning's trainer, made of the flags that people set and of those that every training or evaluation has."""

import logging
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from hydra.utils import instantiate
from lightning import Callback, Trainer
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.loggers import Logger
from lightning.pytorch.plugins import CheckpointIO, Precision
from lightning.pytorch.profilers import Profiler
from lightning.pytorch.strategies import DDPStrategy
from rich.console import Console

from inpaintlab.machine import write_texts
from inpaintlab.recipes import in_words, plain, require_flag, require_one_of
from inpaintlab.runs import require_taken
from inpaintlab.survival import require_starter

_PROFILERS = ("simple", "advanced", "pytorch")
_SWITCHES = ("benchmark", "detect_anomaly", "inference_mode", "sync_batchnorm")
_SHARDED = ("fsdp", "deepspeed", "modelparallel")

_QUIET = {
    "enable_progress_bar": False,  # ours stands over the whole schedule
    "enable_model_summary": False,  # the plan tells it
    "use_distributed_sampler": False,  # our own samplers know the ranks
}

_WHOLE_SCHEDULE = {
    "max_epochs": 1,  # an epoch is the whole schedule: the loader ends with its last phase
    "min_epochs": 1,  # so `should_stop` ends no loop: `Preemption` sees it, and ends the run between two steps
    "num_sanity_val_steps": 0,  # validations are counted
    "check_val_every_n_epoch": None,  # count batches
}


def training_trainer(
    flags: Any, every: Mapping[str, int], callbacks: Sequence[Callback] = (), logger: Any = False, **given: Any
) -> Trainer:
    """The trainer of a training.

    Args:
        flags: the settings ``trainer``; those that are null are left to Lightning.
        every: the settings ``every``.
        callbacks: in the order in which they run.
        logger: the loggers, or False for none.
        given: further arguments, which replace those of ``flags``; ``plugins`` are added to them.

    Raises:
        ValueError: a flag is not taken, or Lightning refuses its value.
    """
    fixed = _QUIET | _WHOLE_SCHEDULE | {"val_check_interval": every["validation"], "log_every_n_steps": every["log"]}
    trainer = _built(flags, "train", fixed, callbacks, logger, **given)
    if isinstance(trainer.strategy, DDPStrategy):
        # in a phase some networks rest, so their parameters get no gradient; Lightning's choice for devices=2 lacks it
        resting = trainer.strategy._ddp_kwargs.setdefault("find_unused_parameters", True)
        if resting is not True:
            raise ValueError(
                "trainer.strategy has find_unused_parameters false, but in some phases networks rest, and their "
                "parameters get no gradient: give true, or trainer=ddp."
            )
    return trainer


def predicting_trainer(
    flags: Any, callbacks: Sequence[Callback] = (), logger: list[Logger] | bool = False, **given: Any
) -> Trainer:
    """The trainer of an evaluation; see `training_trainer`."""
    return _built(flags, "evaluate", _QUIET, callbacks, logger, **given)


def _built(
    flags: Any,
    verb: str,
    fixed: Mapping[str, Any],
    callbacks: Sequence[Callback],
    logger: Any,
    **given: Any,
) -> Trainer:
    settings = plain(flags)
    require_taken(settings, verb)
    require_starter(settings.get("num_nodes"))
    require_values(settings)
    chosen = {key: value for key, value in instantiate(settings, _convert_="all").items() if value is not None}
    chosen.pop("max_time", None)  # `Preemption` watches it: Lightning's timer would count the time of all starts
    plugins = _plugins(chosen.pop("plugins", None)) + given.pop("plugins", [])
    arguments = {
        **chosen,
        **given,
        **fixed,
        "callbacks": list(callbacks),
        "logger": logger,
        # ours count batches and not optimizer steps; Lightning's are made where a user asks for them
        "enable_checkpointing": any(isinstance(callback, Checkpoint) for callback in callbacks),
    }
    try:
        return Trainer(**arguments, plugins=plugins or None)
    except (MisconfigurationException, ImportError, RuntimeError, TypeError, ValueError) as error:
        named = ", ".join(f"trainer.{key}={in_words(value)}" for key, value in settings.items() if value is not None)
        raise ValueError(f"Lightning cannot start with {named}: {' '.join(str(error).split())}") from error


def require_values(flags: Mapping[str, Any]) -> None:
    """Check the values that Lightning would take without a word and not heed.

    Raises:
        ValueError: a flag has a value that it cannot have; the message says which it can.
    """
    for name in _SWITCHES:
        if flags.get(name) is not None:
            require_flag(f"trainer.{name}", flags[name])
    if flags.get("deterministic") is not None:
        require_one_of("trainer.deterministic", in_words(flags["deterministic"]).lower(), ("true", "false", "warn"))
    if flags.get("profiler") is not None and not isinstance(flags["profiler"], dict):
        require_one_of("trainer.profiler", in_words(flags["profiler"]), _PROFILERS)
    seconds_of(flags.get("max_time"))
    strategy = str(flags.get("strategy"))
    if any(name in strategy.lower().replace("_", "") for name in _SHARDED):
        raise ValueError(
            f"trainer.strategy is '{strategy}', which divides networks that are too large for one GPU; those here take "
            "under a gigabyte with their optimizers (docs/many_gpus.md): give trainer=ddp."
        )


def seconds_of(max_time: Any) -> float | None:
    """The flag ``max_time`` in seconds; None without a limit.

    Args:
        max_time: DD:HH:MM:SS as Lightning writes it, or a mapping such as ``{hours: 1, minutes: 30}``.

    Raises:
        ValueError: it is something else, or no time at all.
    """
    if max_time is None:
        return None
    seconds = 0.0
    if isinstance(max_time, str) and (match := re.fullmatch(r"(\d+):(\d\d):(\d\d):(\d\d)", max_time.strip())):
        days, hours, minutes, rest = map(int, match.groups())
        seconds = timedelta(days=days, hours=hours, minutes=minutes, seconds=rest).total_seconds()
    elif isinstance(max_time, dict):
        try:
            seconds = timedelta(**max_time).total_seconds()
        except (TypeError, OverflowError):
            seconds = 0.0
    if seconds <= 0:
        raise ValueError(
            f"trainer.max_time is {in_words(max_time)}; give days, hours, minutes and seconds in quotes, as in "
            "\"trainer.max_time='00:02:30:00'\", or trainer.max_time={hours:2,minutes:30}."
        )
    return seconds


def _plugins(plugins: Any) -> list[Any]:
    """The plugins of a user, without those that would be replaced by ours.

    Raises:
        ValueError: there is one of them.
    """
    found = plugins if isinstance(plugins, list) else [] if plugins is None else [plugins]
    for plugin in found:
        if isinstance(plugin, Precision):
            raise ValueError("trainer.plugins has one of precision: give the group precision, as in precision=32-true.")
        if isinstance(plugin, CheckpointIO):
            raise ValueError(
                "trainer.plugins has one that writes checkpoints, but those of a run are written whole or not at all; "
                "leave it out."
            )
    return list(found)


@contextmanager
def flags_explained(flags: Mapping[str, Any]) -> Iterator[None]:
    """Tell in one sentence what a flag stops a training for.

    Raises:
        ValueError: ``deterministic`` or ``detect_anomaly`` has found what it was given to find.
    """
    try:
        yield
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        if flags.get("deterministic") is True and "deterministic" in reason:
            raise ValueError(
                f"trainer.deterministic is true, and torch has no such operation for this step: {reason} Give "
                "trainer.deterministic=warn to go on without."
            ) from error
        if flags.get("detect_anomaly") and "returned nan values" in reason:
            raise ValueError(f"trainer.detect_anomaly found: {reason} What called it stands above.") from error
        raise


def report_profile(trainer: Trainer, folder: Path, console: Console, *, kept: bool = True) -> None:
    """Write what the trainer's profiler has measured, if it has one, and say where; or print it.

    Args:
        trainer: after its training.
        folder: the run's folder; the report is ``profile/report.txt`` in it.
        console: the terminal, quiet in all processes but the first.
        kept: whether the folder stays; if not, the report itself is printed.
    """
    report = profiler_of(trainer).summary()
    if not report or not trainer.is_global_zero:
        return
    if not kept:
        console.print(report, markup=False, highlight=False, soft_wrap=True)
        return
    path = folder / "profile" / "report.txt"
    path.parent.mkdir(exist_ok=True)
    write_texts(path.parent, {path.name: report + "\n"})
    console.print(f"profile: {path}", markup=False, highlight=False, soft_wrap=True)


def profiler_of(trainer: Trainer) -> Profiler:
    """The trainer's profiler, which measures nothing where no flag asks for one."""
    profiler: Profiler = trainer.profiler  # type: ignore[attr-defined]
    return profiler


def quieten() -> None:
    """Hide advice of Lightning and torch that does not apply here."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    for message in (
        ".*your dataloader is not resumable.*",  # our sampler resumes by itself
        ".*does not have many workers.*",  # a single one may suffice
        ".*smaller than the logging interval.*",  # the log has its own: every.log
        ".*callbacks used to create the checkpoint.*",  # the setting callbacks may change between two starts
        ".*treespec, LeafSpec.*",  # Lightning 2.6 on torch 2.13
        # torch 2.13's compiler looks at its inputs, such as a generated image, while it traces
        ".*grad attribute of a Tensor that is not a leaf.*",
    ):
        warnings.filterwarnings("ignore", message=message)
