"""The flags of Lightning's trainer: which of them a command takes, and what to give in the place of the others."""

from collections.abc import Mapping
from typing import Any

from inpaintlab.recipes import nearest

_LENGTH = "the phases say how long a training is: give model.schedule.phases.PHASE.batches=N"
_ONE_EPOCH = "an epoch is the whole schedule, which counts batches"
_SCORED = "an evaluation scores its whole manifest: freeze a smaller one with inpaintlab manifest create images=N"
_LEARNS = "an evaluation learns nothing; it is a setting of inpaintlab train"

FLAGS: dict[str, tuple[str | None, str | None]] = {
    # what it runs on
    "accelerator": (None, None),
    "devices": (None, None),
    "num_nodes": (None, None),
    "strategy": (None, None),
    "plugins": (None, None),
    "precision": (None, None),
    "sync_batchnorm": (None, None),
    "deterministic": (None, None),
    "benchmark": (None, None),
    "inference_mode": (None, None),
    # what is looked at while it runs
    "detect_anomaly": (None, _LEARNS),
    "profiler": (None, "a result tells the cost of its method; profile a training: inpaintlab train debug=profiler"),
    "barebones": (
        "it would leave out checkpoints, validation and the log: inpaintlab bench data and trainer.profiler=simple "
        "measure",
        "a result tells the cost of its method",
    ),
    # how long it takes
    "max_time": (None, "the same command goes on where an evaluation was ended, so end it whenever you like"),
    "max_epochs": (_LENGTH, _LEARNS),
    "min_epochs": (_LENGTH, _LEARNS),
    "max_steps": (_LENGTH, _LEARNS),
    "min_steps": (_LENGTH, _LEARNS),
    "limit_train_batches": (f"{_LENGTH}, or try a small share of each phase with debug=limit", _LEARNS),
    "limit_val_batches": ("give validation_images=N", _SCORED),
    "limit_test_batches": ("a training tests nothing: that is inpaintlab evaluate", _SCORED),
    "limit_predict_batches": ("a training predicts nothing: that is inpaintlab complete", _SCORED),
    "fast_dev_run": ("give debug=fdr", _SCORED),
    "overfit_batches": ("give debug=overfit", _LEARNS),
    # when something is done
    "val_check_interval": ("give every.validation=BATCHES", _LEARNS),
    "check_val_every_n_epoch": (f"{_ONE_EPOCH}: give every.validation=BATCHES", _LEARNS),
    "num_sanity_val_steps": ("no validation comes before the first batch: debug=fdr tries one", _LEARNS),
    "log_every_n_steps": ("give every.log=BATCHES", "an evaluation logs once, at its end"),
    "reload_dataloaders_every_n_epochs": (_ONE_EPOCH, _LEARNS),
    # how a step is made
    "accumulate_grad_batches": ("give accumulate=N", _LEARNS),
    "gradient_clip_val": ("give clip_gradients=NORM", _LEARNS),
    "gradient_clip_algorithm": ("clip_gradients=NORM limits the norm of each network's gradient", _LEARNS),
    "use_distributed_sampler": ("the order of the images knows the processes", "the order knows the processes"),
    # what is written, and where
    "logger": ("give the group logger, as in logger=csv", "give the group logger, as in logger=wandb"),
    "callbacks": ("give the group callbacks", "an evaluation takes none; what it scores by is the group metrics"),
    "enable_checkpointing": ("a run saves itself: give every.checkpoint=BATCHES", _LEARNS),
    "enable_progress_bar": (
        "one bar stands over the whole schedule, and where the output is no terminal a line follows every few seconds",
        "its bar is shown on a terminal alone",
    ),
    "enable_model_summary": ("the plan before the first batch tells the parameters", "its result tells the parameters"),
    "enable_autolog_hparams": ("config.json and each logger hold all settings", "its result holds all settings"),
    "model_registry": (
        "logger=wandb logger.wandb.artifacts=true uploads the checkpoints",
        "there is nothing to upload",
    ),
    "default_root_dir": ("give runs=FOLDER, and name=NAME for the run's own", "give results=FOLDER"),
}
"""Every flag with what to give in its place in a training and in an evaluation; None: it is taken there."""

OF_OLD: dict[str, tuple[str, str]] = {
    "ckpt_path": (
        "the same command goes on from last.ckpt by itself; init=RUN starts another run from its weights",
        "give checkpoint=RUN",
    ),
    "resume_from_checkpoint": ("the same command goes on from last.ckpt by itself", "give checkpoint=RUN"),
    "weights_save_path": ("give runs=FOLDER", "give results=FOLDER"),
    "gpus": ("give trainer=gpu, or trainer=ddp for several", "give trainer=gpu, or trainer=ddp for several"),
    "num_processes": ("give trainer.devices=N", "give trainer.devices=N"),
    "auto_lr_find": ("give model.learning_rate, or sweep over it with -m", _LEARNS),
    "auto_scale_batch_size": ("give data.batch_size=N", "give batch_size=N"),
    "track_grad_norm": ("the log has the norm of each network's gradient as grad/NETWORK", _LEARNS),
    "terminate_on_nan": ("a training ends at a batch that is not finite; skip_broken=N leaves some out", _LEARNS),
    "stochastic_weight_avg": ("give average=DECAY", _LEARNS),
    "checkpoint_callback": ("a run saves itself: give every.checkpoint=BATCHES", _LEARNS),
    "progress_bar_refresh_rate": ("one bar stands over the whole schedule", "its bar is shown on a terminal alone"),
    "flush_logs_every_n_steps": ("each line of the log is written at once", _LEARNS),
}
"""What people know from older Lightning or from ``Trainer.fit``; see ``FLAGS``."""

_VERBS = ("train", "evaluate")


def taken(verb: str) -> list[str]:
    """The flags that a verb, ``train`` or ``evaluate``, takes."""
    return [flag for flag, advices in FLAGS.items() if advices[_VERBS.index(verb)] is None]


def advice(flag: str, verb: str = "train") -> str | None:
    """What to give in the place of a flag of the trainer, as a sentence; None for one that is taken.

    Args:
        flag: without ``trainer.``.
        verb: ``train`` or ``evaluate``.
    """
    known = taken(verb)
    if flag in known:
        return None
    refused = FLAGS | OF_OLD
    if flag not in refused:
        return f"trainer.{flag} is no flag of Lightning's trainer.{nearest(flag, FLAGS)} Taken are {', '.join(known)}."
    return f"trainer.{flag} is not taken by inpaintlab {verb}: {refused[flag][_VERBS.index(verb)]}."


def require_taken(flags: Mapping[str, Any], verb: str) -> None:
    """Check that a verb takes all flags of the trainer that are given.

    Raises:
        ValueError: it does not; the message says what to give.
    """
    for flag in flags:
        if told := advice(str(flag), verb):
            raise ValueError(told)
