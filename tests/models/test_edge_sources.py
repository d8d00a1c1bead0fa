"""Laws of EdgeConnect with every source of edges in conf/model/edges, at completion and in training."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from inpaintlab.config import CONF
from inpaintlab.edges import canny
from inpaintlab.imaging import rgb_to_gray
from inpaintlab.inpainting import build
from stand_ins.building import Builder
from stand_ins.published_files import narrow_hed

SOURCES = sorted(path.stem for path in (CONF / "model/edges").glob("*.yaml"))
each_source = pytest.mark.parametrize("source", SOURCES)


@pytest.fixture(autouse=True)
def narrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    narrow_hed(tmp_path, monkeypatch)


@pytest.fixture(scope="module")
def models(built: Builder) -> dict[str, Any]:
    """A model for each source, with the same weights."""
    return {source: built("edgeconnect", f"model/edges={source}") for source in SOURCES}


def batch_of() -> dict[str, Tensor]:
    """Two photographs with strong edges, a hole in each, and maps."""
    generator = torch.Generator().manual_seed(1)
    image = torch.rand(2, 3, 7, 7, generator=generator).repeat_interleave(5, 2).repeat_interleave(5, 3)
    mask = torch.zeros(2, 1, 35, 35)
    mask[0, :, 8:25, 9:26], mask[1, :, 12:30, 4:20] = 1, 1
    return {"image": image, "mask": mask, "edges": (torch.rand(2, 1, 35, 35, generator=generator) > 0.7).float()}


def test_the_oracles_are_those_that_see_the_whole_or_a_drawing(models: dict[str, Any], built: Builder) -> None:
    assert {source for source, model in models.items() if model.oracle} == {"drawn"}
    assert {source for source, model in models.items() if model.reads_edges} == {"drawn", "files"}
    assert built("edgeconnect", "model/edges=none", "model.test_edges=whole").oracle


@each_source
def test_nothing_in_the_hole_of_a_photograph_or_a_map_has_influence_unless_it_is_an_oracle(
    models: dict[str, Any], source: str
) -> None:
    model, batch = models[source], batch_of()
    mask, files = batch["mask"], model.edge_files(batch)
    hole = mask > 0.5
    expected = model.complete(batch["image"], mask, files)
    changed = torch.where(hole, torch.nan, batch["image"])
    assert torch.equal(model.complete(changed, mask, files), expected)  # of an oracle, the drawing is the truth
    if files is not None:
        found = model.complete(changed, mask, torch.where(hole, 1 - files, files))
        assert torch.equal(found, expected) != model.oracle


@each_source
def test_every_source_completes_and_marks_what_training_learns(models: dict[str, Any], source: str) -> None:
    model, batch = models[source], batch_of()
    assert model.complete(batch["image"], batch["mask"], model.edge_files(batch)).isfinite().all()
    assert set(model.seen_inside(batch["image"], batch["mask"], model.edge_files(batch))) == {"edges"}
    true, known = model.training_edges(batch)
    if source == "drawn":
        assert torch.equal(true, batch["edges"])
        assert torch.equal(known, canny(rgb_to_gray(batch["image"]), 2.0))
    else:
        assert torch.equal(true, known)
        assert torch.equal(true, model.true_edges(batch["image"], model.edge_files(batch)))


def test_the_choices_name_the_source(models: dict[str, Any]) -> None:
    assert models["canny"].switches()["edges"] == "canny, sigma 2"
    assert models["hed"].switches()["edges"] == "hed, thinned, from 0.5 on"


def test_hed_is_in_neither_checkpoint_nor_optimizer(models: dict[str, Any]) -> None:
    model = models["hed"]
    model.require()
    theirs = {id(parameter) for parameter in model.edges.network[0].parameters()}
    assert not theirs & {id(parameter) for parameter in model.parameters()}
    assert set(model.state_dict()) == set(models["canny"].state_dict())


@pytest.mark.parametrize("source", ["files", "drawn"])
def test_without_a_map_a_source_of_files_says_what_is_missing(models: dict[str, Any], source: str) -> None:
    batch = batch_of()
    with pytest.raises(ValueError, match=f"model/edges={source} needs an edge map"):
        models[source].complete(batch["image"], batch["mask"])


def test_g1s_own_drawing_is_told_with_the_truth(models: dict[str, Any]) -> None:
    batch = batch_of()
    found = models["canny"].test_step(batch, 0)
    assert torch.equal(found["true_edges"], canny(rgb_to_gray(batch["image"]), 2.0))
    assert found["drawn_edges"].shape == batch["mask"].shape
    assert ((found["drawn_edges"] > 0) & (found["drawn_edges"] < 1)).all()
    assert "drawn_edges" not in models["drawn"].test_step(batch, 0)  # there G1 draws nothing


def test_a_recipe_without_its_source_is_refused(models: dict[str, Any]) -> None:
    recipe = {key: value for key, value in models["canny"].recipe.items() if key != "edges"}
    with pytest.raises(Exception, match="edges"):
        build(recipe)
