"""Every setting is known to its command's table, and a value that it cannot have is one sentence."""

import dataclasses
import functools
import re
import typing
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from inpaintlab.commandline.arguments import COMMANDS
from inpaintlab.config import CONF
from inpaintlab.recipes import plain
from inpaintlab.settings import SCHEMAS, dotted, require_values

NEEDED = {
    "evaluate": ["manifest=x"],
    "complete": ["image=x", "holes=x", "out=x"],
    "shard": ["out=x", "data.root=x"],
    "train": ["debug=default"],
    "doctor": ["data=toy"],
    "bench data": ["data=toy"],
    "manifest create": ["out=x", "data=toy"],
    "manifest import": ["layout=lama", "images=x", "out=x"],
    **{f"manifest {word}": ["manifest=x"] for word in ("show", "verify", "split")},
    "manifest leaks": ["manifest=x", "data=toy"],
    "sweep status": ["sweep=x"],
    "figures fig2_overview": ["checkpoint=x"],
    "figures fig10_transfer": ["checkpoint=x"],
    "figures fig11_removal": ["checkpoint=x", "image=x", "holes=x", "drawing=x"],
}
"""What has no default."""

GROUPS = ("model", "data", "mask", "metrics", "trainer", "precision", "logger", "callbacks", "debug", "irregular")


def composed(words: str, *overrides: str) -> Any:
    with initialize_config_dir(version_base="1.3", config_dir=str(CONF)):
        return compose(str(COMMANDS[words].config), [*NEEDED.get(words, []), *overrides])


@functools.cache
def defaults(words: str) -> dict[str, Any]:
    return dict(plain(composed(words)))


def told(words: str, *overrides: str) -> str:
    """The sentence on these settings, or "" where they are sound."""
    return refused(words, composed(words, *overrides))


def refused(words: str, settings: Any) -> str:
    try:
        require_values(words, OmegaConf.create(settings) if isinstance(settings, dict) else settings)
    except ValueError as error:
        return str(error)
    return ""


