"""The words in front of a command's settings."""

from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from inpaintlab.cli import VERBS
from inpaintlab.commandline.arguments import COMMANDS, flags_first, read, settings_of, words_of
from inpaintlab.config import CONF

AWKWARD = ["plain.json", "it's [one] {two}.json", "a b/c,d.json", 'say "hi".json', "ends with \\", "100%:(x).json"]


def test_every_verb_has_its_commands_and_every_command_its_file() -> None:
    assert {command.split()[0] for command in COMMANDS} == VERBS.keys() - {"weights"}
    for command in COMMANDS.values():
        if command.config:
            assert (CONF / f"{command.config}.yaml").is_file()


@pytest.mark.parametrize(
    ("verb", "arguments", "command", "rest"),
    [
        ("train", ["seed=2", "-m"], "train", ["seed=2", "-m"]),
        ("train", ["show"], "train", ["show"]),
        ("manifest", ["data=toy"], "manifest create", ["data=toy"]),
        ("manifest", [], "manifest create", []),
        ("manifest", ["create", "out=a.json"], "manifest create", ["out=a.json"]),
        ("manifest", ["show", "manifest=a.json"], "manifest show", ["manifest=a.json"]),
        ("manifest", ["show", "--cfg", "job"], "manifest show", ["--cfg", "job"]),
        ("manifest", ["leaks", "data=toy"], "manifest leaks", ["data=toy"]),
        ("sweep", ["status", "--help"], "sweep status", ["--help"]),
        ("sweep", ["export", "wandb", "seed=1,2"], "sweep export", ["wandb", "seed=1,2"]),
        ("bench", ["data", "images=3"], "bench data", ["images=3"]),
        ("bench", ["images=3"], "bench data", ["images=3"]),
        ("figures", ["--help"], "figures", ["--help"]),
        (
            "figures",
            ["fig6_sigma", "a", "b/c", "axis=density"],
            "figures fig6_sigma",
            ["results=['a','b/c']", "axis=density"],
        ),
        (
            "figures",
            ["fig2_overview", "runs/a", "count=2"],
            "figures fig2_overview",
            ["checkpoint='runs/a'", "count=2"],
        ),
    ],
)
def test_words_name_the_command_and_leave_its_settings(
    verb: str, arguments: list[str], command: str, rest: list[str]
) -> None:
    assert read(verb, arguments) == (command, rest)


@pytest.mark.parametrize("name", AWKWARD)
@pytest.mark.parametrize(("verb", "word", "key"), [("manifest", "show", "manifest"), ("sweep", "status", "sweep")])
def test_a_path_of_any_name_becomes_the_setting_that_it_stands_for(verb: str, word: str, key: str, name: str) -> None:
    command, rest = read(verb, [word, name, "--cfg", "job"])
    assert (command, rest[1:]) == (f"{verb} {word}", ["--cfg", "job"])
    (override,) = OverridesParser.create().parse_overrides(rest[:1])
    assert (override.key_or_group, override.value()) == (key, name)


def test_a_path_with_an_equals_sign_is_a_path_if_it_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert read("sweep", ["status", "lr=0.1"]) == ("sweep status", ["lr=0.1"])
    (tmp_path / "lr=0.1").mkdir()
    assert read("sweep", ["status", "lr=0.1"]) == ("sweep status", ["sweep='lr=0.1'"])


def test_a_setting_longer_than_any_files_name_is_a_setting() -> None:
    long = f"results=[{','.join(['results/abcdefgh'] * 100)}]"
    assert read("compare", [long]) == ("compare", [long])


@pytest.mark.parametrize("verb", ["manifest", "sweep", "bench"])
def test_an_unknown_word_is_refused_with_those_that_there_are(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        read(verb, ["everything"])
    assert stop.value.code == 2
    told = capsys.readouterr().err
    assert told.startswith(f"inpaintlab {verb}: there is no 'everything'.")
    assert told.endswith(f": {', '.join(words_of(verb))}.\n")


def test_settings_are_what_is_no_flag_and_no_value_of_a_flag() -> None:
    given = ["seed=1", "--config-dir", "mine", "-m", "~logger", "--cfg=job", "-p", "model", "+a=1", "--help", "x=y"]
    assert settings_of(given) == ["seed=1", "~logger", "+a=1", "x=y"]


def test_flags_stand_before_settings_and_keep_their_values_and_order() -> None:
    given = ["a=1", "--config-dir", "here", "b=2", "-m", "hydra.searchpath=[c]", "-c", "job", "--config-name=x"]
    flags = ["--config-dir", "here", "-m", "-c", "job", "--config-name=x"]
    assert flags_first(given) == [*flags, "a=1", "b=2", "hydra.searchpath=[c]"]
