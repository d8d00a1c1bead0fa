"""The folder of the configuration, and the frame of every command: settings, help and errors."""

import functools
import inspect
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from inpaintlab.commandline import (
    COMMANDS,
    MISTAKES,
    flags_first,
    of_command,
    of_composing,
    own_choices,
    print_help,
    quoted,
    read,
    require_sweep,
)
from inpaintlab.trust import trusted_by, trusting

_PACKAGED = Path(__file__).parent / "conf"


CONF = _PACKAGED if _PACKAGED.is_dir() else Path(__file__).parents[2] / "conf"
"""The folder of all YAML: inside an installed wheel, or at the top of the repository."""


_QUESTIONS = ("--help", "-h", "--hydra-help", "--version", "--cfg", "-c", "--info", "-i")
"""Hydra's flags that ask for information instead of work."""


# In YAML: half of a side in pixels, or of the shorter one of [height, width], such as GLCIC's window.
OmegaConf.register_new_resolver("half", lambda size: (size if isinstance(size, int) else min(size)) // 2, replace=True)


_FULL = "HYDRA_FULL_ERROR"
"""The variable with which Hydra raises an error instead of printing it in its own words; 1: so do we."""

_asked: list[str | None] = []
"""The variable as the user had it, while Hydra composes."""


def command(words: str) -> Callable[[Callable[[DictConfig], Any]], Callable[[], None]]:
    """Make ``main(cfg)`` the Hydra command that is called by these ``words`` (see `commandline.COMMANDS`).

    Its settings are checked before it starts (see `settings.require_values`). A user's mistake (``ValueError``,
    ``OSError``, what Hydra cannot compose) is printed as one sentence with exit code 1; ``HYDRA_FULL_ERROR=1`` shows
    the whole trace.
    """

    def decorate(main: Callable[[DictConfig], Any]) -> Callable[[], None]:
        @functools.wraps(main)
        def start() -> None:
            sys.argv[1:] = flags_first(quoted(CONF, words, sys.argv[1:]))
            try:
                sys.argv[1:] = own_choices(CONF, sys.argv[1:])
            except ValueError as error:
                _leave(words, str(error))
            if {"--help", "-h"} & set(sys.argv[1:]):
                print_help(CONF, words, sys.argv[1:])
                return
            given = list(sys.argv[1:])
            full = os.environ.get(_FULL) == "1"
            _let_hydra_raise()
            try:
                run()
            except MISTAKES as error:
                if full or not _asked:  # not while it composes
                    raise
                _leave(words, of_composing(error, CONF, words, given))
            finally:
                hydra_has_composed()

        @hydra.main(version_base="1.3", config_path=str(CONF), config_name=COMMANDS[words].config)
        @functools.wraps(main)
        def run(cfg: DictConfig) -> Any:
            hydra_has_composed()
            try:
                from inpaintlab.settings import require_values  # pydantic: not for help

                require_sweep(HydraConfig.get())
                with trusting(trusted_by(cfg)):  # first: it says best what a package that is not there needs
                    require_values(words, cfg)
                    return main(cfg)
            except MISTAKES as error:
                if os.environ.get(_FULL) == "1":
                    raise
                _leave(words, of_command(error))

        return start

    return decorate


def _let_hydra_raise() -> None:
    _asked.append(os.environ.get(_FULL))
    os.environ[_FULL] = "1"


def hydra_has_composed() -> None:
    """Put Hydra's variable back, before the code or a process of a command sees it."""
    if _asked:
        before = _asked.pop()
        if before is None:
            del os.environ[_FULL]
        else:
            os.environ[_FULL] = before


def _leave(words: str, sentence: str) -> NoReturn:
    print(f"inpaintlab {words}: {sentence}", file=sys.stderr)
    raise SystemExit(1) from None


def asks(arguments: Sequence[str]) -> bool:
    """Whether the arguments of a verb ask for information that conf/ alone can answer."""
    return any(argument.partition("=")[0] in _QUESTIONS for argument in arguments)


def answer(verb: str, arguments: Sequence[str]) -> None:
    """Answer a question such as ``inpaintlab VERB --help`` without importing the verb's module."""
    words, sys.argv[1:] = read(verb, arguments)

    def nothing(cfg: DictConfig) -> None:
        raise AssertionError(f"{sys.argv[1:]} asks for no work.")

    # Hydra names the job after the module, and looks below the wrapper that tests put on to check types
    inspect.unwrap(nothing).__module__ = f"inpaintlab.verbs.{verb}"
    command(words)(nothing)()
