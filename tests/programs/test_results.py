"""Evaluations and comparisons from a program: the commands' own numbers and files, and what a notebook shows."""

import json
import multiprocessing
import os
import re
import shlex
import shutil
import warnings
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from hydra.core.global_hydra import GlobalHydra

import inpaintlab
from inpaintlab.evaluation import Result
from inpaintlab.machine import INTERRUPTED
from inpaintlab.published import starter_file
from stand_ins.commands import run_here

TEST = ("data=photos", "data.size=32", "images=2", "ratios=[0.1,0.3]", "out=test.json")
CHANGING = ("created", "command", "cost", "checksum")
"""Of a result what differs between two evaluations: times, and hashes over these."""


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A test set, and the results of two methods by the command."""
    folder = tmp_path_factory.mktemp("prepared")
    for verb, *settings in (
        ("manifest", *TEST),
        ("evaluate", "manifest=test.json", "checkpoint=starter-glcic", "workers=0", "trainer=cpu", "results=commands"),
    ):
        done = run_here(verb, *settings, cwd=folder)
        assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def here(prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(prepared / "commands", tmp_path / "commands")
    shutil.copy(prepared / "test.json", tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("inpaintlab.evaluation.cost.SECONDS", 0.0)
    monkeypatch.setattr("inpaintlab.report.page.plot", lambda table, metric: "<svg></svg>")
    return tmp_path


def evaluate(**settings: Any) -> inpaintlab.Evaluation:
    return inpaintlab.evaluate("test.json", workers=0, trainer="cpu", **settings)


def record(folder: Path) -> dict[str, Any]:
    content = json.loads((folder / "result.json").read_text())
    return {key: value for key, value in content.items() if key not in CHANGING}


def test_a_test_set_is_frozen_as_by_the_command(here: Path) -> None:
    file = inpaintlab.freeze("mine.json", "photos", size=32, images=2, ratios=[0.1, 0.3])
    assert file.read_bytes() == (here / "test.json").read_bytes()
    with pytest.raises(ValueError, match=r"data.size is 0"):
        inpaintlab.freeze("mine.json", "photos", size=0)


def test_the_result_is_that_of_the_command(here: Path) -> None:
    found = inpaintlab.evaluate("test.json", inpaintlab.load("starter-glcic"), workers=0, trainer="cpu")
    command = here / "commands" / "starter-glcic"
    assert found.folder == Path("results/starter-glcic")
    assert record(found.folder) == record(command)
    assert (found.folder / "manifest.json").read_bytes() == (command / "manifest.json").read_bytes()
    for picture in (command / "completed").iterdir():
        assert (found.folder / "completed" / picture.name).read_bytes() == picture.read_bytes()
    assert found.per_image.equals(pl.read_parquet(command / "per_image.parquet"))
    assert found.means["psnr_rgb"] == pytest.approx(found.per_image["psnr_rgb"].mean())


def test_its_command_can_be_pasted_and_finds_the_result_there(here: Path) -> None:
    found = evaluate(model="telea", **{"model.radius": 5, "label": "5"})
    command = json.loads((found.folder / "result.json").read_text())["command"]
    assert command.startswith("inpaintlab evaluate manifest=test.json ")
    done = run_here("evaluate", *shlex.split(command)[2:], cwd=here)
    assert done.returncode == 0, done.stderr
    assert "is there already and is of the same inputs" in done.stdout


def test_a_second_call_reads_what_is_there_and_nothing_is_left_changed(
    here: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    np.random.seed(1)  # the state of old programs
    states = np.random.get_state()[1].tolist(), torch.get_rng_state()  # not Python's own, of which beartype draws
    filters, variables = list(warnings.filters), dict(os.environ)
    first = evaluate(model="mean_colour")
    written = (first.folder / "result.json").stat().st_mtime_ns
    second = evaluate(model="mean_colour")
    assert (second.folder / "result.json").stat().st_mtime_ns == written
    assert second.table.equals(first.table)
    assert np.random.get_state()[1].tolist() == states[0]
    assert torch.equal(torch.get_rng_state(), states[1])
    assert warnings.filters == filters
    assert {k: v for k, v in os.environ.items() if k.startswith("PL_")} == {
        k: v for k, v in variables.items() if k.startswith("PL_")
    }
    assert Path.cwd() == here
    assert not GlobalHydra.instance().is_initialized()
    assert sorted(path.name for path in here.iterdir()) == ["commands", "results", "test.json"]
    assert capfd.readouterr() == ("", "")


def test_a_blended_result_comes_with_its_own(here: Path) -> None:
    found = evaluate(model="mean_colour", blend=True)
    assert found.blended is not None
    assert (found.label, found.blended.label) == ("mean_colour", "mean_colour_blended")
    assert found.blended.result.post_processing
    assert found.blended.means != found.means


def test_progress_is_shown_where_it_is_asked_for(here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    evaluate(model="mean_colour", progress=True)
    assert "mean_colour: 2 images -> results/mean_colour" in capfd.readouterr().out


@pytest.mark.parametrize(("code", "raised"), [(INTERRUPTED, KeyboardInterrupt), (143, SystemExit)])
def test_a_stop_is_a_stop_of_the_cell_and_a_request_to_end_is_heeded(
    code: int, raised: type[BaseException], here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: Any, **__: Any) -> bool:
        raise SystemExit(code)

    monkeypatch.setattr("inpaintlab.programs.evaluating.run_evaluation", stopped)
    with pytest.raises(raised):
        evaluate(model="mean_colour")
    monkeypatch.undo()
    monkeypatch.chdir(here)
    assert evaluate(model="mean_colour").folder.is_dir()  # nothing is locked any more


def test_a_method_of_a_file_is_scored_from_another_folder_too_and_starts_no_other_processes(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(starter_file(Path("starter-glcic")), here / "mine.ckpt")
    method = inpaintlab.load("mine.ckpt")
    (here / "other").mkdir()
    monkeypatch.chdir(here / "other")
    start = multiprocessing.get_start_method(allow_none=True)
    multiprocessing.set_start_method(None, force=True)  # as in a program that has not chosen
    try:
        found = inpaintlab.evaluate("../test.json", method, workers=0, trainer="cpu", metrics="default")
        assert multiprocessing.get_start_method(allow_none=True) is None
    finally:
        multiprocessing.set_start_method(start, force=True)
    assert found.label == method.label
    monkeypatch.chdir(here)
    found = inpaintlab.evaluate("test.json", method, workers=0, trainer="cpu", metrics="default")
    assert "checkpoint=mine.ckpt" in json.loads((found.folder / "result.json").read_text())["command"]


def test_a_method_that_completes_in_windows_is_not_scored_as_if_it_were_whole(here: Path) -> None:
    with pytest.raises(ValueError, match="always of whole images; load the method without window"):
        inpaintlab.evaluate("test.json", inpaintlab.load("starter-glcic", window=32), workers=0, trainer="cpu")


REFUSED = {
    "no method": ({}, "No method is given"),
    "no manifest": ({"model": "telea", "manifest": "none.json"}, "There is no manifest at"),
    "no setting": ({"model": "telea", "batchsize": 3}, "Did you mean 'batch_size'"),
    "learns": ({"model": "glcic"}, "GLCIC learns"),
    "a resolver": ({"checkpoint": "${oc.env:HOME}"}, "nothing in it is resolved"),
    "two methods": ({"method": None, "model": "telea"}, "the method says that already"),
    "a wrong value": ({"model": "telea", "batch_size": 0}, "batch_size is 0"),
    "a wrong choice": ({"model": "telea", "metrics": "alle"}, "metrics is 'alle'; it can be all, default"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_the_command_refuses_is_one_sentence(name: str, here: Path) -> None:
    settings, sentence = REFUSED[name]
    given: dict[str, Any] = {"manifest": "test.json"} | settings
    if name == "two methods":
        given["method"] = inpaintlab.method("telea")
    with pytest.raises(ValueError, match=sentence) as error:
        inpaintlab.evaluate(**given)
    assert "\n" not in str(error.value)
    assert not (here / "results").exists()


def test_another_method_never_takes_a_results_place(here: Path) -> None:
    evaluate(model="telea")
    with pytest.raises(ValueError, match="holds a result of another config"):
        inpaintlab.evaluate("test.json", inpaintlab.method("telea", radius=9), workers=0, trainer="cpu")


# ---------------------------------------------------------------------------------------------------------- comparison


@pytest.fixture(scope="module")
def compared(prepared: Path) -> Iterator[inpaintlab.Comparison]:
    """Two methods, compared in the prepared folder, which is the working folder of the tests that use this."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(prepared)
        patch.setattr("inpaintlab.evaluation.cost.SECONDS", 0.0)
        patch.setattr("inpaintlab.report.page.plot", lambda table, metric: "<svg></svg>")
        yield inpaintlab.compare([evaluate(model="telea"), "commands/starter-glcic"], "mine", pictures=2)


