"""Laws of the figures that are drawn of a checkpoint: known pixels stay, edges go where they belong."""

from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image

from inpaintlab.figure import overview, removal, transfer
from inpaintlab.figure.caption import of_checkpoint
from inpaintlab.figure.sheet import sheet
from stand_ins.building import build_model
from stand_ins.figure_results import frozen

ORIGIN = {"path": "runs/ec/last.ckpt", "sha256": "ab" * 32, "iterations": 7, "images_seen": 56, "imported": None}
FILES = {"images": [], "count": 1, "manifest": None, "drawing": None}
COMMON = {"checkpoint": "runs/ec", "which": None, "root": None, "mask_root": None}
MASKS = {"hole_colour": "white", "threshold": 0.5}


@pytest.fixture
def checkpoint(monkeypatch: pytest.MonkeyPatch):
    """Lets the checkpoint that figures ask for hold a model of these settings."""

    def holding(*overrides: str, name: str = "edgeconnect"):
        model = build_model(name, *overrides)
        identity = {"label": "ec", "checkpoint": ORIGIN, "switches": model.switches()}
        monkeypatch.setattr("inpaintlab.figure.stages.build_method", lambda *_, **__: (model, identity))
        return model

    return holding


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch):
    """The rows of pictures of the last figure."""
    seen = []

    def keep(rows):
        seen[:] = rows
        return sheet(rows)

    monkeypatch.setattr("inpaintlab.figure.stages.sheet", keep)
    return seen


def photograph(path: Path, size: tuple[int, int], seed: int) -> str:
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return str(path)


def plane(path: Path, pixels: np.ndarray) -> str:
    Image.fromarray((pixels * 255).astype(np.uint8)).save(path)
    return str(path)


def cell(row, label: str) -> np.ndarray:
    return next(one.picture for one in row.cells if one.label == label)


def test_the_stages_of_an_image_fit_together(tmp_path, checkpoint, shown):
    checkpoint()
    manifest = frozen()
    manifest.save(tmp_path / "test.json")
    settings = {"manifest": str(tmp_path / "test.json"), "images": [], "count": 2, "image": None, "holes": None}
    drawn = overview(OmegaConf.create(COMMON | MASKS | settings))
    assert len(shown) == 2
    row = shown[0]
    assert [one.label for one in row.cells] == [
        *("input", "gray", "known edges", "predicted edges", "composite", "output", "original"),
    ]
    hole = (cell(row, "input") != cell(row, "original")).any(axis=2)
    assert hole.any()
    assert not hole.all()
    assert np.array_equal(cell(row, "output")[~hole], cell(row, "original")[~hole])
    assert (cell(row, "gray")[hole] == 255).all()  # white, as the generators see it
    assert (cell(row, "known edges")[hole] == 0).all()
    assert np.array_equal(cell(row, "composite")[hole], cell(row, "predicted edges")[hole])
    assert np.array_equal(cell(row, "composite")[~hole], cell(row, "known edges")[~hole])
    assert manifest.sha256 in drawn.caption
    assert ORIGIN["sha256"] in drawn.caption
    assert drawn.numbers.height == 2 * 3


@pytest.mark.parametrize("test_edges", ["known", "whole"])
def test_known_edges_are_those_that_the_edge_generator_gets(tmp_path, checkpoint, shown, monkeypatch, test_edges):
    """At a size that is padded, in a folder where a file is called as figures are."""
    model = checkpoint(f"model.test_edges={test_edges}")
    monkeypatch.chdir(tmp_path)
    photo = photograph(Path("figure.png"), (21, 30), 3)
    hole = np.zeros((21, 30))
    hole[5:15, 6:18] = 1
    drawn = overview(OmegaConf.create(COMMON | MASKS | FILES | {"image": photo, "holes": plane(Path("m.png"), hole)}))
    (row,) = shown
    image = torch.from_numpy(np.array(Image.open(photo))).permute(2, 0, 1)[None] / 255
    mask = torch.from_numpy(hole)[None, None].float()
    seen = model.seen_inside(image, mask)["edges"][0, 0].numpy()
    assert cell(row, "known edges").any()
    assert np.array_equal(cell(row, "known edges")[hole == 0] / 255, seen[hole == 0])
    assert (cell(row, "known edges")[hole == 1] == 0).all()
    assert ("†" in drawn.caption) == (test_edges == "whole")


def test_a_setting_that_an_overview_would_not_use_is_refused(tmp_path, checkpoint):
    checkpoint()
    photo, mask = photograph(tmp_path / "a.png", (16, 16), 0), plane(tmp_path / "m.png", np.eye(16))
    settings = COMMON | MASKS | FILES | {"image": photo, "holes": mask}
    for key, value in {"count": 2, "images": ["a"], "root": "x", "mask_root": "x"}.items():
        with pytest.raises(ValueError, match=rf"^{key}= chooses"):
            overview(OmegaConf.create(settings | {key: value}))
    with pytest.raises(ValueError, match=r"^holes= is the mask"):
        overview(OmegaConf.create(settings | {"image": None, "manifest": "test.json"}))
    checkpoint("model.hole_edges=none")
    with pytest.raises(ValueError, match="no predicted edges"):
        overview(OmegaConf.create(settings))


