"""A study: a YAML file names a test set and methods; missing results are evaluated, existing ones reused."""

import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra import compose
from hydra.errors import HydraException, InstantiationException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException
from rich.console import Console

from inpaintlab.evaluation.plan import LABEL_RULE, plan_evaluation
from inpaintlab.machine import read_yaml
from inpaintlab.recipes import overrides, require_choices, require_literal, require_settings
from inpaintlab.runs import is_name
from inpaintlab.settings import require_values
from inpaintlab.testsets import ManifestDataset

_PARTS = {"manifest": str, "results": str, "evaluate": dict, "methods": dict, "compare": dict}


_IN_WORDS = {
    "manifest": "a file that `inpaintlab manifest create` made",
    "results": "the folder of all result folders",
    "evaluate": "settings of inpaintlab evaluate",
    "methods": "at least one method, as in `telea: {model: telea}`",
    "compare": "settings of inpaintlab compare",
}


# Settings that the study decides for all methods, so no method may set them.
_SET_BY_THE_STUDY = {"manifest", "results", "label", "study"}


_COMMAND = "inpaintlab evaluate: "


@dataclass(frozen=True)
class Study:
    """The content of a study's file.

    Args:
        path: the file.
        manifest: the file of the test set.
        results: the folder that holds the result folders of all methods.
        evaluate: settings of ``inpaintlab evaluate`` for every method.
        methods: label to the method's own settings, which override ``evaluate``.
        compare: settings of ``inpaintlab compare``.
    """

    path: Path
    manifest: str
    results: str
    evaluate: dict[str, Any]
    methods: dict[str, dict[str, Any]]
    compare: dict[str, Any]

    @classmethod
    def load(cls, path: Path) -> "Study":
        """Read a study. Paths in it are relative to the working folder, as on a command line.

        Raises:
            ValueError: no such file, no YAML, or a part that is unknown, missing or of the wrong type.
        """
        content = _read(path)
        unknown = [key for key in content if key not in _PARTS]
        if unknown:
            raise ValueError(f"{path} has a part '{unknown[0]}'; a study has the parts {', '.join(_PARTS)}.")
        content = {key: value for key, value in content.items() if value is not None}
        for key, kind in _PARTS.items():
            if key in content and not isinstance(content[key], kind):
                raise ValueError(f"{path}: {key} is {content[key]!r}; it must be {_IN_WORDS[key]}.")
        for key in ("manifest", "methods"):
            if not content.get(key):
                raise ValueError(f"{path} has no {key}; name {_IN_WORDS[key]}.")
        parts = {"results": "results", "evaluate": {}, "compare": {}} | content
        for part in ("evaluate", "compare"):
            _check_settings(f"{path}, {part}", parts[part])
        for label, settings in parts["methods"].items():
            _check_method(path, label, settings, parts["evaluate"])
        return cls(path=path, **parts)

    def of_method(self, label: str) -> list[str]:
        """The overrides of ``inpaintlab evaluate`` that score one method."""
        own = {"manifest": self.manifest, "results": self.results, "label": label}
        settings = self.evaluate | self.methods[label] | own
        if not settings.get("model"):  # the checkpoint holds the settings, and single ones override them
            settings = {
                f"+{key}" if key.startswith(("model.", "model/edges")) else key: value
                for key, value in settings.items()
            }
        return overrides(settings)

    def comparison(self, given: Sequence[str]) -> DictConfig:
        """The settings of the comparison: the study's, overridden by those ``given`` on the command line.

        Raises:
            ValueError: the study names a setting that a comparison does not have.
        """
        chosen = {override.lstrip("+~").partition("=")[0] for override in given}
        own = {key: value for key, value in self.compare.items() if key not in chosen}
        if "root" in self.evaluate and "root" not in chosen:
            own = {"root": self.evaluate["root"]} | own
        try:
            require_choices(own)
            cfg = compose("compare", [*overrides(own), *given])
            require_values("compare", cfg)
        except (HydraException, OmegaConfBaseException, ValueError) as error:
            raise ValueError(f"{self.path}, compare: {_in_one_line(error)}") from error
        return cfg


def _read(path: Path) -> dict[Any, Any]:
    if not path.is_file():
        raise ValueError(f"There is no study at {path.absolute()}; give the YAML file that names the methods.")
    content = read_yaml(path, "a study, which names a manifest and methods")
    for part in ("manifest", "results"):
        require_literal(content.get(part), f"{path}, {part}")
    return content


