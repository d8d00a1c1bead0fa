"""The callbacks that the setting ``callbacks`` chooses, beside those that every training has."""

from collections.abc import Mapping, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import instantiate
from lightning import Callback
from lightning.pytorch import callbacks as lightning_callbacks
from lightning.pytorch.callbacks import EarlyStopping
from lightning.pytorch.utilities.model_helpers import is_overridden

from inpaintlab.inpainting import device_type, is_number
from inpaintlab.survival import Checkpoints, Kept, require_storable

_REFUSED: tuple[tuple[tuple[str, ...], str], ...] = (
    (
        ("Checkpoint",),
        "it counts optimizer steps, of which several make a batch here; callbacks=checkpoints keeps the best few and "
        "one every so many batches, beside last.ckpt and best.ckpt, which are always kept",
    ),
    (
        ("WeightAveraging", "StochasticWeightAveraging"),
        "it averages discriminators and losses too, and its averages would be in no checkpoint of ours; average=0.999 "
        "averages the generators",
    ),
    (("GradientAccumulationScheduler",), "methods here step by themselves; accumulate=2 makes one step of two batches"),
    (("ProgressBar",), "the terminal has one already, which stands over the whole schedule"),
    (("ModelSummary",), "the plan that is printed at the start has the parameters, phases and losses"),
    (("BatchSizeFinder",), "a batch belongs to a run's identity: give data.batch_size=..."),
    (("LearningRateFinder",), "phases have learning rates of their own: give model.learning_rate=..."),
    (
        ("BaseFinetuning",),
        "which network learns when is what the phases say (model.schedule.phases); init=... starts from weights",
    ),
    (("ModelPruning",), "checkpoints would hold networks that no recipe describes"),
    (("BasePredictionWriter",), "nothing is predicted in a training; inpaintlab complete writes completed pictures"),
    (("SpikeDetection",), "it asks for a single loss; skip_broken=... leaves out batches whose loss is not finite"),
    (
        ("ThroughputMonitor",),
        "its values of validation do not stand over the batch counter; speed/images_per_second is always logged",
    ),
)
"""Callbacks of Lightning's, with their subclasses, that cannot work here or would break a law, and what to use."""


def early_stopping(monitor: str, higher_is_better: bool, patience: Any, min_delta: Any) -> EarlyStopping:
    """Lightning's callback that ends a training when a score has not improved for some validations.

    Args:
        monitor: the validation metric.
        higher_is_better: its direction.
        patience: validations without an improvement after which the training ends, at least 1.
        min_delta: what the score has to improve by, at least 0.

    Raises:
        ValueError: a value that it cannot have.
    """
    if not is_number(patience, int) or patience < 1:
        raise ValueError(f"callbacks.early_stopping.patience is {patience}; give a number of validations from 1 on.")
    if not is_number(min_delta, (int, float)) or min_delta < 0:
        raise ValueError(f"callbacks.early_stopping.min_delta is {min_delta}; give a number from 0 on.")
    return EarlyStopping(
        monitor,
        min_delta,
        patience,
        mode="max" if higher_is_better else "min",
        check_finite=False,  # a mean is infinite where all images are exact
        check_on_train_epoch_end=False,  # the only epoch ends with the schedule
    )


def chosen_callbacks(cfg: Mapping[str, Any], run_dir: Path, checkpoints: Checkpoints) -> tuple[list[Kept], list[Any]]:
    """The callbacks of the setting ``callbacks``.

    Args:
        cfg: the settings of ``inpaintlab train``, resolved.
        run_dir: the run's folder.
        checkpoints: of the same training.

    Returns:
        Ours that keep checkpoints, and all others in their order.

    Raises:
        ValueError: one of them is no callback, or cannot work here; the sentence says what to use.
    """
    kept, others = [], []
    for name, recipe in (cfg.get("callbacks") or {}).items():
        if not isinstance(recipe, Mapping) or not isinstance(recipe.get("_target_"), str):
            raise ValueError(
                f"callbacks.{name} names no class ({recipe}); give one, as in +callbacks.{name}._target_="
                "lightning.pytorch.callbacks.LearningRateMonitor."
            )
        try:
            made = instantiate(recipe, _convert_="all")
        except InstantiationException as error:
            cause = error.__cause__ or error
            reason = " ".join(str(cause).split())
            raise ValueError(
                reason
                if isinstance(cause, ValueError)  # of ours, or of a user's own
                else f"callbacks.{name}: {recipe['_target_']} cannot be made ({reason})."
            ) from error
        if isinstance(made, partial) and made.func is Kept:
            kept.append(_kept(made, cfg, run_dir, checkpoints))
            continue
        _require_fitting(name, made, cfg)
        others.append(made)
    require_different(others)
    return kept, others


