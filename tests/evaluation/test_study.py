"""A study: what is missing is evaluated, the rest is reused, and what is wrong shows before anything is evaluated."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser

from inpaintlab.evaluation import Result, Study
from inpaintlab.evaluation.study import overrides
from stand_ins.commands import SCRIPT, run, run_here, tiny

Done = subprocess.CompletedProcess[str]
BINS = "bins={wide:{_target_:inpaintlab.masks.Half},fixed:{_target_:inpaintlab.masks.Block,fraction:0.5}}"
METHODS: dict[str, Any] = {"telea": {"model": "telea"}, "mean colour": {"model": "mean_colour"}}
HOW = {"trainer": "cpu", "workers": 0, "metrics": "default"}


def write(folder: Path, **changes: Any) -> Path:
    """A study of two methods; ``changes`` replace its parts."""
    content = {"manifest": "test.json", "evaluate": HOW, "methods": METHODS} | changes
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump({key: part for key, part in content.items() if part is not ...}, sort_keys=False))
    return path


def compare(folder: Path, *settings: str) -> Done:
    return run_here("compare", "study=study.yaml", "pictures=0", *settings, cwd=folder)


def refused(done: Done) -> str:
    assert done.returncode == 1, done.stdout
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    return done.stderr


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a manifest, and in ``finished`` what evaluating the study's methods gives."""
    folder = tmp_path_factory.mktemp("prepared")
    frozen = run_here(
        "manifest", "data=toy", "data.size=32", "images=2", "out=test.json", "~bins", f"+{BINS}", cwd=folder
    )
    assert frozen.returncode == 0, frozen.stderr
    for label in METHODS:
        given = overrides(HOW | METHODS[label] | {"manifest": "test.json", "label": label, "results": "finished"})
        done = run_here("evaluate", *given, cwd=folder)
        assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def here(prepared: Path, tmp_path: Path) -> Path:
    """A folder with the manifest alone."""
    shutil.copy(prepared / "test.json", tmp_path)
    return tmp_path


