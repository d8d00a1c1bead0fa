"""The documentation says what there is: commands, settings, links, and a reference made of the program itself."""

import os
import posixpath
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from docs.hooks import links, notebooks, reference
from inpaintlab.cli import VERBS
from inpaintlab.commandline.arguments import COMMANDS, FLAGS_WITH_VALUE
from inpaintlab.commandline.comments import comments
from inpaintlab.commandline.quoting import without_kind
from inpaintlab.config import CONF
from stand_ins.commands import SCRIPT, environment, run

REPOSITORY = Path(__file__).parents[2]
PAGES = sorted(
    [
        REPOSITORY / "README.md",
        *REPOSITORY.glob("docs/*.md"),
        *REPOSITORY.glob("experiments/**/*.md"),
    ]
)
FRAME = CONF / "hydra/verb.yaml"
"""What all commands share and nobody sets."""


def named(path: Path) -> str:
    return str(path.relative_to(REPOSITORY))


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    return reference.pages()


def rows(page: str) -> dict[str, list[tuple[str, str]]]:
    """The tables of settings of a page: of each setting all defaults and meanings, as a browser shows them."""
    found: dict[str, list[tuple[str, str]]] = {}
    for key, default, meaning in re.findall(r"^\| <code>(.*?)</code> \| (.*?) \| (.*) \|$", page, re.MULTILINE):
        found.setdefault(key, []).append((shown(default), shown(meaning)))
    return found


def shown(cell: str) -> str:
    text = re.sub(r"</?code>|\\(?=[|*_\[\]])", "", re.sub(r"\[(\w+)\]\([./\w]+\.md\)", r"docs/\1.md", cell))
    for entity, letter in {"&lt;": "<", "&gt;": ">", "&#124;": "|", "&amp;": "&"}.items():
        text = text.replace(entity, letter)
    return text


# ------------------------------------------------------------------------------------------------------- the reference


def test_every_verb_and_every_command_stand_in_the_reference(pages: dict[str, str]) -> None:
    for verb in VERBS:
        assert pages[f"reference/verbs/{verb}.md"].startswith(f"# inpaintlab {verb}\n")
        assert f"(verbs/{verb}.md)" in pages["reference/index.md"]
    for command in COMMANDS:
        assert f"inpaintlab {command}" in pages[f"reference/verbs/{command.split()[0]}.md"]


@pytest.mark.parametrize(
    "file", [file for file in sorted(CONF.rglob("*.yaml")) if file != FRAME], ids=lambda f: str(f.relative_to(CONF))
)
def test_every_commented_key_of_conf_stands_in_the_reference(pages: dict[str, str], file: Path) -> None:
    name = str(file.relative_to(CONF).with_suffix(""))
    command = next((words for words, command in COMMANDS.items() if command.config == name), None)
    if command:
        page = pages[f"reference/verbs/{command.split()[0]}.md"]
    else:
        page = pages[f"reference/groups/{name.rpartition('/')[0].replace('/', '-')}.md"]
        assert f"\n## {file.stem} {{" in page
    told = rows(page)
    first = file.read_text(encoding="utf-8").partition("\n")[0].partition("# @package ")[2]
    before = {"": ".".join(name.split("/")[:-1]), "_global_": ""}.get(first, first)
    for key, meaning in comments(file).items():
        if meaning and not key.startswith("hydra"):
            place = f"{before}.{key}".lstrip(".")
            meanings = [text for _, text in told.get(place, [])]
            assert without_kind(meaning).replace("`", "") in [text.replace("`", "") for text in meanings], place


def test_a_key_that_a_choice_changes_means_what_it_means_in_the_file_below(pages: dict[str, str]) -> None:
    experiments, models = rows(pages["reference/groups/experiment.md"]), rows(pages["reference/groups/model.md"])
    assert experiments["every.log"] == [("10", "batches between two lines of the log")]
    assert {meaning for _, meaning in experiments["model.width"]} == {"of all channel counts; 1 is the paper's network"}
    assert "" not in {meaning for _, meaning in models["model.width"]}
    assert experiments["model.learning_rate"][1] == ("0.0005", "about mmagic's (4e-4)")


def test_a_default_is_shown_as_it_is_typed(pages: dict[str, str]) -> None:
    told = rows(pages["reference/groups/mask.md"])
    assert told["mask.strokes"][0][0] == "[1,8]"
    assert told["mask.angle"][0][0] == "72"
    train = rows(pages["reference/verbs/train.md"])
    assert [train[key][0][0] for key in ("seed", "notes", "every.log", "monitor.higher_is_better", "trust")] == [
        "1",
        "null",
        "50",
        "true",
        "[]",
    ]
    assert rows(pages["reference/verbs/evaluate.md"])["manifest"][0][0] == "???"