def require_callbacks(cfg: Mapping[str, Any]) -> None:
    """Check, before anything is written, that the chosen callbacks can be made and can work.

    Raises:
        ValueError: see `chosen_callbacks`.
    """
    monitor = cfg["monitor"]
    chosen_callbacks(cfg, Path(), Checkpoints(Path(), 1, 1, monitor["name"], monitor["higher_is_better"]))


def require_different(callbacks: Sequence[Callback]) -> None:
    """Check that no two callbacks keep their state under one name in a checkpoint.

    Raises:
        ValueError: two do.
    """
    seen: set[str] = set()
    for callback in callbacks:
        if keeps_state(callback):
            if callback.state_key in seen:
                raise ValueError(
                    f"Two callbacks would keep their states under one name, {callback.state_key}: leave one out, or "
                    "give the class a state_key of its own."
                )
            seen.add(callback.state_key)


def keeps_state(callback: Callback) -> bool:
    """Whether a callback keeps something in checkpoints."""
    hooks = ("state_dict", "on_save_checkpoint")
    return any(is_overridden(hook, callback, parent=Callback) for hook in hooks)


def _kept(made: "partial[Kept]", cfg: Mapping[str, Any], run_dir: Path, checkpoints: Checkpoints) -> Kept:
    try:
        kept = made(run_dir, checkpoints)
    except TypeError as error:  # a setting that it does not have
        raise ValueError(f"callbacks.checkpoints: {error}.") from error
    if kept.every is not None and kept.every % cfg["accumulate"]:
        raise ValueError(
            f"callbacks.checkpoints.every is {kept.every}, which is no multiple of accumulate={cfg['accumulate']}; "
            "give one, because between them the gradients of a step are not complete."
        )
    return kept


def _require_fitting(name: str, made: Any, cfg: Mapping[str, Any]) -> None:
    """Check that an object is a callback that can work here."""
    kind = made.func if isinstance(made, partial) else type(made)
    called = f"{kind.__module__}.{kind.__qualname__}"
    if any(base.__module__.startswith("pytorch_lightning.") for base in getattr(kind, "__mro__", ())):
        raise ValueError(
            f"callbacks.{name} is of the package pytorch_lightning, and this trainer of lightning: name the class "
            f"lightning.pytorch.callbacks.{kind.__name__}."
        )
    if not isinstance(made, Callback):
        waits = ", with _partial_, which makes none of it" if isinstance(made, partial) else ""
        raise ValueError(
            f"callbacks.{name} is {called}{waits}: no callback of Lightning; derive it from lightning.Callback, or "
            "give another."
        )
    for classes, reason in _REFUSED:
        if isinstance(made, tuple(getattr(lightning_callbacks, each) for each in classes)):
            raise ValueError(f"callbacks.{name}: {kind.__name__} cannot be used here: {reason}.")
    if isinstance(made, EarlyStopping):
        _require_scores(name, made, cfg)
    if isinstance(made, lightning_callbacks.DeviceStatsMonitor) and find_spec("psutil") is None:
        on_cpu = device_type(cfg["trainer"]["accelerator"]) == "cpu"
        if made._cpu_stats or (made._cpu_stats is None and on_cpu):
            raise ValueError(f"callbacks.{name}: what the CPU does is read by psutil; run `pip install psutil`.")
    if keeps_state(made):
        require_storable(made.state_dict(), made.state_key)


def _require_scores(name: str, made: EarlyStopping, cfg: Mapping[str, Any]) -> None:
    """Check that a callback that ends trainings looks at a score that is there, when it is there."""
    scores = [f"val/{metric}" for metric in cfg["metrics"]]
    if made.strict and made.monitor.removesuffix("_infinite") not in scores:
        raise ValueError(
            f"callbacks.{name}.monitor is '{made.monitor}', which validation does not give; it gives "
            f"{', '.join(scores)}."
        )
    if made._check_on_train_epoch_end:
        raise ValueError(
            f"callbacks.{name}.check_on_train_epoch_end would look at the end alone: the only epoch is the whole "
            "schedule; leave it out, and each validation is looked at."
        )
