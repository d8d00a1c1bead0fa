"""The sweeper of ``inpaintlab VERB -m``. It is here because Hydra finds plugins only in this namespace."""

import copy
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import InstantiationException
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from hydra.utils import instantiate
from omegaconf import DictConfig, open_dict, read_write

if TYPE_CHECKING:
    from inpaintlab.sweeps import Job, SweepFolder, Training

_LEFT_ALONE = ("running", "stopped")
_IN_TURN = {"hydra/launcher": ("basic", "local"), "hydra/sweeper": ("grid",)}
"""The choices that there are for verbs other than ``train``."""


@final
class JobSweeper(Sweeper):
    """Runs the jobs that a search chooses, except those that are done, running or given up.

    That is a sweep of trainings. Any other verb runs once for each combination of values, one after the other in this
    process, and leaves nothing behind beside what it writes itself.

    Args:
        search: the settings of an ``inpaintlab.sweeps.Search``, which chooses the jobs.
        params: sweeps from a file, key to values; those on the command line replace them.
    """

    def __init__(self, search: DictConfig, params: dict[str, str] | None = None) -> None:
        self.search = search
        self.params = dict(params or {})

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Keep Hydra's context and settings, and the task for verbs other than ``train``, whose jobs are processes."""
        self.context = hydra_context
        self.task = task_function
        self.settings = config

    def sweep(self, arguments: list[str]) -> None:
        """Run the sweep.

        Args:
            arguments: the overrides on the command line.

        Raises:
            SystemExit: with exit code 1 unless every job is done or given up.
        """
        from inpaintlab.commandline import MISTAKES, of_composing
        from inpaintlab.config import CONF, hydra_has_composed

        hydra_has_composed()
        verb = self.settings.hydra.job.name
        try:
            unfinished = self._trained(arguments) if verb == "train" else self._in_turn(arguments)
        except MISTAKES as error:
            if os.environ.get("HYDRA_FULL_ERROR") == "1":
                raise
            print(f"inpaintlab {verb}: {of_composing(error, CONF, verb, arguments)}", file=sys.stderr)
            raise SystemExit(1) from None
        if unfinished:
            raise SystemExit(1)

    def _in_turn(self, arguments: list[str]) -> bool:
        """Run the verb for each combination of values. Returns whether it failed for one of them."""
        from inpaintlab.sweeps import combinations

        for group, chosen in self.settings.hydra.runtime.choices.items():
            if chosen not in _IN_TURN.get(group, (chosen,)):
                raise ValueError(f"{group}={chosen} is for trainings; here -m tries one combination after the other.")
        fixed, swept = self._divided(arguments)
        jobs = [[f"{key}={value}" for key, value in values.items()] for values in combinations(swept)]
        composed = [self.context.config_loader.load_sweep_config(self.settings, [*fixed, *own]) for own in jobs]
        failed = []
        for own, cfg in zip(jobs, composed, strict=True):
            HydraConfig.instance().set_config(cfg)
            alone = copy.deepcopy(cfg)
            with read_write(alone), open_dict(alone):
                del alone["hydra"]
            try:
                self.task(alone)
            except SystemExit as stop:  # it has said why
                if stop.code:
                    failed.append(" ".join(own))
        if failed and len(jobs) > 1:
            print(f"{len(failed)} of {len(jobs)} failed: {'; '.join(failed)}", file=sys.stderr)
        return bool(failed)

    def _trained(self, arguments: list[str]) -> bool:
        """Run the trainings. Returns whether one of them is neither done nor given up."""
        # imported here, because Hydra scans this module at every start
        from inpaintlab.runs import named_folder
        from inpaintlab.sweeps import Launcher, Search, SweepFolder, sweep_name

        fixed, swept = self._divided(arguments)
        keys = [override.get_key_element() for override in swept]
        name = self.settings.name
        folder = named_folder(self.settings.runs, sweep_name(keys, fixed) if name in (None, "") else name)
        if folder.parent != Path(self.settings.runs):
            raise ValueError(f"name={name} has a slash; a sweep's folder lies in {self.settings.runs} itself.")
        with open_dict(self.settings):
            self.settings.name = folder.name  # where a launcher keeps its own files
        launcher: Launcher = _built(self.settings.hydra.launcher, "hydra/launcher", Launcher)
        search: Search = _built(self.search, "hydra/sweeper", Search)
        sweep = SweepFolder.opened(folder, fixed)
        chosen: list[str] = []
        for batch in search.batches(sweep, fixed, swept):
            todo = self._new(sweep, batch)
            for training, reason in launcher.launch(todo) if todo else ():
                print(f"inpaintlab train: {training.folder.name} was not trained: {reason}", file=sys.stderr)
            chosen += [job.name for job in batch]
        return _print_results(sweep, chosen)

    def _new(self, sweep: "SweepFolder", batch: "list[Job]") -> "list[Training]":
        """The trainings that are to be started, after all jobs of the batch were composed and recorded."""
        from inpaintlab.runs import NAME_RULE, is_name, state_of
        from inpaintlab.settings import require_values
        from inpaintlab.sweeps import Training, planned_batches, summary

        if len({job.name for job in batch}) < len(batch):
            raise ValueError("Two jobs of the sweep have one name; call them differently.")
        if long := [job.name for job in batch if not is_name(job.name)]:
            raise ValueError(f"A job would be called {long[0]}, but a name is {NAME_RULE}; call it differently.")
        trainings = {}
        for job in batch:
            own = [*job.overrides, f"name='{sweep.path.name}/{job.name}'"]
            cfg = self.context.config_loader.load_sweep_config(self.settings, own)
            require_values("train", cfg)
            folder = (sweep.path / job.name).absolute()
            trainings[job.name] = Training(folder, (*self._flags(), *own), planned_batches(cfg))
        states = {name: state_of(training.folder, training.batches) for name, training in trainings.items()}
        sweep.add(batch)
        left_alone = _LEFT_ALONE if sweep.moved else ("done", *_LEFT_ALONE)
        todo = [training for name, training in trainings.items() if states[name] not in left_alone]
        print(f"{sweep.path}: {summary(states)}; {len(todo)} to start, each tells in its output.log")
        return todo

    def _flags(self) -> list[str]:
        """How a job finds the configuration: as the command line of the sweep gave them."""
        from inpaintlab.trust import passed_on

        config = self.settings.hydra.job.config_name
        own = [] if config == "train" else ["--config-name", config]
        return [*passed_on(self.settings.hydra), *own]

    def _divided(self, arguments: list[str]) -> tuple[list[str], list[Override]]:
        """The overrides that all jobs share, and those that take several values."""
        parser = OverridesParser.create(config_loader=self.context.config_loader)
        given = [*(f"{key}={value}" for key, value in self.params.items()), *arguments]
        last = {override.get_key_element(): override for override in parser.parse_overrides(given)}
        swept = [override for override in last.values() if override.is_sweep_override()]
        for override in last.values():
            if override.get_key_element().lstrip("+").partition(".")[0] == "debug":
                raise ValueError(f"{override.input_line}: a debug run leaves nothing to compare; give it without -m.")
        for override in swept:
            if override.get_key_element() in ("name", "runs"):
                raise ValueError(f"{override.input_line}: a sweep has one folder, in which its jobs have their own.")
        last.pop("name", None)
        return [_in_words(override) for override in last.values() if not override.is_sweep_override()], swept


