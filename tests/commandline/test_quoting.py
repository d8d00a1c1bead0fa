"""Text on the command line reaches its setting as the shell passed it on."""

import re
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import OmegaConf

from inpaintlab.commandline.arguments import COMMANDS
from inpaintlab.commandline.comments import comments
from inpaintlab.commandline.quoting import KINDS, kind_of, quoted, without_kind
from inpaintlab.config import CONF

ORDINARY = ["IMG (1).png", "lr=0.1.png", "照片.png", "été.png", "a&b.png", "a#b.png", "It's.png", "a,b.png", "[x].png"]
AWKWARD = [
    *(
        "-x.png",
        "--x",
        "100%.png",
        " a ",
        "a: b",
        'say "hi"',
        "{a}",
        "a;b|c",
        "a\\b",
        "ends with \\",
        "$HOME",
        "@x",
        "!",
    ),
    *("007", "1e3", "true", "nan", "[a]", "{a: b}", "choice(1,2)", "glob(*)", "a${b", "\t", "a\nb", "\udcff.png", "🙂"),
]


def value_of(setting: str) -> object:
    """What a configuration with this setting holds, by Hydra's grammar and OmegaConf's interpolation."""
    override = OverridesParser.create().parse_override(setting)
    assert isinstance(override, Override)
    return OmegaConf.create({"value": override.value()}).value


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("text", [*ORDINARY, *AWKWARD])
@pytest.mark.parametrize(("words", "key"), [("complete", "image"), ("train", "data.root"), ("evaluate", "label")])
def test_text_arrives_as_it_was_given_and_quoting_twice_changes_nothing(words: str, key: str, text: str) -> None:
    once = quoted(CONF, words, [f"{key}={text}"])
    assert value_of(once[0]) == text
    assert quoted(CONF, words, once) == once


@pytest.mark.parametrize(
    "given",
    [
        *("seed=1", "ratios=[0.1,0.3]", "data.size=[256,384]", "model=glcic", "mask@irregular=folder", "~logger", "-m"),
        *(
            "+a=[1,2]",
            "drawing=null",
            "label=null",
            "label=",
            "image='a, b.png'",
            'image="a, b.png"',
            "image=a\\,b.png",
        ),
        *("bins.a={low: 1}", "out=${name}.png", "--cfg", "model/gan=hinge"),
    ],
)
def test_grammar_and_what_is_quoted_already_keep_their_value(given: str) -> None:
    (done,) = quoted(CONF, "complete", [given])
    if given.startswith("-") or given == "~logger":
        assert done == given
    elif given != "out=${name}.png":
        assert value_of(done) == value_of(given)
    else:
        assert done in (given, "out='${name}.png'")


def test_a_file_that_is_there_is_meant_whatever_its_name_says_in_the_grammar(tmp_path: Path) -> None:
    for name in ("null", "'a'", "a,b", "a\\,b", "${seed}.png", "~"):
        (tmp_path / name).touch()
        (done,) = quoted(CONF, "train", [f"init={name}", "-m"])[:1]
        assert value_of(done) == ("./~" if name == "~" else name)


def test_a_home_is_expanded_in_paths_and_in_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/it's me")
    given = ["data.root=~/photos", "data.root='~/photos'", "notes=~/photos", "init=a~b"]
    assert [value_of(done) for done in quoted(CONF, "train", given)] == [
        *("/home/it's me/photos", "/home/it's me/photos"),
        *("~/photos", "a~b"),
    ]


def test_several_values_are_a_sweep_only_where_one_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert quoted(CONF, "train", ["-m", "init=a.ckpt,b.ckpt"]) == ["-m", "init=a.ckpt,b.ckpt"]
    assert quoted(CONF, "sweep export", ["init=a.ckpt,b.ckpt"]) == ["init=a.ckpt,b.ckpt"]
    assert value_of(quoted(CONF, "train", ["init=a.ckpt,b.ckpt"])[0]) == "a.ckpt,b.ckpt"
    with pytest.raises(SystemExit):
        quoted(CONF, "train", ["-m", "init=a (1).ckpt,b.ckpt"])
    assert """if a (1).ckpt,b.ckpt is one text, give 'init="a (1).ckpt,b.ckpt"'.""" in capsys.readouterr().err


def test_one_folder_is_a_list_of_one() -> None:
    assert [value_of(done) for done in quoted(CONF, "compare", ["results=my (old) folder", "results=[a,b]"])] == [
        ["my (old) folder"],
        ["a", "b"],
    ]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("imgae=IMG (1).png", """give 'imgae="IMG (1).png"'."""),
        ("photo.png", "'photo.png' is no setting, which is KEY=VALUE"),
        ("ratios=[0.1", "ratios=[0.1 cannot be read in Hydra's grammar"),
    ],
)
def test_what_cannot_be_read_is_told_in_a_sentence_with_its_quoting(
    given: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        quoted(CONF, "complete", [given])
    assert stop.value.code == 1
    sentence = capsys.readouterr().err
    assert sentence.startswith("inpaintlab complete: ")
    assert told in sentence
    assert sentence.count("\n") == 1


# ------------------------------------------------------------------------------------------------- which settings are


CONFIGS = sorted({command.config for command in COMMANDS.values() if command.config})


def leaves(node: object, prefix: str = "") -> dict[str, object]:
    if not isinstance(node, dict):
        return {prefix: node}
    return {key: leaf for name, value in node.items() for key, leaf in leaves(value, f"{prefix}.{name}").items()}


@pytest.mark.parametrize("config", CONFIGS)
def test_text_is_a_setting_whose_default_is_no_number_and_no_list(config: str) -> None:
    with initialize_config_dir(version_base="1.3", config_dir=str(CONF)):
        cfg = OmegaConf.to_container(compose(config))
    for key, value in leaves(cfg).items():
        kind = kind_of(CONF, config, key.lstrip("."))
        assert value is None or isinstance(value, list if kind == "paths" else str) or kind is None, key


def test_every_setting_that_the_code_reads_as_a_path_is_marked_as_one() -> None:
    read = set()
    for file in (CONF.parent / "src/inpaintlab").rglob("*.py"):
        read |= set(re.findall(r"""Path\(cfg(?:\.|\[")(\w+)""", file.read_text()))
    marked = {
        key.rpartition(".")[2]
        for file in CONF.rglob("*.yaml")
        for key, comment in comments(file).items()
        if comment != without_kind(comment)
    }
    assert read >= {"image", "holes", "out", "manifest", "results", "study", "sweep", "runs", "cache"}
    assert read - marked == set()


def test_a_marks_word_is_for_the_rule_and_not_for_people() -> None:
    assert [without_kind(f"{kind}: a photograph") for kind in KINDS] == ["a photograph"] * len(KINDS)
    assert without_kind("fixed: a path: b") == "fixed: a path: b"
