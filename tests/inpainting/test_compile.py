"""The option ``compile``: what it asks for, and the laws in ``compiled.py`` in a process of their own.

There beartype is off: torch's compiler cannot trace through the checks of signatures that the other tests have on.
"""

import contextlib
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from PIL import Image

from inpaintlab.inpainting import Compilation, CompileTimer, chosen_compilation, compiling
from inpaintlab.inpainting.compiling import PAYS_FROM, CompilerTimeout
from stand_ins.commands import environment, run_here, tiny

LAWS = Path(__file__).with_name("compiled.py")


@pytest.mark.slow
@pytest.mark.parametrize("which", ["not endurance", pytest.param("endurance", marks=pytest.mark.endurance)])
def test_compiled_networks_obey_their_laws(tmp_path: Path, which: str) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-o", "addopts=", "-m", which, str(LAWS)]
    command += ["--show-capture=no"]  # thousands of lines of torch's compiler
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
    with CompileTimer(clock=lambda: next(clock)) as watch:
        assert watch.taken() == 0
        for _ in range(2):
            with callback_handler.install_callbacks(CallbackTrigger.DYNAMO, "0/0"):
                pass
        assert watch.taken() == 4
        assert watch.taken() == 0
    with callback_handler.install_callbacks(CallbackTrigger.DYNAMO, "0/1"):
        pass
    assert watch.taken() == 0


def test_a_compiler_that_catches_all_its_errors_is_stopped_too() -> None:
    from torch._dynamo.callback import CallbackTrigger, callback_handler

    def compiling_for_ever() -> None:
        with callback_handler.install_callbacks(CallbackTrigger.DYNAMO, "0/0"):
            for _ in range(1000):
                with contextlib.suppress(Exception):
                    time.sleep(0.01)

    with CompileTimer(0.1), pytest.raises(CompilerTimeout, match=r"more than 0\.1 s \(compile_limit\)"):
        compiling_for_ever()
    time.sleep(0.2)  # nothing is stopped afterwards


@pytest.mark.parametrize(
    ("value", "device", "batches", "on", "reason"),
    [
        (False, "cuda", 10**6, False, "compile=false"),
        (True, "cuda", 1, True, "each phase begins with a minute or two of it"),
        ("auto", "cpu", 10**6, False, "auto: on a CPU it gains next to nothing"),
        ("auto", "cuda", PAYS_FROM - 1, False, "auto: on a GPU it pays from 20,000 batches"),
        (
            *("auto", "cuda", PAYS_FROM, True),
            "auto: on a GPU it pays from 20,000 batches; each phase begins with a minute or two",
        ),
    ],
)
def test_networks_are_compiled_when_asked_for_or_where_it_pays(
    monkeypatch: pytest.MonkeyPatch, value: bool | str, device: str, batches: int, on: bool, reason: str
) -> None:
    monkeypatch.setattr(compiling, "require_compiler", lambda device: None)
    assert chosen_compilation(value, device, batches) == Compilation(on, reason)


def test_without_a_compiler_auto_says_so_and_true_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(device: str) -> None:
        raise ValueError("no Triton.")

    monkeypatch.setattr(compiling, "require_compiler", missing)
    assert chosen_compilation("auto", "cuda", PAYS_FROM) == Compilation(False, "auto: no Triton.")
    with pytest.raises(ValueError, match="no Triton"):
        chosen_compilation(True, "cuda", PAYS_FROM)


def test_the_plan_says_whether_networks_are_compiled(tmp_path: Path) -> None:
    ended = run_here("train", *tiny("glcic", 1), cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert re.search(r"^compile: +no \(auto: on a CPU it gains next to nothing\)$", ended.stdout, re.MULTILINE)


def test_compile_is_true_or_false(tmp_path: Path) -> None:
    ended = run_here("train", *tiny("glcic"), "compile=yes", cwd=tmp_path)
    assert ended.returncode == 1
    assert "compile is 'yes'; it must be auto, true or false." in ended.stderr