def leaves(schema: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every key of a table with its hint, dotted."""
    for name, hint in typing.get_type_hints(schema, include_extras=True).items():
        if dataclasses.is_dataclass(hint):
            yield from leaves(hint, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", hint


def with_value(words: str, key: str, value: Any) -> dict[str, Any]:
    settings: dict[str, Any] = deepcopy(defaults(words))
    *parts, last = key.split(".")
    inner = settings
    for part in parts:
        inner = inner.setdefault(part, {})
    inner[last] = value
    return settings


def choices(words: str) -> Iterator[list[str]]:
    """The choices of a command's groups: first the first one of each, then the second, to the end of the longest.

    The groups are the same for all commands, so one command with them all has every choice, and others some.
    """
    file = CONF / f"{COMMANDS[words].config}.yaml"
    entries = [entry for entry in OmegaConf.load(file).defaults if not isinstance(entry, str)]
    groups = [(str(key).lstrip("/"), str(key).lstrip("/").partition("@")[0]) for entry in entries for key in entry]
    files = {name: sorted(path.stem for path in (CONF / group).glob("*.yaml")) for name, group in groups}
    wanted = {name: found for name, found in files.items() if name.partition("@")[2] in ("", *GROUPS)}
    wanted = {name: found for name, found in wanted.items() if name in GROUPS or "@" in name}
    for index in range(max(map(len, wanted.values()))) if words == "train" else [2, 3]:
        yield [f"{name}={found[min(index, len(found) - 1)]}" for name, found in wanted.items()]


NOT_HERE = ("no GPU", "torchrun", "monitor.name")
"""What a choice cannot be on this machine, or without another monitor."""

ROOTS = {"data=folder": "data.root=x", "data=shards": "data.root=x", "mask=folder": "mask.root=x"}
ROOTS |= {"mask@irregular=folder": "irregular.root=x"}


@pytest.mark.parametrize("words", SCHEMAS)
def test_a_table_knows_every_key_of_conf_and_conf_every_key_of_it(words: str) -> None:
    found: set[str] = set()
    for chosen in choices(words):
        given = list(dict.fromkeys([*chosen, *(ROOTS[choice] for choice in chosen if choice in ROOTS)]))
        groups = {entry.partition("=")[0] for entry in chosen}
        lacking = [entry for entry in NEEDED.get(words, []) if entry.startswith("data.") and entry not in given]
        lacking += [entry for entry in NEEDED.get(words, []) if entry.partition("=")[0] in groups]
        with initialize_config_dir(version_base="1.3", config_dir=str(CONF)):
            needed = [entry for entry in NEEDED.get(words, []) if entry not in lacking]
            cfg = compose(str(COMMANDS[words].config), [*needed, *given])
        sentence = refused(words, cfg)
        assert not sentence or any(part in sentence for part in NOT_HERE), f"{chosen}: {sentence}"
        found |= set(dotted(plain(cfg, resolve=False)))
    assert {key for key, _ in leaves(SCHEMAS[words])} - found == set()


def test_every_command_with_settings_has_its_table() -> None:
    assert SCHEMAS.keys() == {words for words, command in COMMANDS.items() if command.config}


@pytest.mark.parametrize("name", sorted(path.stem for path in (CONF / "experiment").glob("*.yaml")))
def test_every_experiment_is_sound(name: str) -> None:
    demo, edges = name.startswith("demo"), "edgeconnect" in name
    roots = [] if demo else ["data.root=x", *(["mask.root=x"] if edges else [])]
    assert not told("train", f"experiment={name}", *roots)


EVERY = [(words, key) for words, schema in SCHEMAS.items() for key, _ in leaves(schema)]
FREE = re.compile(r"(?:.*\.)?(?:model|mask|metrics|trainer|logger|callbacks|datamodule|source|crop|irregular|bins)")
"""Recipes, whose arguments are their classes'."""


@pytest.mark.parametrize(("words", "key"), [(words, key) for words, key in EVERY if not FREE.fullmatch(key)])
def test_a_mapping_of_strangers_is_refused_everywhere_with_its_key(words: str, key: str) -> None:
    sentence = refused(words, with_value(words, key, {"strange": 1}))
    assert sentence.startswith(f"{key} is {{'strange': 1}}; it must be "), sentence
    assert "\n" not in sentence


FLAGS = [
    (words, key)
    for words, schema in SCHEMAS.items()
    for key, hint in leaves(schema)
    if typing.get_args(hint)[:1] == (bool,)
]


def test_flags_are_found() -> None:
    assert {("evaluate", "overwrite"), ("complete", "blend"), ("train", "monitor.higher_is_better")} <= set(FLAGS)
    assert len(FLAGS) == 19


@pytest.mark.parametrize(("words", "key"), FLAGS)
@pytest.mark.parametrize("word", ["no", "off", 1, None])
def test_a_flag_is_true_or_false_and_no_other_word(words: str, key: str, word: Any) -> None:
    sentence = refused(words, with_value(words, key, word))
    assert sentence == f"{key} is {'null' if word is None else repr(word)}; it must be true or false."


WHOLE = [
    *("train|every.validation", "train|every.checkpoint", "train|every.panel", "train|every.log", "train|seed"),
    *(
        "train|validation_images",
        "train|panel_images",
        "train|accumulate",
        "train|skip_broken",
        "train|data.batch_size",
    ),
    *("train|data.workers", "train|data.size", "train|health.batches", "evaluate|batch_size", "evaluate|workers"),
    *("evaluate|resamples", "evaluate|seed", "complete|seed", "compare|pictures", "compare|printed"),
    *("manifest create|images", "manifest create|seed", "manifest leaks|distance", "manifest import|dilate"),
    *("shard|pictures_per_shard", "shard|quality", "shard|longest_side", "shard|workers", "bench data|images"),
    "bench data|gpus",
]


@pytest.mark.parametrize("place", WHOLE)
@pytest.mark.parametrize("value", ["abc", 1.5, -1])
def test_a_whole_number_is_nothing_else(place: str, value: Any) -> None:
    words, _, key = place.partition("|")
    assert refused(words, with_value(words, key, value)).startswith(f"{key} is {value!r}; it must be ")


@pytest.mark.parametrize(
    "overrides",
    [
        "name=5",
        "name=''",
        "notes=3.5",
        "init=run",
        "average=0.999",
        "clip_gradients=1",
        "hole_ratio=[0.1,0.2]",
        "data.size=[64,96]",
        "data.workers=0",
        "data.workers=auto",
        "panel_images=0",
        "skip_broken=3",
        "+mine=3 model.width=${mine}",
        "+data.mine=32 data.size=${data.mine}",
        "~logger",
        "~metrics.mae",
        "trainer=cpu trainer.devices=2",
        "trainer.devices=auto",
        "model=edgeconnect model/edges=none",
        "model=edgeconnect model.edges.sigma=[1,4]",
        "model=edgeconnect model.weights.inpaint.style=null",
        "model.mean_pixel=[0.1,0.2,0.3]",
        "metrics=default +metrics.mae_band4={_target_:inpaintlab.metrics.MAEBand,width:4}",
    ],
)
def test_what_is_sound_is_taken(overrides: str) -> None:
    assert not told("train", *overrides.split(" "))


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        ("train data.batch_size=abc", "data.batch_size is 'abc'; it must be a whole number, at least 1."),
        ("train data.batch_size=null", "data.batch_size is null; it must be a whole number, at least 1."),
        ("train seed=null", "seed is null; it must be a whole number, at least 0 and at most 4,294,967,295."),
        ("train hole_ratio=0.5", "hole_ratio is 0.5; it must be [low, high], two shares of the image, or null."),
        ("train average=1", "average is 1; it must be a number, above 0 and below 1, or null."),
        ("train average=nan", "average is nan; it must be a number, above 0 and below 1, or null."),
        ("train clip_gradients=0", "clip_gradients is 0; it must be a number, above 0, or null."),
        ("train clip_gradients=inf", "clip_gradients is inf; it must be a number, above 0, or null."),
        (
            "train data_changed=acept",
            "data_changed is 'acept'; it must be 'refuse' or 'accept'. Did you mean 'accept'?",
        ),
        (
            "train +ckpt_path=x",
            "There is no setting 'ckpt_path': the same command resumes by itself, and init=PATH starts from another "
            "run's weights.",
        ),
        ("train +sed=3", "There is no setting 'sed'. Did you mean 'seed'?"),
        ("train +batch_size=3", "There is no setting 'batch_size'. Did you mean 'data.batch_size'?"),
        ("train data=folder", "The setting 'data.root' has no default: give it as data.root=VALUE."),
        ("train data.size=${nope}", "data.size cannot be resolved: Interpolation key 'nope' not found."),
        ("train data.size=abc", "data.size is 'abc'; it must be the side of a square in pixels, or [height, width]."),
        ("evaluate overwrite=no", "overwrite is 'no'; it must be true or false."),
        ("compare pictures=1.5", "pictures is 1.5; it must be a whole number, at least 0."),
        ("manifest create images=1e9", "images is 1000000000.0; it must be a whole number, at least 1, or null."),
        ("manifest create bins.fixed=null", "bins.fixed is null; it must be a mask: a mapping whose _target_ names"),
        ("manifest create bins=null", "bins is null; it must be a mapping."),
        ("shard pictures_per_shard=1.5", "pictures_per_shard is 1.5; it must be a whole number, at least 1."),
        ("complete model=telea hole_colour=blue", "hole_colour is 'blue'; it must be 'white' or 'black'."),
    ],
)
def test_a_value_that_a_setting_cannot_have_is_one_sentence(command: str, sentence: str) -> None:
    words = max((words for words in SCHEMAS if command.startswith(words)), key=len)
    assert told(words, *command.removeprefix(words).split()).startswith(sentence)


def test_a_path_that_is_no_unicode_is_a_path() -> None:
    assert not refused("compare", with_value("compare", "out", "caf\udce9"))
