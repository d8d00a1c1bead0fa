"""Where the configuration lives, and how a command meets its user."""

import difflib
import errno
import functools
import importlib
import os
import sys
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import InstantiationException
from hydra.types import RunMode
from omegaconf import DictConfig, MissingMandatoryValue, OmegaConf

_PACKAGED = Path(__file__).parent / "conf"
CONF = _PACKAGED if _PACKAGED.is_dir() else Path(__file__).parents[2] / "conf"
"""The folder of all YAML: inside an installed wheel, or at the top of the repository."""

FULL_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""What a system says when a file finds no place: a full disk, a user's share of it, the largest file allowed."""

FREE_TO_CHANGE = (
    *("trainer", "logger", "runs", "name", "every", "panel_images"),
    *("datamodule", "health", "notes", "skip_broken", "compile"),
)
"""Settings of a training that may differ between a run and its continuation; any other makes another run."""

# In YAML: a side in pixels that is half of another, such as GLCIC's window.
OmegaConf.register_new_resolver("half", lambda side: side // 2, replace=True)


def command(name: str) -> Callable[[Callable[[DictConfig], Any]], Callable[[], None]]:
    """Make ``main(cfg)`` a Hydra command that reads ``conf/<name>.yaml``.

    What a user did wrong (``ValueError``, ``OSError``) is told in one sentence with exit code 1; the whole trace comes
    with ``HYDRA_FULL_ERROR=1``. In a multirun the error stays an exception, because Hydra reports the job that failed.
    """

    def decorate(main: Callable[[DictConfig], Any]) -> Callable[[], None]:
        @hydra.main(version_base="1.3", config_path=str(CONF), config_name=name)
        @functools.wraps(main)
        def run(cfg: DictConfig) -> Any:
            try:
                return main(cfg)
            except (InstantiationException, MissingMandatoryValue, ValueError, OSError) as error:
                if os.environ.get("HYDRA_FULL_ERROR") == "1" or HydraConfig.get().mode == RunMode.MULTIRUN:
                    raise
                print(f"inpaintlab {name.replace('_', ' ')}: {_sentence(error)}", file=sys.stderr)
                raise SystemExit(1) from None

        return run

    return decorate


def take_verb(name: str, verbs: Collection[str]) -> str | None:
    """Take the verb of ``inpaintlab <name> VERB ...`` off the command line; None where there is none.

    One that is not among the ``verbs`` ends the process with exit code 2 and says what there is.
    """
    if len(sys.argv) < 2 or not sys.argv[1].isalpha():
        return None
    verb = sys.argv.pop(1)
    if verb not in verbs:
        near = difflib.get_close_matches(verb, verbs, 1)
        guess = f" Did you mean '{near[0]}'?" if near else ""
        print(f"inpaintlab {name}: there is no '{verb}'.{guess} There are: {', '.join(verbs)}.", file=sys.stderr)
        raise SystemExit(2)
    return verb


def _sentence(error: BaseException) -> str:
    """The user's sentence: Hydra wraps what a constructor raised and names the config key after it."""
    if isinstance(error, InstantiationException) and error.__cause__ is not None:
        key = str(error).rpartition("full_key: ")[2] if "full_key: " in str(error) else ""
        return f"{error.__cause__}" + (f" (while building '{key}')" if key else "")
    if isinstance(error, MissingMandatoryValue):
        return f"The setting '{error.full_key}' has no default: give it as {error.full_key}=VALUE."
    if isinstance(error, OSError) and error.errno in FULL_DISK:
        return (
            f"There is no space left for {error.filename or 'what is to be written'} ({error.strerror}); files that "
            "were whole before still are. Make space, and the same command goes on."
        )
    told = str(error)
    if "\nOriginal Traceback" in told:  # of a loader's worker, whose error comes as the text of its whole trace
        return told.strip().splitlines()[-1].partition(": ")[2]
    return told


def plain(cfg: Any) -> Any:
    """Resolve interpolations and return dicts, lists and scalars only, as checkpoints and JSON need them."""
    return OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True) if OmegaConf.is_config(cfg) else cfg


def in_words(recipe: Any) -> str:
    """A recipe of the configuration in one line: `Folder(root=photos)` for one whose target is a class."""
    if isinstance(recipe, dict):
        settings = ", ".join(f"{key}={in_words(value)}" for key, value in recipe.items() if not key.startswith("_"))
        target = str(recipe.get("_target_", "")).rpartition(".")[2]
        return f"{target}({settings})" if target else f"{{{settings}}}"
    if isinstance(recipe, (list, tuple)):
        return f"[{', '.join(map(in_words, recipe))}]"
    return f"{recipe:g}" if isinstance(recipe, float) else str(recipe)


def only_ours(recipe: Any, origin: str) -> Any:
    """Return a recipe read from a foreign file if each ``_target_`` in it is a class of this package or an optimizer.

    Raises:
        ValueError: any other target, which building the recipe would import and run.
    """
    if isinstance(recipe, dict):
        target = recipe.get("_target_")
        if target is not None and target not in _OPTIMIZERS and not _is_our_class(target):
            raise ValueError(
                f"{origin} asks to run '{target}', which is not part of inpaintlab; if you trust it, name the model "
                "on the command line instead (model=...)."
            )
        for value in recipe.values():
            only_ours(value, origin)
    elif isinstance(recipe, list):
        for value in recipe:
            only_ours(value, origin)
    return recipe


# of torch, for a recipe: what they are given they keep, they run nothing
_OPTIMIZERS = ("torch.optim.Adadelta", "torch.optim.Adam")


def _is_our_class(target: Any) -> bool:
    """Whether a dotted name is that of a class defined here, not of something that a module of ours imports."""
    module, _, name = str(target).rpartition(".")
    if module.partition(".")[0] != "inpaintlab" or "$" in str(target):
        return False
    try:
        found = getattr(importlib.import_module(module), name, None)
    except ImportError:
        return False
    return isinstance(found, type) and found.__module__ == module