def test_the_reference_names_no_page_that_it_does_not_make(pages: dict[str, str]) -> None:
    """MkDocs' strict build says so as well, in twenty times the time."""
    there = set(pages) | {path.name for path in REPOSITORY.glob("docs/*.md")}
    for page, text in pages.items():
        for target in re.findall(r"\]\(([^)#\s]+\.md)", text):
            assert posixpath.normpath(posixpath.join(posixpath.dirname(page), target)) in there, (page, target)


def test_the_reference_is_made_without_what_does_the_work() -> None:
    code = "from docs.hooks import reference; import sys; print({'torch', 'numpy', 'lightning'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_letters_of_markdown_in_a_comment_are_letters() -> None:
    assert reference.prose("0 < ratio <= 0.1 | a * b, x_y") == r"0 &lt; ratio &lt;= 0.1 \| a \* b, x\_y"
    assert reference.prose("as `a_b` says; docs/many_gpus.md") == "as `a_b` says; [many_gpus](../../many_gpus.md)"
    assert reference.prose("docs/none_such.md") == "`docs/none_such.md`"


# ----------------------------------------------------------------------------------------------------------- the pages


def test_the_readme_is_one_page() -> None:
    assert len((REPOSITORY / "README.md").read_text().splitlines()) <= 70


def test_every_page_stands_in_the_navigation_once() -> None:
    def leaves(node: Any) -> Iterator[str]:
        if isinstance(node, str):
            yield node
        else:
            for entry in node if isinstance(node, list) else node.values():
                yield from leaves(entry)

    placed = sorted(leaves(yaml.safe_load((REPOSITORY / "mkdocs.yml").read_text())["nav"]))
    assert placed == sorted(path.name for path in REPOSITORY.glob("docs/*.md"))


