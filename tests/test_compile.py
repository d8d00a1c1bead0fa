"""The option ``compile``: what it asks for, and the laws in ``compiled.py`` in a process of their own.

There beartype is off: torch's compiler cannot trace through the checks of signatures that the other tests have on.
"""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from commands import environment, run_here, tiny

LAWS = Path(__file__).with_name("compiled.py")


@pytest.mark.slow
def test_compiled_networks_obey_their_laws(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-o", "addopts=", str(LAWS)]
    # of what torch's compiler imports, in torch 2.13
    command += ["-W", "ignore::DeprecationWarning", "-W", "ignore:The .grad attribute:UserWarning"]
    ended = subprocess.run(
        command, cwd=LAWS.parents[1], env=environment(tmp_path), capture_output=True, text=True, timeout=240
    )
    assert ended.returncode == 0, ended.stdout[-5000:] + ended.stderr
    assert " passed" in ended.stdout


def test_a_machine_without_a_compiler_is_told_before_anything_is_written(tmp_path: Path) -> None:
    with torch._inductor.config.patch({"cpp.cxx": (None, "no-such-compiler")}):
        ended = run_here("train", *tiny("glcic"), "compile=true", cwd=tmp_path)
    assert ended.returncode == 1
    assert "install a C++ compiler, or go on with compile=false." in ended.stderr
    assert len(ended.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "runs").exists()


def test_compile_is_true_or_false(tmp_path: Path) -> None:
    ended = run_here("train", *tiny("glcic"), "compile=yes", cwd=tmp_path)
    assert ended.returncode == 1
    assert "compile is 'yes'; it can be true or false." in ended.stderr
