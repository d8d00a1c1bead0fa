"""Completion in a shell: what the tab key offers, and what bash makes of it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from inpaintlab import cli
from inpaintlab.cli import VERBS
from inpaintlab.commandline.shell import answer_shell, completions
from inpaintlab.config import CONF
from stand_ins.commands import SCRIPT

BREAKS = " \t\n\"'><=;|&(:"
"""What bash divides words at."""


def offered(line: str, breaks: str = "") -> list[str]:
    return completions(CONF, f"inpaintlab {line}", list(VERBS), breaks)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("tr", ["train "]),
        ("manifest ", ["create ", "import ", "leaks ", "show ", "split ", "verify "]),
        ("manifest lea", ["leaks "]),
        ("sweep ", ["export ", "status "]),
        ("weights f", ["fetch "]),
        ("ru", ["runs "]),
        ("runs ", ["compare ", "list "]),
        ("runs la", ["last="]),
        ("runs list json=", ["json=false ", "json=true "]),
        ("runs compare x pa", ["page="]),
        ("runs compare /usr/shar", ["/usr/share/"]),  # a folder, and not a run whose name is complete
        ("train model=ed", ["model=edgeconnect ", "model=edgeconnect_paper "]),
        ("train -m model=glcic,edgeconnect_", ["model=glcic,edgeconnect_paper "]),
        ("train model/sch", ["model/schedule="]),
        ("train hydra/launcher=l", ["hydra/launcher=local "]),
        ("train hydra.l", ["hydra.launcher."]),
        ("train model=edgeconnect model.edges.si", ["model.edges.sigma="]),
        ("train model=glcic model.si", []),
        ("train 'notes=two words' model=edgeconnect model.edges.si", ["model.edges.sigma="]),
        ("train model=nonsense see", ["seed="]),
        ("train +see", ["+seed="]),
        ("train ~logg", ["~logger "]),
        ("train compile=", ["compile=auto "]),
        ("evaluate compile=", ["compile=false ", "compile=true "]),
        ("train every.log=", ["every.log=50 "]),
        ("train --cfg ", ["all ", "hydra ", "job "]),
        ("train --mu", ["--multirun "]),
        ("manifest split m.json pa", ["parts="]),
        ("nonsense m", []),
        ("weights list m", []),
        ("train 'mod", ["model.", "model/edges=", "model/gan=", "model/optimizer=", "model/schedule=", "model="]),
    ],
)
def test_a_word_becomes_what_the_command_knows(line: str, words: list[str]) -> None:
    found = offered(line)
    assert found == sorted(words) or set(found) == set(words)


def test_all_verbs_are_offered_first() -> None:
    assert [word.rstrip() for word in offered("")] == sorted(VERBS)


def test_only_models_that_learn_are_offered_for_training() -> None:
    assert "model=telea " not in offered("train model=te")
    assert "model=telea " in offered("evaluate model=te")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("train model=edgeconnect_", ["edgeconnect_paper "]),
        ("train -m model=glcic,edgeconnect_", ["glcic,edgeconnect_paper "]),
        ("train see", ["seed="]),
        ("sweep status ", []),
        ("train data=folder data.root=ph", []),  # bash itself offers files
    ],
)
def test_bash_gets_what_follows_the_last_character_that_it_divides_at(line: str, words: list[str]) -> None:
    assert offered(line, BREAKS) == words


def test_a_shell_that_does_not_divide_at_an_equals_sign_gets_files_with_their_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "photos/deep").mkdir(parents=True)
    (tmp_path / "photos/p.png").touch()
    monkeypatch.chdir(tmp_path)
    assert offered("train data=folder data.root=ph") == ["data.root=photos/"]
    assert offered("train data=folder data.root=photos/") == ["data.root=photos/deep/", "data.root=photos/p.png "]
    assert offered("train data=folder data.root=absent/x") == []


def test_names_of_runs_and_of_the_jobs_of_a_sweep_are_offered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("glcic-toy", "glcic-places", "sweep/seed-1", "sweep/seed-2", "it's odd", ".hidden"):
        (tmp_path / "runs" / name).mkdir(parents=True)
    (tmp_path / "runs/a file").touch()
    assert offered("runs compare gl", BREAKS) == []  # not where the user is
    monkeypatch.chdir(tmp_path)
    assert offered("runs compare gl", BREAKS) == ["glcic-places ", "glcic-toy "]
    assert offered("runs compare glcic-toy sweep/", BREAKS) == ["sweep/seed-1 ", "sweep/seed-2 "]
    every = offered("runs compare ", BREAKS)
    assert {word for word in every if "=" not in word} == {"glcic-places ", "glcic-toy ", "sweep ", "hydra."}
    assert offered("runs compare runs/", BREAKS) == []  # bash itself offers files
    assert offered("runs compare runs/sw") == ["runs/sweep/"]
    assert offered("sweep status runs/sw") == ["runs/sweep/"]


def test_no_setting_that_is_fixed_is_offered() -> None:
    assert not [word for word in offered("train ") if word.startswith("datamodule")]


BASH = """
eval "$(inpaintlab -sc install=bash)"
try() {
    COMP_LINE=$1 COMP_POINT=$2 COMPREPLY=()
    _inpaintlab inpaintlab
    printf '%s|' "${COMPREPLY[@]}"; echo
}
try 'inpaintlab sh' 13
try 'inpaintlab train model=gl_celeba seed=2' 25
complete -p inpaintlab
eval "$(inpaintlab train -sc uninstall=bash)"
complete -p inpaintlab || type _inpaintlab || echo gone
"""


def test_bash_completes_and_forgets_again(tmp_path: Path) -> None:
    path = f"{Path(SCRIPT).parent}{os.pathsep}{os.environ['PATH']}"
    variables = {"PATH": path, "HOME": str(tmp_path), "LC_ALL": "C"}
    done = subprocess.run(["bash", "-c", BASH], env=variables, cwd=tmp_path, capture_output=True, text=True)
    models = "glcic |glcic_celeba |glcic_mmagic |glcic_otenim |"  # the cursor stands behind model=gl
    registered = "complete -o default -o nospace -F _inpaintlab inpaintlab"
    assert done.stdout.splitlines() == ["shard |", models, registered, "gone"], done.stderr


@pytest.mark.parametrize("arguments", [[], ["install"], ["install=csh"], ["destroy=bash"]])
def test_another_request_is_told_what_there_is(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["inpaintlab", "-sc", *arguments])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 2
    assert "install=SHELL" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["bash", "zsh", "fish"])
def test_each_shell_is_told_how_to_ask(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    answer_shell(CONF, [f"install={name}"], list(VERBS))
    told = capsys.readouterr().out
    assert "-sc query=" in told
    assert ("bashcompinit" in told) == (name == "zsh")  # zsh reads bash's own completion through it
    assert ("complete -c inpaintlab" in told) == (name == "fish")
    answer_shell(CONF, [f"uninstall={name}"], list(VERBS))
    assert "inpaintlab" in capsys.readouterr().out