@pytest.mark.parametrize("path", PAGES, ids=named)
def test_a_link_leads_to_a_file_of_the_repository_or_to_the_reference(path: Path, pages: dict[str, str]) -> None:
    outside_code = re.sub(r"^ *```.*?^ *```", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", outside_code):
        place = target.partition("#")[0]
        if place and not re.match("[a-z]+:", place) and f"{place}" not in pages:
            assert (path.parent / place).exists(), target


def test_links_out_of_docs_are_pages_of_the_site_or_paths() -> None:
    text = "[a](../experiments/05_edges/README.md#b) [`train.py`](../src/inpaintlab/verbs/train.py) [c](scale.md)"
    moved, lost = links.moved(text, "many_gpus.md")
    assert moved == "[a](experiments/05_edges/README.md#b) `src/inpaintlab/verbs/train.py` [c](scale.md)"
    assert lost == []
    text = "[a](../../docs/figures.md) [b](../README.md) [how](run.sh) [gone](gone.md) ![p](p.png) [w](https://x.y)"
    moved, lost = links.moved(text, "experiments/05_edges/README.md")
    assert moved == (
        "[a](../../figures.md) [b](../README.md) how (`experiments/05_edges/run.sh`) [gone](gone.md) ![p](p.png) "
        "[w](https://x.y)"
    )
    assert lost == ["gone.md"]
    assert links.moved("[n](notebook.ipynb)", "python.md")[0] == "[n](notebook.md)"
    assert links.moved("[n](notebook.ipynb)", "notebook.md")[0] == "[n](notebook.ipynb)"
    assert links.moved("```\n[a](../src)\n```\n[s](SECURITY.md)", "CHANGELOG.md")[0].endswith("[s](SECURITY.md)")


def test_a_notebook_is_a_page_with_what_its_cells_gave() -> None:
    outputs = [
        {"output_type": "stream", "text": ["one\n", "two\n"]},
        {"output_type": "execute_result", "data": {"text/plain": "x", "text/html": ["<table>\n\n", "</table>"]}},
        {"output_type": "display_data", "data": {"text/plain": "<Image>", "image/png": "ab\ncd\n"}},
        {"output_type": "display_data", "data": {"text/plain": "<Image>", "image/jpeg": "efgh"}},
        {"output_type": "execute_result", "data": {"text/plain": ["3"]}},
    ]
    cells = [
        {"cell_type": "markdown", "source": ["# Title\n", "text"]},
        {"cell_type": "code", "source": "1 + 2", "outputs": outputs},
        {"cell_type": "code", "source": "pass", "outputs": []},
    ]
    assert notebooks.as_markdown({"cells": cells}).split("\n\n") == [
        "# Title\ntext",
        "```python\n1 + 2\n```",
        "```text\none\ntwo\n```",
        '<div class="output">\n<table>\n</table>\n</div>',
        '<img class="output" alt="" src="data:image/png;base64,abcd">',
        '<img class="output" alt="" src="data:image/jpeg;base64,efgh">',
        "```text\n3\n```",
        "```python\npass\n```\n",
    ]


# -------------------------------------------------------------------------------------------------------- the commands


OF_THE_SHELL = {"|", "||", ">", "&", "&&", ";", "2>&1"}
"""What ends a command."""


def commands(path: Path) -> Iterator[tuple[str, list[str]]]:
    """Each command of ours in a page's blocks of shell and in its text, as it stands there and in words."""
    text = path.read_text(encoding="utf-8")
    blocks = re.findall(r"^( *)```(?:sh|bash)\n(.*?)^ *```", text, re.MULTILINE | re.DOTALL)
    lines = [line for _, block in blocks for line in block.replace("\\\n", " ").splitlines()]
    outside = re.sub(r"^ *```.*?^ *```", "", text, flags=re.MULTILINE | re.DOTALL)
    lines += [code.replace("\n", " ") for code in re.findall(r"`(inpaintlab [^`]+)`", outside)]
    for line in lines:
        if re.search(r"(^|\s)inpaintlab\s", line):
            words = shlex.split(line, comments=True)
            if "inpaintlab" in words:
                words = words[words.index("inpaintlab") + 1 :]
                end = next((at for at, word in enumerate(words) if word in OF_THE_SHELL), None)
                yield line.strip(), words[:end]


@cache
def known(command: str) -> tuple[frozenset[str], dict[str, frozenset[str]]]:
    """The settings that a command may be given, whatever is chosen, and the choices of each of its groups."""
    config = str(COMMANDS[command].config or "train")  # sweep export takes those of train
    taken = reference.groups_of(config)
    files, choices = [CONF / f"{config}.yaml"], {}
    for group, others in reference.groups().items():
        for place in taken:
            name = place.partition("@")[0]
            if group == name or group.startswith(f"{name}/"):
                files += others
                choices[place if group == name else group] = frozenset(file.stem for file in others)
    keys = set()
    for file in files:
        keys |= {f"{reference.package(file)}{key}" for key in comments(file)}
    for word in COMMANDS[command].gathered:  # serve's model= names a method, and is no group
        choices.pop(word, None)
        keys.add(word)
    return frozenset(keys), choices


OF_HYDRA = {"hydra.launcher.n_jobs", "hydra.sweep.dir", "hydra.searchpath"}


def fits(key: str, keys: frozenset[str]) -> bool:
    """Whether a setting is known, is all of a known mapping, or has words in capitals in the place of names."""
    pattern = re.sub(r"(?<![\w])[A-Z]+(?![\w])", r"\\w+", re.escape(key).replace(r"\.", "."))
    return any(re.fullmatch(pattern, name) or name.startswith(f"{key}.") for name in keys)


@pytest.mark.parametrize("path", PAGES, ids=named)
def test_a_page_shows_commands_that_there_are(path: Path) -> None:
    for line, words in commands(path):
        verb = words[0] if words else ""
        if verb.isupper() or verb.startswith("-"):
            continue
        assert verb in VERBS, line
        if verb == "weights":
            assert words[1:2] == [] or words[1] in {"list", "fetch", "import"}, line
            continue
        inner = next((f"{verb} {word}" for word in words[1:2] if f"{verb} {word}" in COMMANDS), None)
        command = inner or next(name for name in COMMANDS if name.partition(" ")[0] == verb)
        own = any(word in FLAGS_WITH_VALUE for word in words)  # YAML of a reader's own
        keys, choices = known(command)
        made = [word.strip("+").partition("._target_=")[0] for word in words if "._target_=" in word]
        for word in words[1:]:
            found = re.match(r"\+?([a-z][\w./@-]*)=(.*)", word)
            if not found:
                continue
            key, value = found[1], found[2]
            if key.startswith(tuple(made)):  # an object that the command line itself describes
                continue
            if key in choices:
                for choice in value.strip("[]").split(","):
                    fine = own or choice in choices[key] or not re.fullmatch(r"[a-z][a-z0-9_-]*", choice)
                    assert fine or choice == "null", f"{line}: {key} has no {choice}"
            elif not own:
                assert key in OF_HYDRA or fits(key, keys), f"{line}: {command} has no {key}"


@pytest.mark.parametrize("path", PAGES, ids=named)
def test_a_page_names_targets_of_make_and_extras_that_there_are(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"(?:`|^)make ([a-z-]+)", text, re.MULTILINE)) <= targets
    extras = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert {extra for found in re.findall(r"inpaintlab\[([a-z,]+)\]", text) for extra in found.split(",")} <= set(
        extras
    )