def _built(settings: DictConfig, group: str, kind: type) -> Any:
    """Build what a choice of a group of Hydra's names.

    Raises:
        ValueError: it refuses its settings, or is not of this kind, such as a plug-in of Hydra's.
    """
    target = settings.get("_target_")
    try:
        built = instantiate(settings, _convert_="all")
    except InstantiationException as error:
        if isinstance(error.__cause__, (ValueError, TypeError)) and str(target).startswith("inpaintlab."):
            raise ValueError(str(error.__cause__)) from error
        built = None
    if not isinstance(built, kind):
        raise ValueError(
            f"{group}: {target} starts no trainings of inpaintlab; its choices are listed by inpaintlab train --help."
        )
    return built


def _print_results(sweep: "SweepFolder", chosen: list[str]) -> bool:
    """Print states and scores, and the best job. Returns whether one of them is neither done nor given up."""
    from rich.console import Console

    from inpaintlab.sweeps import best_job, by_seed, overview, summary

    console = Console()
    for table in filter(None, [overview(sweep), by_seed(sweep)]):
        console.print(table)
    if best := best_job(sweep):
        print(best)
    states = {job: state for job, state in sweep.states().items() if job in chosen}
    print(f"{sweep.path}: {summary(states)}")
    return any(state not in ("done", "stopped") for state in states.values())


def _in_words(override: Override) -> str:
    if override.is_delete():
        return str(override.input_line)
    return f"{override.get_key_element()}={override.get_value_element_as_str()}"
