"""A package of a user's own does all that ours does, as docs/extending.md shows; no file alone makes it run."""

import re
import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
from omegaconf import OmegaConf
from PIL import Image

from inpaintlab.config import CONF
from inpaintlab.inpainting import Inpainter
from inpaintlab.inpainting.checkpoints import OWN_PARTS, PARTS
from inpaintlab.machine import code_sha256
from inpaintlab.masks import Mask
from inpaintlab.recipes import built, require_buildable, require_settings
from inpaintlab.trust import modules_of, trusted_by, trusting
from inpaintlab.verbs.sweep import wandb_sweep
from stand_ins.commands import checkpoint, run_here

PAGE = (CONF.parent / "docs/extending.md").read_text(encoding="utf-8")
SMALL = {
    "train": (
        *("model.schedule.phases.train.batches=2", "model.network.width=2", "data.size=32", "data.batch_size=2"),
        *("trainer=cpu", "logger=none", "validation_images=2", "panel_images=1", "every.validation=2", "every.log=1"),
    ),
    "manifest": ("data.size=32", "images=2"),
    "evaluate": ("trainer=cpu", "resamples=0"),
    "compare": ("pictures=1",),
}
"""What makes the page's commands small."""


def blocks(kind: str) -> dict[str, str]:
    """The page's code of a kind, by the file that it is to be written to."""
    found = re.findall(rf"^`([\w/.]+)`:\n\n```{kind}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert len(found) == PAGE.count(f"```{kind}\n")
    return dict(found)


def commands() -> list[list[str]]:
    (text,) = re.findall(r"^```sh\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    return [shlex.split(line)[1:] for line in text.splitlines() if line.startswith("inpaintlab ")]


@dataclass(frozen=True)
class Followed:
    """A folder in which the page was followed."""

    folder: Path
    done: dict[str, CompletedProcess[str]]

    def run(self, *words: str) -> CompletedProcess[str]:
        return run_here(words[0], *words[1:], cwd=self.folder)


def forget() -> None:
    """Unload the user's package, as if this process had never seen it."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "mypackage"]:
        del sys.modules[name]


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Followed]:
    folder = tmp_path_factory.mktemp("followed")
    for name, text in (blocks("python") | blocks("yaml")).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    (folder / "mypackage/__init__.py").touch()
    Image.linear_gradient("L").convert("RGB").resize((40, 30)).save(folder / "photo.png")
    Image.new("L", (40, 30), 0).save(folder / "mask.png")
    with Image.open(folder / "mask.png") as mask:
        mask.paste(255, (10, 10, 20, 20))
        mask.save(folder / "mask.png")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        done = {}
        for verb, *words in commands():
            done[" ".join([verb, *words])] = run_here(verb, *words, *SMALL.get(verb, ()), cwd=folder)
        yield Followed(folder, done)
        forget()


def test_each_command_of_the_page_does_its_work(followed: Followed) -> None:
    assert [(command, done.stderr) for command, done in followed.done.items() if done.returncode] == []
    assert {words[0] for words in commands()} == {"train", "manifest", "evaluate", "complete", "compare"}
    assert (followed.folder / "done.png").is_file()
    table = (followed.folder / "comparison/table.md").read_text()
    assert "largest_error" in table
    assert "first" in table
    assert "asks to run" not in (followed.folder / "comparison/report.html").read_text()


def test_the_same_command_goes_on_where_it_stopped(followed: Followed) -> None:
    words = next(words for words in commands() if words[0] == "train")
    more = "model.schedule.phases.train.batches=3"
    done = followed.run(*words, *SMALL["train"], more)
    assert done.returncode == 0, done.stderr
    assert checkpoint(followed.folder / "runs/first")["inpaintlab"]["iterations"] == 3


REFUSED = {
    "a checkpoint": ("complete", "checkpoint=runs/first", "image=photo.png", "holes=mask.png", "out=no.png"),
    "a manifest": ("manifest", "verify", "test.json"),
    "a study": ("compare", "study=study.yaml", "out=no"),
}


@pytest.mark.parametrize("words", REFUSED.values(), ids=REFUSED.keys())
def test_a_file_alone_does_not_import_the_package(followed: Followed, words: tuple[str, ...]) -> None:
    study = "manifest: test.json\nevaluate: {trainer: cpu}\nmethods: {a: {checkpoint: runs/first}}\n"
    (followed.folder / "study.yaml").write_text(study)
    forget()
    done = followed.run(*words)
    assert done.returncode == 1
    assert re.search(r"asks to run 'mypackage\.\w+\.\w+'; if you trust the package mypackage, add ", done.stderr)
    assert "trust=[mypackage] to the command." in done.stderr
    assert not [name for name in sys.modules if name.startswith("mypackage")]
    assert not (followed.folder / "no.png").exists()


def test_a_studys_evaluations_get_the_folders_and_the_trust_of_its_command(
    followed: Followed, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands = []

    def run(command: list[str], **_: Any) -> CompletedProcess[str]:
        commands.append(command)
        return CompletedProcess(command, 1, "", "inpaintlab evaluate: not today\n")

    monkeypatch.setattr("inpaintlab.evaluation.study.subprocess.run", run)
    study = "manifest: test.json\nresults: other\nevaluate: {trainer: cpu}\n"
    study += "methods: {a: {checkpoint: runs/first}, b: {model: mine, untrained: true}}\n"
    (followed.folder / "study.yaml").write_text(study)
    searched = f"hydra.searchpath=[file://{followed.folder}/conf]"
    given = ["--config-dir", f"{followed.folder}/conf", "trust=[mypackage]"]
    done = followed.run("compare", "study=study.yaml", *given, searched, "out=no")
    assert "2 of 2 evaluations failed (method 'a': not today; method 'b': not today)" in done.stderr
    for command in commands:
        assert command[2:7] == ["inpaintlab.verbs.evaluate", *given[:2], searched, given[2]]


def test_an_exported_sweep_names_the_users_folder(followed: Followed) -> None:
    given = ["--config-dir", f"{followed.folder}/conf"]
    exported = wandb_sweep(["-m", "model=mine", *given, "seed=1,2", "metrics=mine"])
    assert exported["command"] == ["inpaintlab", "train", *given, "model=mine", "metrics=mine", "${args_no_hyphens}"]


def test_a_comparison_needs_no_code_of_its_methods(followed: Followed, monkeypatch: pytest.MonkeyPatch) -> None:
    forget()
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry != str(followed.folder)])
    done = followed.run("compare", "results/first", "results/telea", "out=elsewhere", "pictures=1")
    assert done.returncode == 0, done.stderr
    assert "only the completions are shown" in (followed.folder / "elsewhere/report.html").read_text()
    whole = (followed.folder / "comparison/table.csv").read_text()
    assert (followed.folder / "elsewhere/table.csv").read_text() == whole
    assert not [name for name in sys.modules if name.startswith("mypackage")]


def test_a_result_is_stale_once_the_users_code_has_changed(followed: Followed) -> None:
    names = {"mypackage.models", *modules_of({"a": [{"_target_": "mypackage.metrics.LargestError"}]})}
    assert names == {"mypackage.models", "mypackage.metrics"}
    before = code_sha256(names)
    losses = followed.folder / "mypackage/losses.py"
    text = losses.read_text()
    losses.write_text(f"{text}\n# changed\n")
    try:
        assert code_sha256(names) != before
        words = ("manifest=test.json", "checkpoint=runs/first", "trust=[mypackage]", "metrics=default")
        done = followed.run("evaluate", *words, *SMALL["evaluate"])
        assert done.returncode == 1
        assert "holds a result of another" in done.stderr
        assert "version of the code" in done.stderr
    finally:
        losses.write_text(text)


# ------------------------------------------------------------------------------------------------------------ enemies


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package of masks and other things, one that cannot be imported, and one that tells that it was imported."""
    files = {
        "mine/__init__.py": "from inpaintlab.masks import Half as Taken\nimport torch\n",
        "mine/inner.py": (
            "import subprocess\nfrom inpaintlab.masks import Half, Mask\nfrom torch import nn\n"
            "class Good(Mask):\n    def __init__(self, a=1): self.a = a\n"
            "    def draw(self, height, width, generator): ...\n"
            "class Other: ...\nclass Network(nn.Module): ...\ndef made(): return Good()\n"
        ),
        "mine/__main__.py": "raise SystemExit('was run')\n",
        "broken.py": "import absent_everywhere\n",
        "single.py": "from inpaintlab.masks import Half as One\n",
        "enemy.py": "raise SystemExit('was run')\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in [name for name in sys.modules if name.partition(".")[0] in ("mine", "broken", "single", "enemy")]:
        del sys.modules[name]


def mask(target: str, **arguments: Any) -> Any:
    return built({"_target_": target, **arguments}, Mask, "A file", inside=(Mask,))


def test_a_class_of_a_trusted_package_is_built_wherever_its_kind_belongs(packages: Path) -> None:
    with trusting(["mine", "single"]):
        good = mask("mine.inner.Good", a=[1, "${b}"])
        assert type(good).__name__ == "Good"
        assert good.a == [1, "${b}"]
        assert mask("inpaintlab.masks.WithHoleRatio", mask={"_target_": "mine.inner.Good"}, low=0, high=1)
        assert type(mask("mine.Taken")).__name__ == "Half"
        assert type(mask("single.One")).__name__ == "Half"
    with pytest.raises(ValueError, match="if you trust the package mine, add"):
        mask("mine.inner.Good")


@pytest.mark.parametrize(
    ("target", "told"),
    [
        ("mine.inner.Other", "is no Mask; nothing else can stand there"),
        ("mine.inner.Network", "is no Mask; nothing else can stand there"),
        ("mine.inner.made", "is no Mask; nothing else can stand there"),
        ("mine.inner.subprocess", "is no Mask; nothing else can stand there"),
        ("mine.inner.subprocess.Popen", "mine.inner.subprocess cannot be imported"),
        ("mine.torch.load", "mine.torch cannot be imported"),
        ("mine.inner.Good.draw", "mine.inner.Good cannot be imported"),
        ("mine.inner.Absent", "mine.inner has no Absent"),
        ("mine.__main__.Good", "is no Mask of inpaintlab"),
        ("mine", "is no Mask of inpaintlab"),
        ("mine..Good", "is no Mask of inpaintlab"),
        ("mine.inner.Good\n", "is no Mask of inpaintlab"),
        ("broken.Good", r"broken cannot be imported \(ModuleNotFoundError: No module named 'absent_everywhere'\)"),
        ("enemy.Good", r"if you trust the package enemy, add trust=\[broken,enemy,mine\] to the command\.$"),
        ("absent.Good", r"add trust=\[absent,broken,mine\] to the command\. But there is no package absent here: inst"),
        ("os.system", "what comes from a file cannot bring code of its own"),
        ("subprocess.Popen", "what comes from a file cannot bring code of its own"),
        ("builtins.eval", "what comes from a file cannot bring code of its own"),
        ("hydra_plugins.inpaintlab_sweeper.JobSweeper", "what comes from a file cannot bring code of its own"),
    ],
)
def test_a_file_names_nothing_but_classes_of_the_kind_of_trusted_packages(
    packages: Path, target: str, told: str
) -> None:
    with trusting(["mine", "broken"]), pytest.raises(ValueError, match=told):
        mask(target)
    assert "enemy" not in sys.modules


def composed(**settings: Any) -> list[str]:
    return trusted_by(OmegaConf.create(settings))


def test_the_command_line_trusts_what_it_names(packages: Path) -> None:
    assert composed(trust=["single"], mask={"masks": [{"_target_": "mine.inner.Good"}]}) == ["single", "mine"]
    assert composed(model=None, other={"_target_": "${oc.env:HOME}.x"}) == []
    ours = ("inpaintlab.models.GLCIC", "torch.optim.Adam", "lightning.Trainer", "datetime.timedelta", "os.system")
    assert composed(**{f"a{number}": {"_target_": target} for number, target in enumerate(ours)}) == []
    assert not {"mine", "single"} & set(sys.modules)


@pytest.mark.parametrize(
    ("trust", "told"),
    [
        ("mine", r"trust is 'mine'; give a list of packages, as in trust=\[mypackage\]\."),
        ([1], r"trust is \[1\]; give a list"),
        (["mine/inner.py"], "trust names 'mine/inner.py', which is no package"),
        ([""], "trust names '', which is no package"),
        (["mine.inner"], r"inside a package; trust all of it: trust=\[mine\]"),
        (["os"], "Python's own library, which needs no trust"),
        (["builtins"], "Python's own library, which needs no trust"),
        (["inpaintlab"], "inpaintlab, whose classes need no trust"),
        (["absent"], r"trust names absent, but there is no package absent here: install it \(pip install -e FOLDER\)"),
    ],
)
def test_what_cannot_be_trusted_is_told(packages: Path, trust: Any, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        composed(trust=trust)


def test_a_package_that_is_not_there_is_told_with_its_setting(packages: Path) -> None:
    with pytest.raises(ValueError, match=r"model\._target_ names absent\.Mine, but there is no .* \(PYTHONPATH=\. for"):
        composed(model={"_target_": "absent.Mine"})


@pytest.mark.parametrize("key", ["trust", "trust.0", "trust/a"])
def test_no_file_of_settings_says_whom_to_trust(key: str) -> None:
    """Studies and lists of jobs are read by it."""
    with pytest.raises(ValueError, match="is said on the command line alone; no file decides whose code runs"):
        require_settings({key: ["mypackage"]}, "A file")


def test_trust_ends_with_its_command(packages: Path) -> None:
    with pytest.raises(KeyError), trusting(["mine"]):
        raise KeyError
    with trusting(["single"]), trusting([]), pytest.raises(ValueError, match=r"add trust=\[single\]"):
        mask("single.One")


def test_a_training_refuses_what_no_checkpoint_could_build_again(packages: Path) -> None:
    def require(part: dict[str, Any]) -> None:
        recipe = {"_target_": "inpaintlab.models.GLCIC", "inner": [part]}
        require_buildable(recipe, Inpainter, "The setting model", inside=PARTS, own=OWN_PARTS)

    with trusting(["mine"]):
        require({"_target_": "mine.inner.Network"})
        require({"_target_": "torch.optim.SGD", "_partial_": True, "a": {"b": 1}})
        for part in ("mine.inner.made", "mine.inner.Other", "torch.nn.ReLU"):
            with pytest.raises(ValueError, match=f"The setting model asks to run '{part}'"):
                require({"_target_": part})
        with pytest.raises(ValueError, match="in a way that a file cannot ask for"):
            require({"_target_": "mine.inner.Network", "_args_": [1]})
    with trusting(["torch"]):
        require({"_target_": "torch.nn.ReLU"})
