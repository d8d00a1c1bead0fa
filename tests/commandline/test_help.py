"""Help comes at once, from conf/ alone; every setting in conf/ has its comment, and help shows it."""

import functools
import re
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from hydra import compose, initialize_config_dir

from inpaintlab import cli
from inpaintlab.commandline import help
from inpaintlab.commandline.arguments import COMMANDS, words_of
from inpaintlab.commandline.comments import comments, head
from inpaintlab.commandline.quoting import without_kind
from inpaintlab.config import CONF
from stand_ins.commands import run_anew, run_here
from stand_ins.models import CLASSICAL

FILES = sorted(path for path in CONF.rglob("*.yaml") if path != CONF / "hydra/verb.yaml")
VERBS = {CONF / f"{command.config}.yaml": words for words, command in COMMANDS.items() if command.config}
CHOICES = [path for path in FILES if path not in VERBS]
EXPERIMENTS = [path for path in FILES if path.parent == CONF / "experiment"]
HEAVY = ("torch", "lightning", "wandb", "cv2")


@functools.cache
def composed(*given: Any) -> Any:
    """What a page is made of, once for all that look at it, at whatever width."""
    conf, config, arguments = given
    return composing(conf, config, list(arguments))


composing = help.composed


@pytest.fixture(autouse=True)
def composed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody changes ``conf/`` while tests run, and each page takes half a second."""
    monkeypatch.setattr(help, "composed", lambda *given: composed(*given[:2], tuple(given[2])))


def asked(capsys: pytest.CaptureFixture[str], *arguments: str, columns: int = 120) -> str:
    """What ``inpaintlab ...`` prints at this width."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["inpaintlab", *arguments])
        patch.setenv("COLUMNS", str(columns))
        cli.main()
    return capsys.readouterr().out


def ident(path: Path) -> str:
    return str(path.relative_to(CONF).with_suffix("")).replace("/", ".")


# ----------------------------------------------------------------------------------------------------------- comments


