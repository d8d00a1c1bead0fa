"""The folder of the configuration, and the frame of every command: settings, help and errors."""

import functools
import inspect
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import InstantiationException
from omegaconf import DictConfig, MissingMandatoryValue, OmegaConf

from inpaintlab.arguments import COMMANDS, read
from inpaintlab.help import print_help
from inpaintlab.machine import FULL_DISK
from inpaintlab.multirun import own_choices, require_sweep
from inpaintlab.quoting import quoted

_PACKAGED = Path(__file__).parent / "conf"


CONF = _PACKAGED if _PACKAGED.is_dir() else Path(__file__).parents[2] / "conf"
"""The folder of all YAML: inside an installed wheel, or at the top of the repository."""


_QUESTIONS = ("--help", "-h", "--hydra-help", "--version", "--cfg", "-c", "--info", "-i")
"""Hydra's flags that ask for information instead of work."""


# In YAML: half of a side in pixels, or of the shorter one of [height, width], such as GLCIC's window.
OmegaConf.register_new_resolver("half", lambda size: (size if isinstance(size, int) else min(size)) // 2, replace=True)


def command(words: str) -> Callable[[Callable[[DictConfig], Any]], Callable[[], None]]:
    """Make ``main(cfg)`` the Hydra command that is called by these ``words`` (see `arguments.COMMANDS`).

    A user's mistake (``ValueError``, ``OSError``) is printed as one sentence with exit code 1; ``HYDRA_FULL_ERROR=1``
    shows the whole trace.
    """

    def decorate(main: Callable[[DictConfig], Any]) -> Callable[[], None]:
        @functools.wraps(main)
        def start() -> None:
            sys.argv[1:] = quoted(CONF, words, sys.argv[1:])
            try:
                sys.argv[1:] = own_choices(CONF, sys.argv[1:])
            except ValueError as error:
                print(f"inpaintlab {words}: {error}", file=sys.stderr)
                raise SystemExit(1) from None
            if {"--help", "-h"} & set(sys.argv[1:]):
                print_help(CONF, words, sys.argv[1:])
            else:
                run()

        @hydra.main(version_base="1.3", config_path=str(CONF), config_name=COMMANDS[words].config)
        @functools.wraps(main)
        def run(cfg: DictConfig) -> Any:
            try:
                require_sweep(HydraConfig.get())
                return main(cfg)
            except (InstantiationException, MissingMandatoryValue, ValueError, OSError) as error:
                if os.environ.get("HYDRA_FULL_ERROR") == "1":
                    raise
                print(f"inpaintlab {words}: {_sentence(error)}", file=sys.stderr)
                raise SystemExit(1) from None

        return start

    return decorate


def asks(arguments: Sequence[str]) -> bool:
    """Whether the arguments of a verb ask for information that conf/ alone can answer."""
    return any(argument.partition("=")[0] in _QUESTIONS for argument in arguments)


def answer(verb: str, arguments: Sequence[str]) -> None:
    """Answer a question such as ``inpaintlab VERB --help`` without importing the verb's module."""
    words, sys.argv[1:] = read(verb, arguments)

    def nothing(cfg: DictConfig) -> None:
        raise AssertionError(f"{sys.argv[1:]} asks for no work.")

    # Hydra names the job after the module, and looks below the wrapper that tests put on to check types
    inspect.unwrap(nothing).__module__ = f"inpaintlab.{verb}"
    command(words)(nothing)()


def _sentence(error: BaseException) -> str:
    """The message for the user; Hydra wraps a constructor's error, and names the configuration key at its end."""
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
    message = str(error)
    if "\nOriginal Traceback" in message:  # a loader's worker reports its error as the text of its whole trace
        return message.strip().splitlines()[-1].partition(": ")[2]
    return message