@pytest.fixture
def started(prepared: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The evaluations that were started, each done at once by taking its result from ``finished``."""
    commands: list[list[str]] = []

    def evaluated(command: list[str], **_: Any) -> Done:
        commands.append(command)
        label = next(setting for setting in command if setting.startswith("label=")).removeprefix("label=").strip("'")
        shutil.copytree(prepared / "finished" / label, Path("results", label), dirs_exist_ok=True)
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr("inpaintlab.evaluation.study.subprocess.run", evaluated)
    return commands


def test_what_is_missing_is_evaluated_and_compared(here: Path, started: list[list[str]]) -> None:
    write(here)
    done = compare(here)
    assert done.returncode == 0, done.stderr
    assert [command[1:3] for command in started] == [["-m", "inpaintlab.verbs.evaluate"]] * 2
    assert "label='mean colour'" in started[1]
    rows = pl.read_csv(here / "comparison" / "table.csv")
    assert set(rows["label"]) == set(METHODS)
    assert (here / "comparison" / "report.html").is_file()


def test_a_single_setting_and_a_source_of_edges_go_on_top_of_a_checkpoints(here: Path) -> None:
    trained = run_here("train", *tiny("edgeconnect", 1), "name=edgeconnect", cwd=here)
    assert trained.returncode == 0, trained.stderr
    oracle = {"checkpoint": "runs/edgeconnect", "model.test_edges": "whole", "model/edges": "none"}
    path = write(here, methods={"Canny": oracle, "named": oracle | {"model": "edgeconnect"}})
    for label in ("Canny", "named"):
        done = run_here("evaluate", *Study.load(path).of_method(label), cwd=here)
        assert done.returncode == 0, done.stderr
        result = Result.load(here / "results" / label)
        assert result.oracle
        assert result.switches["edges"] == "none (trained on canny, sigma 2)"


def test_a_finished_study_starts_nothing(here: Path, started: list[list[str]]) -> None:
    write(here)
    first = compare(here)
    started.clear()
    again = compare(here)
    assert "2 of 2 methods are there already" in again.stdout
    assert started == []
    tables = [done.stdout.partition("psnr_rgb")[2] for done in (first, again)]
    assert tables[0] == tables[1] != ""


def test_a_study_goes_on_with_the_one_method_that_was_deleted(here: Path, started: list[list[str]]) -> None:
    write(here)
    compare(here)
    started.clear()
    shutil.rmtree(here / "results" / "telea")
    done = compare(here)
    assert done.returncode == 0, done.stderr
    assert "1 of 2 methods are there already" in done.stdout
    assert [setting for command in started for setting in command if setting.startswith("label=")] == ["label='telea'"]


def test_a_method_that_fails_leaves_the_others_to_be_done_and_is_told_by_its_label(
    here: Path, started: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluated = subprocess.run

    def failing(command: list[str], **options: Any) -> Done:
        if "label='telea'" in command:
            return subprocess.CompletedProcess(command, 1, "", "a warning\ninpaintlab evaluate: The disk is full.\n")
        return evaluated(command, **options)

    monkeypatch.setattr("inpaintlab.evaluation.study.subprocess.run", failing)
    write(here)
    sentence = refused(compare(here))
    assert "1 of 2 evaluations failed (method 'telea': The disk is full.); the others are done" in sentence
    assert Result.load(here / "results" / "mean colour").label == "mean colour"
    assert not (here / "comparison").exists()


def test_a_killed_evaluation_is_told_by_its_signal(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "inpaintlab.evaluation.study.subprocess.run",
        lambda command, **_: subprocess.CompletedProcess(command, -9, "", ""),
    )
    write(here)
    assert "method 'telea': its process was ended by signal 9" in refused(compare(here))


FAULTY: dict[str, tuple[dict[str, Any], str]] = {
    "lost": ({"checkpoint": "runs/x"}, "There is no checkpoint at"),
    "untrained": ({"model": "glcic"}, "GLCIC learns, so it needs checkpoint="),
    "unknown": ({"model": "lama"}, "model is 'lama'; it can be biharmonic, "),
    "no pixels": ({"model": "telea", "model.radius": 0}, "model.radius is 0 pixels"),
    "small": ({"model": "telea", "metrics": "all"}, ".* needs images of at least 51"),
    "a_blended": ({"model": "telea"}, "results/a_blended is the result of another method too"),
    "mistyped": ({"model": "telea", "model.raduis": 3}, "there is no setting 'model.raduis'\n"),  # and no more
}


def test_every_method_is_checked_before_the_first_is_evaluated_and_all_faults_are_told_at_once(
    here: Path, started: list[list[str]]
) -> None:
    fine = {"fine": {"model": "telea"}, "a": {"model": "telea", "blend": True}}
    away = {"away": {"model": "telea", "root": "/nowhere"}}  # which keeps nobody from looking at the others
    write(here, methods=fine | away | {label: settings for label, (settings, _) in FAULTY.items()})
    told = refused(compare(here))
    for label, (_, sentence) in FAULTY.items():
        assert re.search(f"method '{label}': {sentence}", told), label
    assert not any(f"method '{label}'" in told for label in fine)
    assert started == []
    assert not (here / "results").exists()


def test_one_method_with_a_fault_keeps_the_sound_ones_from_being_evaluated(
    here: Path, started: list[list[str]]
) -> None:
    write(here, methods={"a": {"checkpoint": "runs/x"}, "b": {"model": "telea"}})
    assert "method 'a': There is no checkpoint at" in refused(compare(here))
    assert started == []
    assert not (here / "results").exists()


def test_a_result_of_other_inputs_is_not_taken_for_this_one(here: Path, started: list[list[str]]) -> None:
    write(here)
    compare(here)
    started.clear()
    write(here, methods=METHODS | {"telea": {"model": "telea", "model.radius": 5}})
    assert "method 'telea': results/telea holds a result of another config" in refused(compare(here))
    assert started == []
    write(here, evaluate=HOW | {"overwrite": True}, methods=METHODS | {"telea": {"model": "telea", "model.radius": 5}})
    compare(here)
    assert [("label='telea'" in command, "overwrite=true" in command) for command in started] == [(True, True)]


def test_settings_of_the_comparison_come_from_the_study_and_the_command_line_has_the_last_word(
    here: Path, started: list[list[str]]
) -> None:
    write(here, compare={"reference": "telea", "out": "of the study", "pictures": 0})
    assert compare(here).returncode == 0
    assert set(pl.read_csv(here / "of the study" / "table.csv")["reference"].drop_nulls()) == {"telea"}
    done = compare(here, "reference=mean colour", "out=mine")
    assert done.returncode == 0, done.stderr
    assert set(pl.read_csv(here / "mine" / "table.csv")["reference"].drop_nulls()) == {"mean colour"}


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"reference": "teela"}, "reference=teela is none of the results: give one of telea, mean colour"),
        ({"published": ["lama"]}, "give edgeconnect_table1"),
        ({"out": "test.json"}, "out=test.json is a file"),
        ({"pictures_": 1}, "study.yaml, compare: there is no setting 'pictures_'"),
        ({"results": ["a"]}, "study.yaml, compare: results is said by the study itself"),
    ],
)
def test_a_comparison_that_cannot_be_made_is_told_before_anything_is_evaluated(
    here: Path, started: list[list[str]], settings: dict[str, Any], sentence: str
) -> None:
    write(here, compare=settings)
    assert sentence in refused(run_here("compare", "study=study.yaml", cwd=here))
    assert started == []


def test_a_study_and_result_folders_together_are_refused(here: Path) -> None:
    write(here)
    assert "not both" in refused(compare(here, "results=[a]"))


# The file


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"method": {}}, "has a part 'method'; a study has the parts manifest, results, evaluate, methods, compare"),
        ({"methods": {}}, "has no methods; name at least one method"),
        ({"methods": ...}, "has no methods"),
        ({"manifest": ...}, "has no manifest; name a file that `inpaintlab manifest create` made"),
        ({"manifest": ["a"]}, r"manifest is \['a'\]; it must be a file"),
        ({"methods": ["telea"]}, "it must be at least one method"),
        ({"methods": {"a": "telea"}}, "method 'a' is 'telea'; it must be settings"),
        ({"methods": {"a": None}}, "method 'a' is None; it must be settings"),
        ({"methods": {"a": {}}}, "method 'a' names no method"),
        ({"methods": {1: {"model": "telea"}}}, "a method is called 1; a label is text"),
        ({"methods": {"../a": {"model": "telea"}}}, "a method is called '../a'"),
        ({"methods": {"a/b": {"model": "telea"}}}, "a method is called 'a/b'"),
        ({"methods": {"a.partial": {"model": "telea"}}}, r"a method is called 'a\.partial'"),
        ({"methods": {"a": {"checkpoint": "x", "untrained": True}}}, "checkpoint and untrained contradict"),
        ({"methods": {"a": {"model": "telea", "label": "b"}}}, "method 'a': label is said by the study itself"),
        ({"evaluate": {"manifest": "b.json"}}, "evaluate: manifest is said by the study itself"),
        ({"methods": {"a": {"model": "telea", "+new": 1}}}, r"method 'a': '\+new' is no setting"),
        ({"methods": {"a": {"model": "telea", "hydra.run.dir": "x"}}}, "'hydra.run.dir' is no setting"),
        ({"evaluate": {"hydra/launcher": "joblib"}}, "'hydra/launcher' is no setting"),
    ],
)
def test_a_study_that_makes_no_sense_is_refused_in_one_sentence(
    tmp_path: Path, changes: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence) as error:
        Study.load(write(tmp_path, **changes))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "settings",
    [
        {"model._target_": "os.system"},
        {"model": {"_target_": "os.system"}},
        {"metrics.mae": {"nested": [{"_target_": "os.system"}]}},
        {"--config-dir": "elsewhere"},
        {"model.schedule@_global_": "x"},
    ],
)
def test_a_study_of_a_stranger_cannot_name_a_class_to_run(tmp_path: Path, settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="is no setting; name settings as on the command line"):
        Study.load(write(tmp_path, methods={"a": {"model": "telea"} | settings}))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("methods: {a: {model: telea}, a: {model: telea}}", "found duplicate key a"),
        ("methods: {a: [", "cannot be read as YAML"),
        ("manifest: !!python/object/apply:os.system ['touch harm']", "cannot be read as YAML"),
        ("- a", "is not a study"),
        ("manifest: ${nothing}", "nothing in such a file is resolved"),
        ("manifest: a\nmethods: &a {b: *a}", "an alias"),
    ],
)
def test_a_file_that_is_no_sound_yaml_is_refused_and_runs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, sentence: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "study.yaml").write_text(text)
    with pytest.raises(ValueError, match=sentence) as error:
        Study.load(tmp_path / "study.yaml")
    assert "\n" not in str(error.value)
    assert [path.name for path in tmp_path.iterdir()] == ["study.yaml"]


HARM = "${oc.create:{_target_:torch.utils.collect_env.run,command:'touch harm'}}"
RESOLVED = {
    "a setting": {"model.radius": HARM},
    "one behind backslashes": {"model.radius": "\\\\\\" + HARM},
    "one that is escaped": {"model.radius": "\\" + HARM},
    "a secret": {"checkpoint": "${oc.env:HOME}"},
    "in a list": {"metrics": ["${oc.env:HOME}"]},
    "in a dict": {"metrics.mae": {"a": [{"b": "x${HOME}"}]}},
}


@pytest.mark.parametrize("settings", RESOLVED.values(), ids=RESOLVED.keys())
@pytest.mark.parametrize("part", ["methods", "evaluate", "compare"])
def test_nothing_in_a_study_is_resolved(tmp_path: Path, settings: dict[str, Any], part: str) -> None:
    own = {"model": "telea"} | settings
    with pytest.raises(ValueError, match=r"study\.yaml, .*: .* nothing in such a file is resolved") as error:
        Study.load(write(tmp_path, **{part: {"a": own} if part == "methods" else own}))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "changes",
    [
        {"manifest": "${oc.env:HOME}"},
        {"results": "${oc.env:HOME}/a"},
        {"methods": {"${oc.env:HOME}": METHODS["telea"]}},
    ],
)
def test_no_path_and_no_label_in_a_study_is_resolved(tmp_path: Path, changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="nothing in such a file is resolved"):
        Study.load(write(tmp_path, **changes))


GROUPS = ["model", "metrics", "trainer", "logger", "precision", "model/optimizer"]


@pytest.mark.parametrize(
    ("key", "as_list"),
    [
        *((key, False) for key in GROUPS),
        ("metrics", True),  # lists go one way, whatever the group
        *(pytest.param(key, True, marks=pytest.mark.endurance) for key in GROUPS if key != "metrics"),
    ],
)
def test_a_choice_of_a_group_is_no_way_out_of_the_configuration(
    here: Path, started: list[list[str]], key: str, as_list: bool
) -> None:
    (here / "evil.yaml").write_text("_target_: pathlib.Path.touch\nself: harm\n")
    out = "../" * 30 + f"{here / 'evil'}".lstrip("/")
    choices = {"a": out, "b": str(here / "evil"), "c": "../evil", "d": ".", "e": "optimizer/adam"}
    methods = {label: {"model": "telea", key: [choice] if as_list else choice} for label, choice in choices.items()}
    write(here, methods=methods)
    sentence = refused(compare(here))
    for label, choice in choices.items():
        assert f"method '{label}': {key} is '{choice}'; it can be " in sentence
    assert started == []
    assert not (here / "results").exists()


def test_a_choice_of_the_comparison_is_none_either(here: Path, started: list[list[str]]) -> None:
    write(here, compare={"logger": "../../evil"})
    assert "study.yaml, compare: logger is '../../evil'; it can be csv, none, " in refused(compare(here))
    assert started == []


def test_a_missing_study_is_told(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="There is no study at"):
        Study.load(tmp_path / "none.yaml")


def test_the_methods_own_settings_go_before_the_common_ones(tmp_path: Path) -> None:
    path = write(tmp_path, evaluate={"batch_size": 4, "raw": True}, methods={"a": {"model": "telea", "batch_size": 2}})
    assert Study.load(path).of_method("a") == [
        "batch_size=2",
        "raw=true",
        "model='telea'",
        "manifest='test.json'",
        "results='results'",
        "label='a'",
    ]


@pytest.mark.parametrize(
    "value",
    [
        *("plain", "it's", 'a "b"', "a,b={c}", "true", "1e-4", "null", "", " a ", "C:\\x\\"),
        *(3, 0.25, 1e-7, True, None, [1, "a, b", [None]], {"a": {"b": [1, "x y"]}}),
    ],
)
def test_values_survive_the_grammar_of_hydra(value: Any) -> None:
    (override,) = OverridesParser.create().parse_overrides(overrides({"key": value}))
    found: Any = override.value()
    assert _plain(found) == value
    assert type(_plain(found)) is type(value)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(entry) for key, entry in value.items()}
    return [_plain(entry) for entry in value] if isinstance(value, list) else value


# With processes of its own


@pytest.mark.slow
def test_a_study_runs_from_the_command_line(here: Path) -> None:
    trained = run_here("train", *tiny("glcic", 1), "name=glcic", cwd=here)
    assert trained.returncode == 0, trained.stderr
    methods = {"GLCIC": {"checkpoint": "runs/glcic", "blend": True}, "telea": {"model": "telea"}}
    write(here, methods=methods, compare={"reference": "telea", "pictures": 1})
    first = run(SCRIPT, "compare", "study=study.yaml", cwd=here, home=here / "home")
    assert first.returncode == 0, first.stderr
    assert "0 of 2 methods are there already" in first.stdout
    assert set(pl.read_csv(here / "comparison/table.csv")["label"]) == {"GLCIC", "GLCIC_blended", "telea"}
    costs = {row["label"]: row for row in pl.read_csv(here / "comparison/costs.csv").iter_rows(named=True)}
    assert costs["GLCIC"]["parameters"] == costs["GLCIC_blended"]["parameters"] > 0
    assert costs["telea"]["parameters"] is None
    made = {path: path.stat().st_mtime_ns for path in here.glob("results/*/result.json")}
    shutil.rmtree(here / "results/telea")
    again = run(SCRIPT, "compare", "study=study.yaml", cwd=here, home=here / "home")
    assert again.returncode == 0, again.stderr
    assert "1 of 2 methods are there already" in again.stdout
    now = {path: path.stat().st_mtime_ns for path in here.glob("results/*/result.json")}
    assert {path.parent.name for path in now if now[path] != made[path]} == {"telea"}


@pytest.mark.endurance
def test_a_study_evaluates_on_two_processes_what_it_evaluates_on_one(here: Path) -> None:
    two = {"trainer": "ddp", "trainer.accelerator": "cpu", "trainer.devices": 2}
    write(here, methods={"one": {"model": "telea"}, "two": {"model": "telea"} | two})
    done = run(SCRIPT, "compare", "study=study.yaml", "pictures=0", cwd=here, home=here / "home")
    assert done.returncode == 0, done.stderr
    one, two_ = (Result.load(here / "results" / label).per_image for label in ("one", "two"))
    assert one.drop("seconds", strict=False).equals(two_.drop("seconds", strict=False))
