"""How a sweep chooses its jobs: every combination of values, or a list of settings; see also ``optuna_search``."""

import itertools
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, final

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException

from inpaintlab.machine import read_yaml
from inpaintlab.recipes import require_choices, require_settings
from inpaintlab.runs import NAME_RULE, is_name
from inpaintlab.sweeps.folder import Job, SweepFolder, job_name


class Search(ABC):
    """Chooses the jobs of a sweep."""

    @abstractmethod
    def batches(self, sweep: SweepFolder, fixed: Sequence[str], swept: Sequence[Override]) -> Iterator[list[Job]]:
        """Groups of jobs. All jobs of a group have ended before the next group is requested.

        Args:
            sweep: the folder of the jobs, for a search that reads their scores.
            fixed: the overrides that all jobs share.
            swept: the overrides that take several values.

        Raises:
            ValueError: values of a kind that this search cannot choose from.
        """


@final
class Grid(Search):
    """Every combination of the values: ``model=glcic,edgeconnect seed=1,2,3`` gives six jobs."""

    def batches(self, sweep: SweepFolder, fixed: Sequence[str], swept: Sequence[Override]) -> Iterator[list[Job]]:
        """All jobs in one group.

        Raises:
            ValueError: no setting takes several values, or one takes an interval, whose values cannot be listed.
        """
        if not swept:
            raise ValueError("Nothing is swept; give a setting several values, as in seed=1,2,3, or leave out -m.")
        yield [Job(job_name(values), (*fixed, *_settings(values))) for values in combinations(swept)]


@final
class Listed(Search):
    """The jobs of a YAML file, ``name: [overrides]``, each with every combination of the command line's swept values.

    Args:
        file: for example ``{small: [model=glcic, model.width=0.25], edges: [model=edgeconnect]}``.
    """

    def __init__(self, file: str) -> None:
        self.file = Path(file)

    def batches(self, sweep: SweepFolder, fixed: Sequence[str], swept: Sequence[Override]) -> Iterator[list[Job]]:
        """All jobs in one group.

        Raises:
            ValueError: the file is missing or is no list of jobs, or an interval is swept.
        """
        jobs = []
        for name, own in self._sets().items():
            for values in combinations(swept):
                full = f"{name}_{job_name(values)}" if values else name
                jobs.append(Job(full, (*fixed, *own, *_settings(values))))
        yield jobs

    def _sets(self) -> dict[str, list[str]]:
        if not self.file.is_file():
            raise ValueError(
                f"There is no list of jobs at {self.file.absolute()}; name it: hydra.sweeper.search.file=."
            )
        content = read_yaml(self.file, "a list of jobs, which has lines such as `small: [model.width=0.25]`")
        if not content:
            raise ValueError(f"{self.file} is no list of jobs; it has lines such as `small: [model.width=0.25]`.")
        for name, own in content.items():
            if not is_name(name):
                raise ValueError(f"{self.file}: a job is called {name!r}; a name is {NAME_RULE}.")
            if not isinstance(own, list) or not all(isinstance(entry, str) for entry in own):
                raise ValueError(f"{self.file}: job '{name}' is {own!r}; give a list of overrides, as in [seed=2].")
            _require_plain(own, f"{self.file}, job '{name}'")
        return content


def _require_plain(overrides: list[str], origin: str) -> None:
    """Raise a ValueError if one of these overrides from a file would do more than set values and choose from groups."""
    try:
        parsed = OverridesParser.create().parse_overrides(overrides)
    except HydraException as error:
        raise ValueError(f"{origin}: {' '.join(str(error).split())}") from error
    for override in parsed:
        if override.package is not None or override.is_sweep_override():
            raise ValueError(
                f"{origin}: {override.input_line} is not one setting with one value; give it as KEY=VALUE."
            )
        settings = {override.key_or_group: _plain(override.value())}
        require_settings(settings, origin)
        try:
            require_choices(settings)
        except ValueError as error:
            raise ValueError(f"{origin}: {error}") from error


def _plain(value: Any) -> Any:
    """A value of Hydra's grammar as plain data; texts in quotes have a class of their own there."""
    if isinstance(value, dict):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_plain(entry) for entry in value]
    return value if value is None or isinstance(value, (bool, int, float)) else str(value)


def combinations(swept: Sequence[Override]) -> list[dict[str, str]]:
    """Every combination of values, as key to value in Hydra's grammar.

    Raises:
        ValueError: an interval, whose values cannot be listed.
    """
    values = []
    for override in swept:
        if not override.is_discrete_sweep():
            raise ValueError(
                f"{override.input_line} has no end of values to try; list some, or search with hydra/sweeper=optuna."
            )
        values.append(list(dict.fromkeys(override.sweep_string_iterator())))
    keys = [override.get_key_element() for override in swept]
    return [dict(zip(keys, chosen, strict=True)) for chosen in itertools.product(*values)]


def _settings(values: dict[str, str]) -> list[str]:
    return [f"{key}={value}" for key, value in values.items()]