def test_a_caption_tells_starter_weights_from_published_ones():
    origins = {layout: ORIGIN | {"imported": {"layout": layout}} for layout in ("starter", "edgeconnect")}
    told = {
        layout: of_checkpoint({"label": "a", "switches": {}, "checkpoint": origin}, "EdgeConnect")
        for layout, origin in origins.items()
    }
    assert "starter weights" in told["starter"]
    assert "published weights" in told["edgeconnect"]


def test_what_cannot_be_an_overview_is_told(tmp_path, checkpoint):
    checkpoint(name="glcic")
    frozen().save(tmp_path / "test.json")
    settings = {"manifest": str(tmp_path / "test.json"), "images": [], "count": 1, "image": None, "holes": None}
    with pytest.raises(ValueError, match="holds a GLCIC, which draws no edges"):
        overview(OmegaConf.create(COMMON | MASKS | settings))
    with pytest.raises(ValueError, match=r"give manifest=TEST\.json"):
        overview(OmegaConf.create(COMMON | MASKS | settings | {"manifest": None}))
    with pytest.raises(ValueError, match="Did you mean '10-20/test"):
        overview(OmegaConf.create(COMMON | MASKS | settings | {"images": [frozen().items[0].name + "x"]}))


def test_the_right_half_has_the_other_photographs_edges_and_the_left_half_is_untouched(tmp_path, checkpoint, shown):
    model = checkpoint()
    left, right = photograph(tmp_path / "a.png", (21, 30), 0), photograph(tmp_path / "b.png", (21, 30), 1)
    settings = COMMON | {"left": [left], "right": [right], "manifest": None}
    drawn = transfer(OmegaConf.create(settings))
    (row,) = shown
    edges = cell(row, "edges of both")
    other = torch.from_numpy(np.array(Image.open(right))).permute(2, 0, 1)[None] / 255
    assert np.array_equal(edges[:, 15:] / 255, model.edges.whole(other)[0, 0].numpy()[:, 15:])
    assert np.array_equal(cell(row, "output")[:, :15], np.asarray(Image.open(left))[:, :15])
    assert not np.array_equal(cell(row, "output")[:, 15:], np.asarray(Image.open(left))[:, 15:])
    assert "a.png" in drawn.caption
    assert "b.png" in drawn.caption


@pytest.mark.parametrize(
    ("overrides", "sizes", "sentence"),
    [
        ([], [(21, 30), (21, 31)], "pairs of photographs of one size"),
        ([], [(4, 1), (4, 1)], "has no left and right half"),
        (["model.test_edges=whole"], [(16, 16), (16, 16)], "takes no others"),
        (["model/edges=none"], [(16, 16), (16, 16)], "trained without known edges"),
    ],
)
def test_a_transfer_that_cannot_be_is_one_sentence(tmp_path, checkpoint, overrides, sizes, sentence):
    checkpoint(*overrides)
    files = [photograph(tmp_path / f"{number}.png", size, number) for number, size in enumerate(sizes)]
    settings = COMMON | {"left": files[:1], "right": files[1:], "manifest": None}
    with pytest.raises(ValueError, match=sentence):
        transfer(OmegaConf.create(settings))
    with pytest.raises(ValueError, match="as many of each"):
        transfer(OmegaConf.create(settings | {"right": []}))
    with pytest.raises(ValueError, match="missing"):
        transfer(OmegaConf.create(settings | {"left": [str(tmp_path / "missing.png")]}))


def test_a_removal_differs_by_the_drawing_inside_the_hole_alone(tmp_path, checkpoint, shown):
    checkpoint()
    photo = photograph(tmp_path / "photo.png", (20, 24), 3)
    hole, drawing = np.zeros((20, 24)), np.zeros((20, 24))
    hole[5:15, 6:18] = 1
    drawing[10] = 1
    files = {"image": photo, "holes": plane(tmp_path / "m.png", hole), "drawing": plane(tmp_path / "e.png", drawing)}
    removal(OmegaConf.create(COMMON | MASKS | files))
    (row,) = shown
    inside = hole > 0
    edited = cell(row, "edited edges")
    assert np.array_equal(edited[inside] / 255, drawing[inside])
    assert np.array_equal(edited[~inside], cell(row, "predicted edges")[~inside])
    for output in ("output", "output with edited edges"):
        assert np.array_equal(cell(row, output)[~inside], np.asarray(Image.open(photo))[~inside])
    assert not np.array_equal(cell(row, "output"), cell(row, "output with edited edges"))
    wrong = files | {"drawing": plane(tmp_path / "small.png", drawing[:8])}
    with pytest.raises(ValueError, match="same size"):
        removal(OmegaConf.create(COMMON | MASKS | wrong))
    with pytest.raises(ValueError, match="no hole"):
        removal(OmegaConf.create(COMMON | MASKS | files | {"holes": plane(tmp_path / "none.png", 0 * hole)}))