def test_a_comparison_is_that_of_the_command(compared: inpaintlab.Comparison, prepared: Path) -> None:
    here = prepared
    done = run_here("compare", "results/telea", "commands/starter-glcic", "out=theirs", "pictures=2", cwd=here)
    assert done.returncode == 0, done.stderr
    for name in ("table.md", "table.csv", "table.tex", "costs.csv", "seeds.csv"):
        assert (here / "mine" / name).read_bytes() == (here / "theirs" / name).read_bytes()
    assert compared.report.read_text() == (here / "theirs" / "report.html").read_text()
    written = pl.read_csv(here / "theirs" / "table.csv")
    assert compared.table["mean"].to_list() == pytest.approx(written["mean"].to_list())
    assert compared.table.columns == written.columns
    assert repr(compared).startswith("<inpaintlab.Comparison of ")
    assert "\n" not in repr(compared)


def test_results_are_named_in_every_way(compared: inpaintlab.Comparison, prepared: Path) -> None:
    one = Result.load(prepared / "results" / "telea")
    for given in (one, [inpaintlab.Evaluation(one)], one.folder, [str(one.folder)]):
        found = inpaintlab.compare(given, prepared / "one", pictures=0)
        assert [result.label for result in found.tabulated.results] == ["telea"]


def test_what_does_not_compare_is_one_sentence(here: Path) -> None:
    for results, settings, sentence in (
        ([], {}, "There is nothing to compare"),
        (["none"], {}, "none is not a folder"),
        (["commands/starter-glcic"], {"pictures": -1}, "pictures is -1"),
        (["commands/starter-glcic"], {"reference": "telea"}, "reference=telea is none of the results"),
    ):
        with pytest.raises(ValueError, match=sentence):
            inpaintlab.compare(results, **settings)
    assert not (here / "comparison").exists()


