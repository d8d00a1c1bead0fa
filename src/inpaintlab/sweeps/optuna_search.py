"""Search for settings with Optuna: a study in a database beside its jobs, resumed where it stopped."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, final

from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep

from inpaintlab.runs import Progress, give_up, is_locked, state_of
from inpaintlab.sweeps.folder import Job, SweepFolder, job_name
from inpaintlab.sweeps.search import Search

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.study import Study
    from optuna.trial import Trial

_SECONDS_BETWEEN_CHECKS = 1.0
_PRUNED = "pruned"
"""The attribute of a trial whose job this search gave up; a job that an `EarlyStopping` ended has its best score."""


@final
class OptunaSearch(Search):
    """Jobs whose settings Optuna proposes; a trial's value is its job's best validation score.

    A trial is a job, and a job's folder follows from its settings: a trial that a killed sweep left open resumes from
    its checkpoint. A job that fails, or that has no finite score, is a failed trial, and one
    that a callback stopped early counts with its best score; the study goes on.

    Args:
        monitor: the validation metric to optimize, as in the setting ``monitor``.
        higher_is_better: the direction of ``monitor``.
        trials: number of trials, over all starts of the sweep.
        at_once: how many jobs are launched together.
        storage: the URL of the study's database; None for SQLite in the sweep's folder.
        seed: of Optuna's sampler.
        prune: whether a job ends early if it is worse than the median of the others at the same batch.
        pruning_from: number of finished trials before the first is pruned.

    Raises:
        ValueError: Optuna is not installed, or a number is not positive.
    """

    def __init__(
        self,
        monitor: str,
        higher_is_better: bool,
        trials: int = 20,
        at_once: int = 1,
        storage: str | None = None,
        seed: int = 1,
        prune: bool = True,
        pruning_from: int = 5,
    ) -> None:
        if find_spec("optuna") is None:
            raise ValueError('hydra/sweeper=optuna needs optuna: pip install "inpaintlab[sweeps]".')
        for name, number in {"trials": trials, "at_once": at_once}.items():
            if number < 1:
                raise ValueError(f"hydra.sweeper.search.{name} is {number}; give 1 or more.")
        self.monitor = monitor
        self.higher_is_better = higher_is_better
        self.trials = trials
        self.at_once = at_once
        self.storage = storage
        self.seed = seed
        self.prune = prune
        self.pruning_from = pruning_from

    def batches(self, sweep: SweepFolder, fixed: Sequence[str], swept: Sequence[Override]) -> Iterator[list[Job]]:
        """Groups of ``at_once`` jobs; the study gets the results of one group before it proposes the next.

        Raises:
            ValueError: nothing to search, or the study of this name had other values to choose from.
        """
        space = {override.get_key_element(): _values(override) for override in swept}
        if not space:
            raise ValueError("There is nothing to search; give a setting several values, as in seed=1,2,3.")
        study = self._study(sweep.path)
        waiting = self._left_open(study, sweep.path, space)
        while True:
            trials, waiting = waiting[: self.at_once], waiting[self.at_once :]
            while len(trials) < self.at_once and len(study.get_trials(deepcopy=False)) < self.trials:
                trials.append(_Trial(_ask(study, space), sweep.path))
            if not trials:
                return
            with _watched(trials if self.prune else []):
                yield list({trial.name: Job(trial.name, (*fixed, *trial.settings)) for trial in trials}.values())
            for trial in trials:
                trial.tell(study)

    def _study(self, folder: Path) -> "Study":
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)  # the sweep prints its own lines about trials
        folder.mkdir(parents=True, exist_ok=True)
        study = optuna.create_study(
            study_name=folder.name,
            storage=self.storage or f"sqlite:///{(folder / 'study.db').absolute()}",
            direction="maximize" if self.higher_is_better else "minimize",
            pruner=optuna.pruners.MedianPruner(n_startup_trials=self.pruning_from),
            load_if_exists=True,
        )
        # a resumed study must not repeat the draws of its first start
        study.sampler = optuna.samplers.TPESampler(seed=self.seed + len(study.get_trials(deepcopy=False)))
        return study

    @staticmethod
    def _left_open(study: "Study", folder: Path, space: "dict[str, BaseDistribution]") -> "list[_Trial]":
        """The unfinished trials of a killed sweep; Optuna has no public function that reopens a trial.

        Raises:
            ValueError: one has values that this search cannot choose, so they came from elsewhere.
        """
        from optuna.trial import Trial, TrialState

        frozen = study.get_trials(states=(TrialState.RUNNING,))
        for trial in frozen:
            if any(space.get(key) != distribution for key, distribution in trial.distributions.items()):
                raise ValueError(_other_values(study, f"trial {trial.number}"))
        return [_Trial(Trial(study, trial._trial_id), folder) for trial in frozen]


class _Trial:
    """A trial of the study and the folder of its job."""

    def __init__(self, trial: "Trial", sweep: Path) -> None:
        values = {key: str(value) for key, value in trial.params.items()}
        self.trial = trial
        self.name = job_name(values)
        self.settings = [f"{key}={value}" for key, value in values.items()]
        self.folder = sweep / self.name
        self.reported: set[int] = set(trial.study.get_trials(deepcopy=False)[trial.number].intermediate_values)

    def report(self) -> bool:
        """Report validations that are not reported yet. Returns whether there were any."""
        progress = Progress.load(self.folder)
        new = [] if progress is None else [pair for pair in progress.validations if pair[0] not in self.reported]
        for iteration, score in new:
            self.reported.add(iteration)
            if score is not None:
                self.trial.report(score, iteration)
        return bool(new)

    def tell(self, study: "Study") -> None:
        """Tell the study how the job ended; a job that still trains elsewhere, or that is to go on, stays open."""
        from optuna.trial import TrialState

        self.report()
        state, progress = state_of(self.folder), Progress.load(self.folder)
        if state == "stopped" and self.trial.user_attrs.get(_PRUNED):
            study.tell(self.trial, state=TrialState.PRUNED)
        elif state in ("done", "stopped") and progress is not None and progress.best is not None:
            study.tell(self.trial, progress.best)
        elif state not in ("running", "unfinished"):
            study.tell(self.trial, state=TrialState.FAIL)


@contextmanager
def _watched(trials: list[_Trial]) -> Iterator[None]:
    """While jobs run, report their validations to the study, and stop the jobs that it prunes."""
    over = threading.Event()

    def check() -> None:
        while not over.wait(_SECONDS_BETWEEN_CHECKS):
            for trial in trials:
                if is_locked(trial.folder) and trial.report() and trial.trial.should_prune():
                    at = max(trial.reported)
                    trial.trial.set_user_attr(_PRUNED, True)
                    give_up(trial.folder, f"Pruned after {at} batches: worse than the median of the other trials.")

    thread = threading.Thread(target=check, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _ask(study: "Study", space: "dict[str, BaseDistribution]") -> "Trial":
    try:
        return study.ask(space)
    except ValueError as error:
        raise ValueError(_other_values(study, error)) from error


def _other_values(study: "Study", reason: object) -> str:
    return (
        f"The study '{study.study_name}' chose from other values so far ({reason}); give this search another name "
        "(name=...)."
    )


def _values(override: Override) -> "BaseDistribution":
    """The distribution that Optuna draws from: the values of a grid, or an interval that includes both ends."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    values = override.value()
    if isinstance(values, IntervalSweep):
        assert values.start is not None
        assert values.end is not None
        log = "log" in values.tags
        if isinstance(values.start, int) and isinstance(values.end, int):
            return IntDistribution(values.start, values.end, log=log)
        return FloatDistribution(values.start, values.end, log=log)
    if isinstance(values, RangeSweep) and isinstance(numbers := values.range(), range) and numbers:
        return IntDistribution(min(numbers), max(numbers), step=abs(numbers.step))
    return CategoricalDistribution(list(dict.fromkeys(override.sweep_string_iterator())))