def _check_method(path: Path, label: Any, settings: Any, common: dict[Any, Any]) -> None:
    """Raise a ValueError if a label cannot name a folder, or if a method is missing, ambiguous or no text."""
    if not is_name(label):
        raise ValueError(f"{path}: a method is called {label!r}; {LABEL_RULE}.")
    require_literal(label, f"{path}, methods")
    where = f"{path}, method '{label}'"
    if not isinstance(settings, dict):
        raise ValueError(f"{where} is {settings!r}; it must be settings, as in `{label}: {{model: telea}}`.")
    _check_settings(where, settings)
    settings = common | settings
    for key in ("checkpoint", "model"):
        if not isinstance(
            settings.get(key), str | list | None
        ):  # of a list each entry is held against the choices later
            raise ValueError(f"{where}: {key} is {settings[key]!r}; it must be a text.")
    if settings.get("checkpoint") and settings.get("untrained"):
        raise ValueError(f"{where}: checkpoint and untrained contradict each other; leave one of them out.")
    if not settings.get("checkpoint") and not settings.get("model"):
        raise ValueError(f"{where} names no method; give checkpoint: runs/NAME, or model: telea (or another method).")


def _check_settings(where: str, settings: dict[Any, Any]) -> None:
    for key in settings:
        if key in _SET_BY_THE_STUDY:
            raise ValueError(f"{where}: {key} is said by the study itself; leave it out here.")
    require_settings(settings, where)


def evaluate_missing(study: Study, missing: list[str], console: Console, given: Sequence[str]) -> None:
    """Evaluate the methods that are missing (see `look_for_results`), each in a process of its own.

    If a method fails, the others are still evaluated, and the same study goes on from there.

    Args:
        study: the study.
        missing: labels of the methods without a result.
        console: shows the progress.
        given: what the command line says of further YAML and of trusted packages, as it is to be said again.

    Raises:
        ValueError: methods failed; the message says which, and why.
    """
    known = len(study.methods) - len(missing)
    message = f"{study.path}: {known} of {len(study.methods)} methods are there already"
    console.print(message, markup=False, highlight=False)
    failed = []
    for number, label in enumerate(missing, 1):
        console.print(f"evaluating {label} ({number} of {len(missing)})", markup=False, highlight=False)
        # a process of its own may start one process per device, frees its memory, and cannot end other evaluations
        command = [sys.executable, "-m", "inpaintlab.verbs.evaluate", *given, *study.of_method(label)]
        done = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
        if done.returncode:
            failed.append(f"method '{label}': {_reason(done)}")
        else:
            sys.stderr.write(done.stderr)
    if failed:
        raise ValueError(
            f"{study.path}: {len(failed)} of {len(missing)} evaluations failed ({'; '.join(failed)}); the others are "
            "done, so mend this and give the same command again."
        )


def look_for_results(study: Study) -> tuple[list[Path], list[str]]:
    """The result folders of the study, and the labels of the methods that lack one.

    Builds and checks every method, so that mistakes show before anything is evaluated.

    Raises:
        ValueError: methods cannot be evaluated; the message says which, and why.
    """
    folders: list[Path] = []
    missing, faults = [], []
    for label in study.methods:
        try:
            require_choices(study.evaluate | study.methods[label])
            settings = study.of_method(label)
            cfg = compose("evaluate", settings, return_hydra_config=True)
            require_values("evaluate", cfg)
            plan = plan_evaluation(cfg, cfg.hydra.runtime.choices.get("model"), settings)
            if plan.missing:
                maps = bool(plan.model.reads_edges)
                ManifestDataset(plan.manifest, cfg.root, cfg.mask_root, with_edges=maps)[0]  # are the photographs here?
                missing.append(label)
        except (HydraException, OmegaConfBaseException, ValueError, OSError) as error:
            inner = error.__cause__ if isinstance(error, InstantiationException) else None
            faults.append(f"method '{label}': {_in_one_line(inner or error)}")
            continue
        for folder in (*plan.finished, *(scores.folder for scores in plan.missing)):
            if folder in folders:
                faults.append(f"method '{label}': {folder} is the result of another method too; rename one")
            folders.append(folder)
    if faults:
        raise ValueError(f"{study.path}, {'; '.join(faults)}")
    return folders, missing


def _reason(done: subprocess.CompletedProcess[str]) -> str:
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    if done.returncode < 0:
        return f"its process was ended by signal {-done.returncode}"
    # of several processes, the others print errors too after one has failed
    errors = [line.removeprefix(_COMMAND) for line in lines if line.startswith(_COMMAND)]
    return (errors or lines)[-1] if lines else f"exit code {done.returncode}"


def _in_one_line(error: BaseException) -> str:
    """An error's message in one line; of Hydra's messages the part that a study's author needs."""
    words = " ".join(str(error).split()).partition(" Config search path:")[0]
    return re.sub(r"Could not override '(.*?)'\..*", r"there is no setting '\1'", words)
