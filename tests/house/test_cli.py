"""The command answers at once, names its verbs, and tells a user's mistake in one sentence."""

import subprocess
import sys
from pathlib import Path

import pytest

from inpaintlab import __version__, cli
from stand_ins.commands import SCRIPT, run, run_anew, run_here, tiny

HYDRA_VERBS = [verb for verb in cli.VERBS if verb != "weights"]  # it takes names and files, no settings
NAMED = {"figures": ["fig6_sigma"]}  # does nothing without a name


def dispatch(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["inpaintlab", *arguments])
    cli.main()


def one_sentence(text: str) -> bool:
    return "Traceback" not in text and len(text.strip().splitlines()) == 1


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"], ["help"]])
def test_help_gives_each_verb_a_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    dispatch(monkeypatch, *arguments)
    lines = capsys.readouterr().out.splitlines()
    verbs = {"train", "evaluate", "complete", "compare", "manifest", "doctor", "weights", "shard", "bench", "sweep"}
    verbs |= {"figures", "runs", "export", "serve"}
    assert set(cli.VERBS) == verbs
    for verb, meaning in cli.VERBS.items():
        assert [line for line in lines if line.split()[:1] == [verb]] == [f"  {verb:<10} {meaning}"]
        assert len(f"  {verb:<10} {meaning}") <= 120


def test_help_imports_neither_torch_nor_hydra(tmp_path: Path) -> None:
    code = (
        "import sys; sys.argv = ['inpaintlab', '--help']\n"
        "from inpaintlab.cli import main; main()\n"
        "print('loaded:', [name for name in ('torch', 'hydra', 'lightning', 'numpy', 'wandb') if name in sys.modules])"
    )
    done = run_anew(sys.executable, "-c", code, cwd=tmp_path, home=tmp_path / "home")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "loaded: []"


def test_no_process_of_a_command_imports_what_lies_in_the_present_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "probe.py").write_text("print('was run')")
    done = []

    def verb(*_: object, **__: object) -> None:
        command = [sys.executable, "-m", "probe"]
        done.append(subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False))

    monkeypatch.setenv("PYTHONSAFEPATH", "")
    verb()
    monkeypatch.setattr("runpy.run_module", verb)
    dispatch(monkeypatch, "train")
    assert [process.stdout for process in done] == ["was run\n", ""]


def test_the_console_script_tells_its_version(tmp_path: Path) -> None:
    done = run_anew(SCRIPT, "--version", cwd=tmp_path, home=tmp_path / "home")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{__version__}\n", "")


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["--version"], 0, f"{__version__}\n"),
        (["trian"], 2, "inpaintlab: there is no verb 'trian'. Did you mean 'train'?"),
        (["manifest", "shwo"], 2, "inpaintlab manifest: there is no 'shwo'. Did you mean 'show'?"),
        (["manifest", "show", "none.json"], 1, "inpaintlab manifest show: There is no manifest at "),
    ],
)
def test_the_package_runs_as_the_command(tmp_path: Path, arguments: list[str], code: int, told: str) -> None:
    ran = [
        run(*command, *arguments, cwd=tmp_path, home=tmp_path / "home")
        for command in ((SCRIPT,), (sys.executable, "-m", "inpaintlab"))
    ]
    assert (ran[0].returncode, ran[0].stdout, ran[0].stderr) == (ran[1].returncode, ran[1].stdout, ran[1].stderr)
    assert ran[1].returncode == code
    assert (ran[1].stdout + ran[1].stderr).startswith(told)


def test_the_package_starts_a_verbs_module_as_the_program(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Lightning starts its other processes as `python -m` and the name of the program's module."""
    monkeypatch.setattr(sys, "argv", ["inpaintlab", "doctor", "data=toy"])
    seen = []
    monkeypatch.setattr(
        "runpy.run_module", lambda name, run_name, alter_sys: seen.append((name, run_name, alter_sys, sys.argv[1:]))
    )
    cli.main()
    assert seen == [("inpaintlab.verbs.doctor", "__main__", True, ["data=toy"])]


def test_an_unknown_verb_is_refused_with_the_nearest_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        dispatch(monkeypatch, "trian", "seed=2")
    assert stop.value.code == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert one_sentence(told.err)
    assert "'trian'" in told.err
    assert "Did you mean 'train'?" in told.err


@pytest.mark.parametrize("verb", HYDRA_VERBS)
def test_each_verb_shows_its_settings_without_work(tmp_path: Path, verb: str) -> None:
    done = run_here(verb, *NAMED.get(verb, []), "--help", cwd=tmp_path)
    assert done.returncode == 0
    assert done.stdout.startswith(f"usage: inpaintlab {verb}")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("verb", HYDRA_VERBS)
def test_the_resolved_settings_are_shown_without_work(tmp_path: Path, verb: str) -> None:
    done = run_here(verb, *NAMED.get(verb, []), "--cfg", "job", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("verb", HYDRA_VERBS)
def test_a_mistyped_setting_is_named(tmp_path: Path, verb: str) -> None:
    done = run_here(verb, *NAMED.get(verb, []), "sedd=2", cwd=tmp_path)
    assert done.returncode == 1
    assert "sedd" in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_mistyped_setting_of_a_model_is_named(tmp_path: Path) -> None:
    done = run_here("train", "model.widht=2", cwd=tmp_path)
    assert done.returncode == 1
    assert "widht" in done.stderr


def test_an_unknown_choice_is_answered_with_the_choices(tmp_path: Path) -> None:
    done = run_here("train", "model=glcci", cwd=tmp_path)
    assert done.returncode == 1
    assert "glcci" in done.stderr
    assert "edgeconnect" in done.stderr


@pytest.mark.parametrize(
    ("verb", "settings", "setting"),
    [
        ("train", ["data=folder"], "data.root"),
        ("train", ["mask=folder"], "mask.root"),
        ("evaluate", ["model=telea"], "manifest"),
        ("manifest", ["data=toy"], "out"),
    ],
)
def test_a_setting_without_default_is_asked_for(tmp_path: Path, verb: str, settings: list[str], setting: str) -> None:
    done = run_here(verb, *settings, cwd=tmp_path)
    assert done.returncode == 1
    assert one_sentence(done.stderr), done.stderr
    assert setting in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_what_a_constructor_refuses_is_one_sentence_with_its_place(tmp_path: Path) -> None:
    done = run_here("train", *tiny("glcic"), "model.patch_size=64", cwd=tmp_path)
    assert done.returncode == 1
    assert one_sentence(done.stderr), done.stderr
    assert "the local window must fit into the image" in done.stderr
    assert "'model'" in done.stderr


def test_the_whole_trace_is_there_for_who_asks(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no manifest at"):
        run_here("evaluate", "model=telea", "manifest=none.json", cwd=tmp_path, HYDRA_FULL_ERROR="1")


def test_a_method_that_does_not_learn_is_sent_to_evaluate(tmp_path: Path) -> None:
    done = run_here("train", "model=telea", cwd=tmp_path)
    assert done.returncode == 1
    assert one_sentence(done.stderr)
    assert "inpaintlab evaluate" in done.stderr
    assert list(tmp_path.iterdir()) == []