class Page(HTMLParser):
    """What a browser would make of a fragment: its tags in order, and the attributes of its pictures."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.sources: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag == "img":
            self.sources.append(dict(attributes)["src"] or "")
        elif tag != "br":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def page(shown: Any) -> Page:
    found = Page()
    found.feed(shown._repr_html_())
    assert not found.open
    return found


def test_a_notebook_shows_the_means_with_intervals_and_pictures(compared: inpaintlab.Comparison) -> None:
    found = page(compared)
    for result in compared.tabulated.results:
        assert result.label in found.text
        assert f"{result.means['all']['psnr_rgb']:.2f}" in found.text
    assert re.search(r"\d+\.\d\d to \d+\.\d\d", found.text)
    assert len(found.sources) == 2 * (2 + 2)  # of two images, the original, the input, and two methods
    assert all(source.startswith("data:image/") for source in found.sources)
    assert "script" not in found.tags


def test_a_notebook_runs_no_label_and_shows_it(here: Path) -> None:
    label = "<script>alert(1)"
    found = evaluate(model="telea", label=label)
    shown = page(found)
    assert "script" not in shown.tags
    assert label in shown.text
    assert f"{found.means['psnr_rgb']:.2f}" in shown.text
    assert repr(found).startswith(f"<inpaintlab.Evaluation '{label}': psnr_rgb ")


def test_numbers_are_shown_where_pictures_are_lost(here: Path) -> None:
    lost = inpaintlab.compare(["commands/starter-glcic"], pictures=0)
    for picture in (here / "commands/starter-glcic/completed").iterdir():
        picture.unlink()
    found = page(lost)
    assert "No pictures: " in found.text
    assert not found.sources
    assert "psnr_rgb" in found.text
