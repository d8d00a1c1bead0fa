"""Hydra's groups for a sweep: what their choices mean here, and what is asked of them before anything starts."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.types import RunMode

from inpaintlab.recipes import nearest

GROUPS = ("hydra/launcher", "hydra/sweeper")
"""Groups of Hydra's for a sweep."""

_BASIC = {"hydra/launcher": "local", "hydra/sweeper": "grid"}
"""What ``basic``, Hydra's own choice of each group, is here: Hydra holds a file of that name to its own schema."""


def own_choices(conf: Path, arguments: Sequence[str]) -> list[str]:
    """Let the sweepers and launchers on a command line mean those of conf/, and check that they are there.

    Hydra's plug-ins register choices of the same names (``joblib``, ``optuna``), which Hydra would hold our files to:
    they are taken out. Others of Hydra's world, such as ``ax`` or ``ray``, start no trainings of ours.

    Args:
        conf: the folder of all YAML.
        arguments: of a command.

    Returns:
        The arguments, with the name that a choice has here.

    Raises:
        ValueError: a choice is not there; the sentence lists what there is.
    """
    folders = [conf, *(Path(folder) for flag, folder in pairwise(arguments) if flag in ("--config-dir", "-cd"))]
    elsewhere = any(argument.lstrip("+").startswith("hydra.searchpath=") for argument in arguments)
    done = []
    for argument in arguments:
        group, _, choice = argument.partition("=")
        if group not in GROUPS:
            done.append(argument)
            continue
        known = sorted({file.stem for folder in folders for file in (folder / group).glob("*.yaml")})
        choice = _BASIC[group] if choice == "basic" else choice
        if choice not in known and not elsewhere:  # Hydra says itself what is not there
            raise ValueError(f"There is no {group}={choice}.{nearest(choice, known)} It can be {', '.join(known)}.")
        done.append(f"{group}={choice}")
    Plugins.instance()  # imports the plug-ins, as Hydra would a moment later
    for group in GROUPS:
        registered = ConfigStore.instance().repo["hydra"][group.partition("/")[2]]
        for file in (conf / group).glob("*.yaml"):
            registered.pop(file.name, None)
    return done


def require_sweep(hydra: Any) -> None:
    """Check that settings of a sweep were given for a sweep: without ``-m`` they would do nothing.

    Args:
        hydra: Hydra's own settings of this command.

    Raises:
        ValueError: they were not.
    """
    if hydra.mode == RunMode.MULTIRUN:
        return
    for entry in hydra.overrides.hydra:
        if entry.lstrip("+~").startswith((*GROUPS, "hydra.launcher.", "hydra.sweeper.")):
            raise ValueError(f"{entry} is for a sweep, which begins with -m: add it, or leave the setting out.")