def test_every_choice_that_the_page_of_training_names_is_there() -> None:
    text = (REPOSITORY / "docs/how_to_train.md").read_text()
    groups = reference.groups()
    for row in re.findall(r"^\| `([a-z/]+)` \| (.*) \|$", text, re.MULTILINE):
        if row[0] in groups:
            there = {file.stem for file in groups[row[0]]}
            choices = re.findall(r"`([a-z0-9_-]+)`", re.sub(r"\(.*?\)", "", row[1]))
            known_words = {"evaluate", "train", "monitor", "warm_up", "rate", "constant", "cosine", "steps", "plateau"}
            assert set(choices) - there - known_words == set(), row[0]


# ------------------------------------------------------------------------------------------------------------ the site


class Loaded(HTMLParser):
    """What a browser fetches to show a page, without being asked to follow a link."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        wanted = {name: value for name, value in attrs if value is not None}
        if tag not in {"a", "base"}:
            self.found += [wanted[name] for name in ("src", "href", "srcset", "poster", "data") if name in wanted]


def test_what_a_page_loads_is_told() -> None:
    page = (
        '<a href="https://a.b"></a><link href="//x.y/z.css"><script src="s.js"></script><img src="https://p.q/r.png">'
    )
    assert Loaded(page).found == ["//x.y/z.css", "s.js", "https://p.q/r.png"]


def test_make_docs_builds_strictly() -> None:
    """With ``--quiet`` MkDocs counts no warnings, and a broken link would pass."""
    told = subprocess.run(["make", "--dry-run", "docs"], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert "mkdocs build --strict\n" in told.stdout


@pytest.mark.slow
def test_the_site_is_built_strictly_and_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    site = tmp_path / "site"
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(site)],
        cwd=REPOSITORY,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    built = {str(path.relative_to(site)) for path in site.rglob("*.html")}
    assert {f"reference/verbs/{verb}.html" for verb in VERBS} <= built
    for name in built:
        for address in Loaded((site / name).read_text(encoding="utf-8")).found:
            assert address.startswith("data:") or not re.match(r"//|\w+:", address), (name, address)
    for path in site.rglob("*.css"):
        assert not re.findall(r"@import|url\([\"']?(?:https?:)?//", path.read_text(encoding="utf-8")), path.name
    assert not list(site.rglob("*.py"))


# -------------------------------------------------------------------------------------------------------- the tutorial


FEWER = {
    "train": (
        *("model.schedule.phases.completion.batches=2", "model.schedule.phases.discriminator.batches=1"),
        *("model.schedule.phases.joint.batches=1", "every.validation=2", "every.checkpoint=2", "every.panel=4"),
        *("data.batch_size=2", "data.workers=0", "validation_images=2", "logger=none"),
    ),
    "evaluate": ("resamples=0", "workers=0"),
    "compare": ("pictures=1",),
}
"""What a verb of the tutorial is given besides, so that it takes seconds; and it puts 2 photographs aside, not 20."""


@pytest.mark.slow
def test_whoever_follows_the_tutorial_gets_a_table_and_a_completed_photograph(tmp_path: Path) -> None:
    colours = np.random.default_rng(0)
    (tmp_path / "photos").mkdir()
    for name in range(7):
        small = Image.fromarray(colours.integers(0, 256, (5, 5, 3), dtype=np.uint8))
        small.resize((72, 72), Image.Resampling.BICUBIC).save(tmp_path / f"photos/a {name}.jpg")
    page = (REPOSITORY / "docs/tutorial.md").read_text(encoding="utf-8")
    for block in re.findall(r"^```sh\n(.*?)^```", page, re.MULTILINE | re.DOTALL):
        ours = [line for line in block.splitlines() if line.startswith("inpaintlab ")]
        others = "\n".join(line for line in block.splitlines() if line not in ours).replace("-n 20", "-n 2")
        shell = ["bash", "-euo", "pipefail", "-c", others]
        done = subprocess.run(shell, cwd=tmp_path, env=environment(tmp_path / "home"), capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        for line in ours:
            verb, *words = shlex.split(line)[1:]
            words = [str(path) for word in words for path in (sorted(tmp_path.glob(word)) if "*" in word else [word])]
            told = run(SCRIPT, verb, *words, *FEWER.get(verb, ()), cwd=tmp_path, home=tmp_path / "home")
            assert told.returncode == 0, f"{line}: {told.stderr}"
    assert len(list((tmp_path / "photos/train").iterdir())) == 3
    labels = {path.name for path in (tmp_path / "results").iterdir()}
    assert labels == {"mean_colour", "telea", "biharmonic", "starter-glcic", "starter-edgeconnect", "mine"}
    table = (tmp_path / "comparison/table.md").read_text()
    assert all(label in table for label in labels)
    hole = np.asarray(Image.open(tmp_path / "mask.png")) > 0
    before, after = (np.asarray(Image.open(tmp_path / name)) for name in ("photo.jpg", "done.png"))
    np.testing.assert_array_equal(after[~hole], before[~hole])
    assert (after[hole] != before[hole]).any()
