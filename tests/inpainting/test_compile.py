"""The option ``compile``: what it asks for, and the laws in ``compiled.py`` in a process of their own.

There beartype is off: torch's compiler cannot trace through the checks of signatures that the other tests have on.
"""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

from inpaintlab.inpainting import CompileTimer
from stand_ins.commands import environment, run_here, tiny

LAWS = Path(__file__).with_name("compiled.py")


@pytest.mark.slow
@pytest.mark.parametrize("which", ["not endurance", pytest.param("endurance", marks=pytest.mark.endurance)])
def test_compiled_networks_obey_their_laws(tmp_path: Path, which: str) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-o", "addopts=", "-m", which, str(LAWS)]
    # of what torch's compiler imports, in torch 2.13
    command += ["-W", "ignore::DeprecationWarning", "-W", "ignore:The .grad attribute:UserWarning"]
    ended = subprocess.run(
        command, cwd=LAWS.parents[1], env=environment(tmp_path), capture_output=True, text=True, timeout=600
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


@pytest.mark.parametrize("verb", ["complete", "evaluate"])
def test_completions_without_a_compiler_are_told_of_before_anything_is_written(tmp_path: Path, verb: str) -> None:
    method = ["model=glcic", "model.width=0.0625", "untrained=true", "compile=true"]
    for name in ("photo", "hole"):
        Image.new("RGB", (32, 32), "white").save(tmp_path / f"{name}.png")
    given = {
        "complete": ["image=photo.png", "holes=hole.png", "out=done/photo.png"],
        "evaluate": ["manifest=test.json"],
    }
    run_here("manifest", "data=toy", "data.size=32", "images=1", "out=test.json", cwd=tmp_path)
    before = sorted(tmp_path.rglob("*"))
    with torch._inductor.config.patch({"cpp.cxx": (None, "no-such-compiler")}):
        ended = run_here(verb, *method, *given[verb], cwd=tmp_path)
    assert ended.returncode == 1
    assert "install a C++ compiler, or go on with compile=false." in ended.stderr
    assert len(ended.stderr.strip().splitlines()) == 1
    assert sorted(tmp_path.rglob("*")) == before


def test_the_stopwatch_counts_what_the_compiler_takes_and_nothing_else() -> None:
    """From 2 to 5 s and from 6 to 7 s of its clock; what is compiled afterwards is not its business."""
    from torch._dynamo.callback import CallbackTrigger, callback_handler

    clock = iter([2.0, 5.0, 6.0, 7.0, 8.0, 8.5])
    with CompileTimer(lambda: next(clock)) as watch:
        assert watch.taken() == 0
        for _ in range(2):
            with callback_handler.install_callbacks(CallbackTrigger.DYNAMO, "0/0"):
                pass
        assert watch.taken() == 4
        assert watch.taken() == 0
    with callback_handler.install_callbacks(CallbackTrigger.DYNAMO, "0/1"):
        pass
    assert watch.taken() == 0


def test_compile_is_true_or_false(tmp_path: Path) -> None:
    ended = run_here("train", *tiny("glcic"), "compile=yes", cwd=tmp_path)
    assert ended.returncode == 1
    assert "compile is 'yes'; it must be true or false." in ended.stderr
