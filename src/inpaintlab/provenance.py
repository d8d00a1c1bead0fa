"""Where a run or a result comes from: commit, versions, machine."""

import hashlib
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

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
    return {"python": platform.python_version(), **found}


def machine() -> str:
    """The device that computes, in words."""
    if torch.cuda.is_available():
        return f"{torch.cuda.device_count()} x {torch.cuda.get_device_name()}"
    return f"{platform.machine()} CPU, {torch.get_num_threads()} threads"


def file_sha256(path: Path) -> str:
    """Hash of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
