"""All cases of the benchmark, in the order in which they are measured."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from benchmarks import ceilings, checks, folders, growth, steps, work
from benchmarks.settings import Settings, compiled
from benchmarks.sides import FOR_ONE_SIZE, PHASES, Case

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
        name: of the case, or of several cases that one process measures.
        part: of the results, which its rows go to.
        rows: measures, in the process; it gets the folder of photographs, a folder for files, the settings, and
            ``arguments``. A function of a module.
        arguments: can be pickled.
        sure: whether time is kept for it from longer tasks that come before.
        names: of its cases, if it has several.
    """

    name: str
    part: str
    rows: Callable[..., Rows]
    arguments: tuple[Any, ...] = ()
    sure: bool = False
    names: tuple[str, ...] = ()

    def wanted(self, settings: Settings) -> bool:
        """Whether a case of it is."""
        return any(settings.wants(name) for name in self.names or (self.name,))

    @property
    def kind(self) -> str:
        """Tasks of one kind take about the same time."""
        return f"{self.part}, compiled" if "compile" in self.name else self.part


def tasks(settings: Settings) -> list[Task]:
    """The tasks of a run that are wanted; empty if no case's name fits."""
    found = _telling_first(settings) if settings.telling_first else _in_order(settings)
    wanted = [task for task in found if task.wanted(settings)]
    if any(task.part == "steps" for task in wanted):
        wanted.insert(0, Task("ceilings", "ceilings", ceilings.rows, sure=True))
    return wanted


def _in_order(settings: Settings) -> list[Task]:
    """Everything, shape by shape; checks and the completion of a folder only where they are named."""
    every = [(model, phase) for model, phases in PHASES.items() for phase in phases]
    found = [
        _step(case, variant)
        for size, batch in settings.training_shapes
        for model, phase in every
        for variant in settings.variants
        if (case := Case(model, phase, size, batch)).possible
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
    """Losses and gradients of every phase, compiled or not; with the uncompiled ones all other checks."""
    variants = [variant for variant in settings.variants if compiled(variant) == compiling]
    found = [] if compiling else [Task("checks/edges", "checks", checks.edges, sure=True)]
    for model, phase in TELLING if variants else ():
        name = f"checks/numbers/{model}/{phase}"
        ending = "/compiled" if compiling else ""
        names = tuple(f"{name}/{variant}" for variant in (*variants, *([] if compiling else ["float64"])))
        arguments = (model, phase, variants, not compiling)
        found.append(Task(name + ending, "checks", checks.numbers, arguments, not compiling, names))
    if not compiling:
        found.append(Task("checks/resuming", "checks", checks.resuming, sure=True))
        found.append(Task("checks/evaluation", "checks", checks.evaluation, sure=True))
    return found


def _folders(settings: Settings) -> list[Task]:
    """Uncompiled: what compiling takes differs more from time to time than all of a folder's pictures take."""
    variants = [variant for variant in settings.variants if not compiled(variant)]
    return [
        Task(
            f"completion/folder/{model}",
            "work",
            folders.rows,
            (model, variants),
            sure=True,
            names=tuple(f"completion/folder/{model}/{variant}" for variant in variants),
        )
        for model in ([model for model in PHASES if model not in FOR_ONE_SIZE] if variants else ())
    ]


def _families(settings: Settings) -> list[Task]:
    return [
        Task(family, "work", work.rows, (family,), names=tuple(names)) for family, names in work.names(settings).items()
    ]


def _growth(settings: Settings) -> list[Task]:
    return [Task(f"growth/{case.name}", "growth", growth.rows, (case,)) for case in growth.points(settings)]
