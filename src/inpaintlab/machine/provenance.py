"""Where a run or a result comes from: code, commit, versions, machine."""

import ast
import contextlib
import functools
import hashlib
import importlib.util
import platform
import subprocess
import sys
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import torch

_PACKAGES = (
    "torch",
    "lightning",
    "torchmetrics",
    "kornia",
    "scikit-image",
    "opencv-python-headless",
    "pillow",
    "numpy",
)

_OPTIONAL = ("torchvision", "torch-fidelity", "scikit-learn", "numba", "PyPatchMatch")  # the extras that give numbers


def commit() -> str | None:
    """The commit of the checkout that this code runs from, with '+' if files differ from it; None outside one."""
    here = Path(__file__).parent
    try:
        inside = _git(here, "ls-files", "--error-unmatch", Path(__file__).name)
        changes = _git(here, "status", "--porcelain", "--untracked-files=no") if inside else ""
        return _git(here, "rev-parse", "HEAD") + ("+" if changes else "") if inside else None
    except (FileNotFoundError, subprocess.CalledProcessError):
        return None  # no git, or an installed package: the versions say what ran


def _git(folder: Path, *arguments: str) -> str:
    return subprocess.run(("git", *arguments), cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


def command_line() -> list[str]:
    """The command of this process as it was typed, which ``shlex.join`` makes one to be pasted.

    Such as ``["inpaintlab", "train", "seed=2"]``, also for ``python -m inpaintlab.verbs.train seed=2``; in a program of
    somebody else's, that program and its arguments.
    """
    typed = sys.orig_argv
    for at, part in enumerate(typed[1:], 1):
        if part.startswith("-") or typed[at - 1] in ("-X", "-W"):  # an option of Python's
            continue
        if typed[at - 1] == "-m" and part.partition(".")[0] == "inpaintlab":
            return [*(word for word in part.split(".") if word != "verbs"), *typed[at + 1 :]]
        if Path(part).name in ("inpaintlab", "inpaintlab.exe"):
            return ["inpaintlab", *typed[at + 1 :]]
        break
    return list(typed)


def versions() -> dict[str, str]:
    """Versions of this package, of Python, and of every library whose version can change a number."""
    found = {name: version(name) for name in ("inpaintlab", *_PACKAGES)}
    for name in _OPTIONAL:
        with contextlib.suppress(PackageNotFoundError):  # not installed, so it computes nothing
            found[name] = version(name)
    return {"python": platform.python_version(), **found}


def machine(device: "torch.device") -> str:
    """The device that computes, in words."""
    import torch  # takes seconds, for which commands that compute nothing need not wait

    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    return f"{_processor()}, {threads} thread{'s' if threads > 1 else ''}"


def _processor() -> str:
    """The processor's model on Linux, else its architecture; times compare on equal models only."""
    try:
        cpuinfo = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        cpuinfo = ""
    models = [line.partition(":")[2].strip() for line in cpuinfo.splitlines() if line.startswith("model name")]
    return " ".join(models[0].split()) if models and models[0] else f"{platform.machine()} CPU"


class _Import(NamedTuple):
    """One imported name.

    Args:
        bound: what the importing source calls it.
        module: where it is imported from.
        name: what that module calls it; None for the module itself.
    """

    bound: str
    module: str
    name: str | None


def code_sha256(modules: Iterable[ModuleType | str]) -> str:
    """Hash of the source of these modules and of all that they import from their own packages and from this one.

    A name that is imported from a package counts as the file that defines it, with that file's own imports; of the
    package's ``__init__`` only the line that imports the name counts. While the hash of its method and metrics stays
    the same, a result need not be computed again, whatever else changed.

    Args:
        modules: modules, or their dotted names as in ``__module__`` of a class.

    Raises:
        ValueError: one of them is no module, or has no source in Python.
    """
    names = [module if isinstance(module, str) else module.__name__ for module in modules]
    for name in names:  # of these alone: what they import may be a class or a function
        if _source_file(name) is None:
            raise ValueError(f"{name} is no module with a source in Python, so its code cannot be hashed.")
    sources: dict[str, bytes] = {}
    waiting = [_Import(name, name, None) for name in names]
    while waiting:
        key, source, followed = _counted(waiting.pop())
        if source is not None and key not in sources:
            sources[key] = source
            waiting += followed
    digest = hashlib.sha256()
    for key in sorted(sources):
        digest.update(f"{key} {len(sources[key])}\n".encode() + sources[key])
    return digest.hexdigest()


def _counted(imported: _Import) -> tuple[str, bytes | None, list[_Import]]:
    """The key and the source that an import adds to a hash, and the imports that follow from it; None adds nothing."""
    module = imported.module
    if imported.name is not None and _source_file(f"{module}.{imported.name}") is not None:
        module, imported = f"{module}.{imported.name}", imported._replace(name=None)
    path = _source_file(module)
    if path is None:
        return module, None, []
    source, is_package = path.read_bytes(), path.name == "__init__.py"
    imports = _imports(source, module if is_package else module.rpartition(".")[0])
    reexports = [found for found in imports if is_package and found.bound == imported.name]
    if reexports:
        source, imports = repr(reexports).encode(), tuple(reexports)
        key = f"{module} {imported.name}"
    else:
        key = module
    ours = (module.partition(".")[0], __name__.partition(".")[0])  # a method of another package builds on this one
    return key, source, [found for found in imports if found.module.partition(".")[0] in ours]


def _source_file(name: str) -> Path | None:
    """The file of a module; None for a name that is no module, such as a class's."""
    try:
        spec = importlib.util.find_spec(name)
    except ModuleNotFoundError:
        return None
    return Path(spec.origin) if spec is not None and spec.origin and spec.origin.endswith(".py") else None


@functools.cache  # several hashes share most of their modules
def _imports(source: bytes, package: str) -> tuple[_Import, ...]:
    """Everything that a source of this package imports, anywhere in it."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [_Import(alias.asname or alias.name, alias.name, None) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = ".".join(package.split(".")[: len(package.split(".")) + 1 - node.level]) if node.level else ""
            module = ".".join(part for part in (above, node.module) if part)
            found += [_Import(alias.asname or alias.name, module, alias.name) for alias in node.names]
    return tuple(found)
