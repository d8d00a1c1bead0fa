"""Where a run or a result comes from: code, commit, versions, machine."""

import ast
import contextlib
import functools
import hashlib
import importlib.util
import platform
import subprocess
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

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

_OPTIONAL = ("torchvision", "torch-fidelity", "scikit-learn")  # pip install "inpaintlab[perceptual]"


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


def code_sha256(modules: Iterable[ModuleType | str]) -> str:
    """Hash of the source of these modules and of all that they import from their own packages and from this one.

    While the hash of its method and metrics stays the same, a result need not be computed again, whatever else changed.

    Args:
        modules: modules, or their dotted names as in ``__module__`` of a class.

    Raises:
        ValueError: one of them is no module, or has no source in Python.
    """
    sources: dict[str, bytes] = {}
    waiting = [module if isinstance(module, str) else module.__name__ for module in modules]
    for name in waiting:  # of these alone: what they import may be a class or a function
        if _source_file(name) is None:
            raise ValueError(f"{name} is no module with a source in Python, so its code cannot be hashed.")
    while waiting:
        name = waiting.pop()
        path = _source_file(name) if name not in sources else None
        if path is not None:
            sources[name] = path.read_bytes()
            followed = (name.partition(".")[0], __package__)  # a method of another package builds on this one
            imported = _imported(sources[name], name if path.name == "__init__.py" else name.rpartition(".")[0])
            waiting += [found for found in imported if found.partition(".")[0] in followed]
    digest = hashlib.sha256()
    for name in sorted(sources):
        digest.update(f"{name} {len(sources[name])}\n".encode() + sources[name])
    return digest.hexdigest()


def _source_file(name: str) -> Path | None:
    """The file of a module; None for a name that is no module, such as a class's."""
    try:
        spec = importlib.util.find_spec(name)
    except ModuleNotFoundError:
        return None
    return Path(spec.origin) if spec is not None and spec.origin and spec.origin.endswith(".py") else None


@functools.cache  # several hashes share most of their modules
def _imported(source: bytes, package: str) -> list[str]:
    """Dotted names of everything that a source of this package imports, anywhere in it; not all of them are modules."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = ".".join(package.split(".")[: len(package.split(".")) + 1 - node.level]) if node.level else ""
            module = ".".join(part for part in (above, node.module) if part)
            found += [module, *(f"{module}.{alias.name}" for alias in node.names)]
    return found
