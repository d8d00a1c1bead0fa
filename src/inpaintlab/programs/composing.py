"""Settings composed from conf/ as the command line composes them, inside a program that may use Hydra for itself."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from threading import RLock
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from hydra.version import VersionBase
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from inpaintlab.commandline import COMMANDS, of_command, of_composing
from inpaintlab.config import CONF
from inpaintlab.recipes import overrides, require_choices, require_settings
from inpaintlab.settings import require_values

_ONE_AT_A_TIME = RLock()
"""Hydra has one state for a process; two threads of a program may load methods at once."""


@contextmanager
def own_hydra() -> Iterator[None]:
    """Hydra without the state that a program may have given it; the program's is there again afterwards."""
    with _ONE_AT_A_TIME:
        of_program, of_version = GlobalHydra.instance(), VersionBase.instance()
        hydra, version = of_program.hydra, of_version.version_base
        of_program.hydra = None
        try:
            yield
        finally:
            GlobalHydra.set_instance(of_program)  # what initialized Hydra meanwhile has put a copy in its place
            of_program.hydra, of_version.version_base = hydra, version


def composed(words: str, settings: Mapping[str, Any], origin: str, given: Sequence[str] = ()) -> DictConfig:
    """The settings of a command, checked as the command checks them.

    Args:
        words: of the command, a key of `commandline.COMMANDS` with settings of its own.
        settings: dotted keys as on the command line, "+" before one that the file lacks. Text stays text: nothing in
            it is resolved.
        origin: what a sentence on them begins with, such as "inpaintlab.method".
        given: further overrides, which are the command's own.

    Raises:
        ValueError: a key that is no setting or would name a class, a text with "${", an unknown choice, or a value that
            a setting cannot have.
    """
    plain = {key.lstrip("+"): value for key, value in settings.items()}
    try:
        require_settings(plain, origin)
    except ValueError as error:
        raise ValueError(str(error).replace("nothing in such a file is", "nothing in it is")) from error
    config, words_given = COMMANDS[words].config, overrides(settings)
    with own_hydra(), initialize_config_dir(str(CONF), version_base="1.3"):
        require_choices(plain)
        try:
            cfg = compose(config, [*words_given, *given], return_hydra_config=True)
        except (HydraException, OmegaConfBaseException) as error:
            raise ValueError(f"{origin}: {of_composing(error, CONF, words, words_given)}") from error
        with in_one_sentence():
            require_values(words, cfg)
    return cfg


@contextmanager
def in_one_sentence() -> Iterator[None]:
    """Raise what Hydra and OmegaConf make of a mistake in a setting as the ValueError that says it best."""
    try:
        yield
    except (HydraException, OmegaConfBaseException) as error:
        raise ValueError(of_command(error)) from error