def written(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "a.yaml"
    file.write_text(text)
    return file


def test_the_head_is_what_a_file_begins_with(tmp_path: Path) -> None:
    file = written(tmp_path, "# @package trainer\n# one\n# two\na: 1\n# three\nb: 2\n")
    assert head(file) == ["one", "two"]
    assert comments(file) == {"a": "", "b": "three"}


def test_a_comment_stands_behind_or_above_its_key(tmp_path: Path) -> None:
    text = """
a: 1  # behind

# above,
# in two lines
b: [1, 2]
c: "no # comment"
d: 'x'  # behind # all of it
e:  # of the mapping
  f: null  # inside
  # above, inside
  g:
    h: ${half:${a}}  # deep
i: {j: 1, k: {l: 2}}  # of the whole
m:
  - {n: 1}  # of an entry
"""
    assert comments(written(tmp_path, text)) == {
        "a": "behind",
        "b": "above, in two lines",
        "c": "",
        "d": "behind # all of it",
        "e": "of the mapping",
        "e.f": "inside",
        "e.g": "above, inside",
        "e.g.h": "deep",
        "i": "of the whole",
        "i.j": "",
        "i.k": "",
        "i.k.l": "",
        "m": "",
    }


def test_a_file_without_keys_has_no_comments_of_keys(tmp_path: Path) -> None:
    file = written(tmp_path, "# nothing here\n")
    assert (head(file), comments(file)) == (["nothing here"], {})


# --------------------------------------------------------------------------------------------------- the files of conf/


def base_files(file: Path) -> list[Path]:
    """The files of its own group that a file builds on, and theirs."""
    entries = (yaml.safe_load(file.read_text()) or {}).get("defaults", [])
    direct = [file.parent / f"{entry}.yaml" for entry in entries if isinstance(entry, str) and entry != "_self_"]
    return [base for first in direct if first.is_file() for base in (*base_files(first), first)]


def leaves(value: Any, prefix: str = "") -> list[str]:
    """The dotted keys of everything that is no mapping, without those that Hydra reads."""
    if not isinstance(value, dict) or not value:
        return [prefix]
    return [leaf for key, inner in value.items() if key[0] != "_" for leaf in leaves(inner, f"{prefix}.{key}")]


def parents(key: str) -> list[str]:
    """``a.b.c`` and ``a.b`` and ``a``."""
    parts = key.split(".")
    return [".".join(parts[:length]) for length in range(len(parts), 0, -1)]


@pytest.mark.parametrize("file", [path for path in FILES if path not in EXPERIMENTS], ids=ident)
def test_every_key_has_its_comment_where_it_stands(file: Path) -> None:
    """A key that a file changes has its comment there, or in the file that it is changed from."""
    content = yaml.safe_load(file.read_text()) or {}
    keys = [leaf.lstrip(".") for key, value in content.items() if key[0] != "_" for leaf in leaves(value, key)]
    known = [comments(path) for path in (file, *base_files(file))]
    bare = [key for key in keys if not any(told.get(place) for told in known for place in parents(key))]
    hydras = ("defaults", "hydra.sweep.dir") if file in VERBS else ("defaults",)
    assert [key for key in bare if key not in hydras] == []


@pytest.mark.parametrize("file", EXPERIMENTS, ids=ident)
def test_every_key_that_an_experiment_changes_has_its_comment(file: Path) -> None:
    content = yaml.safe_load(file.read_text())
    keys = [leaf for key, value in content.items() if key != "defaults" for leaf in leaves(value, key)]
    meanings = help.composed(CONF, "train", [f"experiment={file.stem}"]).meanings
    assert [key for key in keys if not any(meanings.get(place) for place in parents(key))] == []


@pytest.mark.parametrize("file", CHOICES, ids=ident)
def test_every_choice_says_what_it_is(file: Path) -> None:
    assert head(file)


@pytest.mark.parametrize("file", VERBS, ids=ident)
def test_every_commands_file_begins_with_its_usage_and_what_it_does(file: Path) -> None:
    lines = head(file)
    assert lines[0].startswith(f"inpaintlab {VERBS[file]} ") or lines[0] == f"inpaintlab {VERBS[file]}"
    assert not lines[-1].startswith("inpaintlab ")


# ------------------------------------------------------------------------------------------------------------ the page


@pytest.mark.parametrize(
    ("command", "columns"), [*((command, 80) for command in COMMANDS), ("train", 40), ("train", 110), ("train", 200)]
)
def test_a_page_keeps_to_the_terminals_width(capsys: pytest.CaptureFixture[str], command: str, columns: int) -> None:
    page = asked(capsys, *command.split(), "--help", columns=columns)
    wide = [line for line in page.splitlines() if len(line) > min(max(columns, 80), 120)]
    # usage and settings are to be copied in one piece, a group's name stands with its owners
    copied = re.compile(r"usage: |       inpaintlab |  \S+(=| \(of )")
    assert [line for line in wide if not copied.match(line)] == []


@pytest.mark.parametrize("command", [command for command in COMMANDS if COMMANDS[command].config])
def test_a_page_names_each_setting_with_its_comment(capsys: pytest.CaptureFixture[str], command: str) -> None:
    page = " ".join(asked(capsys, *command.split(), "--help").split())
    for key, meaning in comments(CONF / f"{COMMANDS[command].config}.yaml").items():
        place = f" {key}="
        hidden = meaning.startswith(help.FIXED) or key.startswith(("hydra", "datamodule"))
        if meaning and not hidden and "." not in key and place in page:
            assert " ".join(without_kind(meaning).split()) in page
        if hidden:
            assert place not in page


def test_a_page_shows_no_key_that_a_user_does_not_set(capsys: pytest.CaptureFixture[str]) -> None:
    page = asked(capsys, "train", "--help")
    for inside in ("_target_", "_partial_", "_convert_", "datamodule", "hydra.run", "max_epochs", "job_logging"):
        assert inside not in page
    assert "\n  seed=1 " in page
    assert re.search(r"\n  model\.width=1\.0 +of all channel counts; 1 is the paper's network\n", page)
    assert re.search(r"\n  trainer\.devices=1 +how many", page)
    assert "trainer.strategy" not in page
    assert "\n  trainer.strategy.timeout.seconds=600 " in asked(capsys, "train", "trainer=ddp", "--help")


def test_what_is_given_beside_help_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    given = ["model=edgeconnect", "hydra/sweeper=optuna", "model/gan=hinge", "seed=7", "data=folder", "mask=strokes"]
    page = asked(capsys, "train", *given, "--help")
    for shown in ("* edgeconnect ", "* optuna ", "* hinge ", "* folder ", "* strokes "):
        assert f"\n    {shown}" in page
    for shown in (
        "seed=7",
        "model.edges.sigma=2.0",
        "data.root=???",
        "hydra.sweeper.search.trials=20",
        "mask.angle=72",
    ):
        assert f"\n  {shown} " in page
    assert "model.mean_pixel" not in page


@pytest.mark.parametrize("file", EXPERIMENTS, ids=ident)
def test_every_setting_of_an_experiments_page_is_explained(capsys: pytest.CaptureFixture[str], file: Path) -> None:
    """Of several numbers in one line of the YAML the first, or the line of their mapping, has the meaning of all."""
    others = ["trainer=ddp_nodes", "metrics=all", "logger=none", "hydra/launcher=submitit", "hydra/sweeper=list"]
    page = asked(capsys, "train", f"experiment={file.stem}", *others, "--help")
    assert f"\n    * {file.stem} " in page
    lines = page.partition("\nSettings, ")[2].splitlines()
    rows = [(line, after) for line, after in pairwise(lines) if re.match(r"  \S+=", line)]
    bare = [line for line, after in rows if "  " not in line.strip() and not after.startswith(" " * 10)]
    within = {row[0].split("=")[0].rpartition(".")[0] for row in rows if row[0] not in bare}
    within |= {found[1] for line in lines if (found := re.match(r"(  [\w.]+)  ", line))}
    assert [line for line in bare if line.split("=")[0].rpartition(".")[0] not in within] == []


def test_a_sweeps_settings_keep_their_defaults(capsys: pytest.CaptureFixture[str]) -> None:
    page = asked(capsys, "train", "-m", "seed=1,2,3", "model=glcic,edgeconnect", "--help")
    assert "\n  seed=1 " in page
    assert "\n    * glcic " in page


def test_training_offers_no_model_that_does_not_learn(capsys: pytest.CaptureFixture[str]) -> None:
    page = asked(capsys, "train", "--help")
    assert f"do not learn: {', '.join(CLASSICAL)}" in " ".join(page.split())
    assert "\n      telea " not in page
    assert "\n      telea " in asked(capsys, "evaluate", "--help")


def test_a_group_inside_a_group_says_whose_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    page = asked(capsys, "train", "--help")
    assert "\n  model/gan (of model=edgeconnect, edgeconnect_paper)\n" in page
    assert "\n  data/crop\n" in page
    assert "model/gan" not in asked(capsys, "evaluate", "model=glcic", "--help")


def test_only_training_offers_sweepers_and_launchers(capsys: pytest.CaptureFixture[str]) -> None:
    assert "hydra/launcher" in asked(capsys, "train", "--help")
    assert "hydra/launcher" not in asked(capsys, "evaluate", "--help")


@pytest.mark.parametrize("verb", ["manifest", "sweep"])
def test_a_verb_of_several_words_lists_them(capsys: pytest.CaptureFixture[str], verb: str) -> None:
    page = asked(capsys, verb, "--help")
    for word in words_of(verb):
        assert re.search(rf"\n  {word} +[A-Z]", page)
        assert asked(capsys, verb, word, "--help").startswith(f"usage: inpaintlab {verb} {word}")


@pytest.mark.parametrize("command", ["train", "evaluate", "complete", "shard", "manifest create"])
def test_each_setting_can_be_typed_as_it_is_printed(capsys: pytest.CaptureFixture[str], command: str) -> None:
    page = asked(capsys, *command.split(), "--help")
    printed = re.findall(r"^  ([a-z][\w.-]*=\S+)(?=\s|$)", page.partition("\nSettings, ")[2], re.MULTILINE)
    quoted = re.compile(r"[(~$]|^hydra")  # what Hydra's grammar wants in quotes, and what compose leaves out
    typed = [setting for setting in printed if not quoted.search(setting)]
    assert len(typed) > 5
    config = str(COMMANDS[command].config)
    with initialize_config_dir(version_base="1.3", config_dir=str(CONF)):
        assert compose(config, typed) == compose(config)


def test_choices_of_another_folder_are_shown(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model/mine.yaml").write_text("# My own model.\ndefaults: [glcic]\nwidth: 0.5  # of mine\n")
    page = asked(capsys, "train", "--config-dir", str(tmp_path), "model=mine", "--help")
    assert re.search(r"\n    \* mine +My own model\.\n", page)
    assert re.search(r"\n  model\.width=0\.5 +of mine\n", page)


@pytest.mark.parametrize(("mistake", "told"), [("sedd=2", "sedd"), ("model=glcci", "edgeconnect")])
def test_a_mistake_beside_help_is_told(capsys: pytest.CaptureFixture[str], mistake: str, told: str) -> None:
    with pytest.raises(SystemExit) as stop:
        asked(capsys, "train", mistake, "--help")
    assert stop.value.code == 1
    found = capsys.readouterr()
    assert found.out == ""
    assert found.err.startswith("inpaintlab train: ")
    assert told in found.err


# ------------------------------------------------------------------------------------------------------- without work


@pytest.mark.parametrize(
    "arguments",
    [
        ["train", "model=edgeconnect", "data.size=64"],
        ["evaluate", "model=telea"],
        ["compare", "a b", "c=d", "out=x"],
        ["manifest", "show", "it's=a.json"],
        ["manifest", "data=toy"],
        ["sweep", "status", "runs/x"],
        ["bench", "data", "images=3"],
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("question", [["--cfg", "job"], ["--cfg", "hydra", "--package", "hydra.job"]], ids=" ".join)
def test_the_settings_are_those_that_the_verb_itself_would_show(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, arguments: list[str], question: list[str]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        (tmp_path / "c=d").mkdir()
        (tmp_path / "it's=a.json").touch()
        found = asked(capsys, *arguments, *question)
    itself = run_here(arguments[0], *arguments[1:], *question, cwd=tmp_path)
    assert itself.returncode == 0
    assert found == itself.stdout
    assert found


def test_questions_are_answered_without_what_the_verbs_work_with(tmp_path: Path) -> None:
    code = f"""
import contextlib, io, sys
from inpaintlab.cli import main
commands = {[*COMMANDS, "manifest", "sweep", "bench"]!r}
asked = [[*command.split(), "--help"] for command in commands]
asked += [[*command.split(), "--cfg", "job"] for command in commands if command != "figures"]  # which wants a name
asked += [["weights", "--help"], ["weights", "import", "--help"], ["compare", "a", "b", "--cfg", "job"]]
asked += [["train", *question] for question in (["-h"], ["--hydra-help"], ["--cfg=all"], ["--info", "defaults"])]
for arguments in asked:
    sys.argv = ["inpaintlab", *arguments]
    told = io.StringIO()
    with contextlib.redirect_stdout(told), contextlib.suppress(SystemExit):
        main()
    assert told.getvalue(), arguments
    loaded = [name for name in {HEAVY!r} if name in sys.modules]
    assert not loaded, (arguments, loaded)
print(len(asked))
"""
    done = run_anew(sys.executable, "-c", code, cwd=tmp_path, home=tmp_path / "home")
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 40
    assert [path.name for path in tmp_path.iterdir()] == ["home"]


def test_the_jobs_of_a_sweep_are_listed_without_torch(tmp_path: Path) -> None:
    code = f"import sys, inpaintlab.verbs.sweep\nprint([name for name in {HEAVY!r} if name in sys.modules])"
    done = run_anew(sys.executable, "-c", code, cwd=tmp_path, home=tmp_path / "home")
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr
