"""All cases of the benchmark, in the order in which they are measured."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from benchmarks import ceilings, checks, folders, growth, steps, work
from benchmarks.settings import Settings, compiled
from benchmarks.sides import PHASES, Case

Rows = Iterator[dict[str, Any]]

TELLING = (
    ("edgeconnect", "inpaint"),
    ("glcic", "joint"),
    ("edgeconnect", "joint"),
    ("edgeconnect", "edge"),
    ("edgeconnect", "edge_inpaint"),
    ("glcic", "completion"),
    ("glcic", "discriminator"),
)
"""Every phase, the most telling first: most of a training's time, then what the others do not show."""


@dataclass(frozen=True)
class Task:
    """What one process measures.

    Args:
        name: of the case, or the family of cases.
        part: of the results, which its rows go to.
        rows: measures, in the process; it gets the folder of photographs, a folder for files, the settings, and
            ``arguments``. A function of a module.
        arguments: can be pickled.
        sure: whether time is kept for it from longer tasks that come before.
    """

    name: str
    part: str
    rows: Callable[..., Rows]
    arguments: tuple[Any, ...] = ()
    sure: bool = False

    @property
    def kind(self) -> str:
        """Tasks of one kind take about the same time."""
        return f"{self.part}, compiled" if "compile" in self.name else self.part


def tasks(settings: Settings) -> list[Task]:
    """The tasks of a run that are wanted; empty if no case's name fits."""
    found = _telling_first(settings) if settings.telling_first else _in_order(settings)
    wanted = [task for task in found if _wanted(task, settings)]
    if any(task.part == "steps" for task in wanted):
        wanted.insert(0, Task("ceilings", "ceilings", ceilings.rows, sure=True))
    return wanted


def _wanted(task: Task, settings: Settings) -> bool:
    if task.part == "work" and task.name in (families := work.names(settings)):
        return any(settings.wants(name) for name in families[task.name])
    return settings.wants(task.name)


def _in_order(settings: Settings) -> list[Task]:
    """Everything, shape by shape; checks and the completion of a folder only where they are named."""
    every = [(model, phase) for model, phases in PHASES.items() for phase in phases]
    found = [
        _step(Case(model, phase, size, batch), variant)
        for size, batch in settings.training_shapes
        for model, phase in every
        for variant in settings.variants
    ]
    found += [*_families(settings), *_growth(settings)]
    named = [*_checks(settings, compiling=False), *_folders(settings), *_checks(settings, compiling=True)]
    return found + (named if settings.cases else [])


def _telling_first(settings: Settings) -> list[Task]:
    """The first shape in each variant, the checks, the completion of a folder, then the rest."""
    steps_of = [
        [
            _step(Case(model, phase, size, batch), variant, sure=number == 0 and not compiled(variant))
            for variant in settings.variants
            for model, phase in TELLING
        ]
        for number, (size, batch) in enumerate(settings.training_shapes)
    ]
    return [
        *steps_of[0],
        *_checks(settings, compiling=False),
        *_folders(settings),
        *_checks(settings, compiling=True),
        *_families(settings),
        *(task for later in steps_of[1:] for task in later),
        *_growth(settings),
    ]


def _step(case: Case, variant: str, sure: bool = False) -> Task:
    return Task(f"steps/{case.name}/{variant}", "steps", steps.rows, (case, variant), sure)


def _checks(settings: Settings, compiling: bool) -> list[Task]:
    """Losses and gradients in all variants of a kind; with the uncompiled ones all other checks."""
    variants = [variant for variant in settings.variants if compiled(variant) == compiling]
    found = [
        Task(f"checks/numbers/{model}/{phase}/{variant}", "checks", checks.numbers, (model, phase, variant))
        for variant in variants
        for model, phase in TELLING
    ]
    if not compiling:
        found += [
            Task("checks/edges", "checks", checks.edges),
            Task("checks/resuming", "checks", checks.resuming),
            Task("checks/evaluation", "checks", checks.evaluation),
        ]
    return [Task(task.name, task.part, task.rows, task.arguments, sure=not compiling) for task in found]


def _folders(settings: Settings) -> list[Task]:
    return [
        Task(f"completion/folder/{model}/{variant}", "work", folders.rows, (model, variant), sure=True)
        for variant in settings.variants
        if not compiled(variant)  # what compiling takes differs more from time to time than the folder does
        for model in PHASES
    ]


def _families(settings: Settings) -> list[Task]:
    return [Task(family, "work", work.rows, (family,)) for family in work.names(settings)]


def _growth(settings: Settings) -> list[Task]:
    return [Task(f"growth/{case.name}", "growth", growth.rows, (case,)) for case in growth.points(settings)]
