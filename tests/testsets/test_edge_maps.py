"""Edge maps of a test set are frozen with it, cut like its photographs, and checked as they are read."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from inpaintlab.testsets import Manifest, ManifestDataset


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two photographs whose edge maps are their red planes."""
    random = np.random.default_rng(0)
    for name in ("a.jpg", "b.jpg"):
        red = random.integers(0, 256, (40, 52), dtype=np.uint8)
        for path, picture in (
            (tmp_path / "photos/test" / name, np.stack([red, red // 2, red // 3], axis=-1)),
            (tmp_path / "photos/edges/test" / f"{name[0]}.png", red),
        ):
            path.parent.mkdir(parents=True, exist_ok=True)
            kind = "PNG"  # of which the ending says nothing
            Image.fromarray(picture).save(path, kind)
    return tmp_path


def frozen(root: Path, edges: bool = True, size: int = 24) -> Manifest:
    source = {"_target_": "inpaintlab.data.Folder", "root": str(root / "photos")}
    return Manifest.create(
        source=source | ({"edges": str(root / "photos/edges")} if edges else {}),
        crop={"_target_": "inpaintlab.data.CentreSquare", "size": size},
        bins={"block": {"_target_": "inpaintlab.masks.Block", "fraction": 0.5}},
        split="test",
        size=size,
        seed=0,
    )


def test_a_map_is_cut_and_resized_as_its_photograph(root: Path) -> None:
    manifest = frozen(root)
    path = root / "test.json"
    manifest.save(path)
    for item in ManifestDataset(Manifest.load(path)):
        assert item["edges"].shape == (1, 24, 24)
        torch.testing.assert_close(item["edges"], item["image"][:1], atol=2.1 / 255, rtol=0)


def test_a_test_set_without_maps_is_the_one_that_it_was(root: Path) -> None:
    without = frozen(root, edges=False)
    assert "edges" not in ManifestDataset(without)[0]
    assert "edges_sha256" not in without.text(Path("test.json"))
    assert without.sha256 != frozen(root).sha256


def test_a_changed_and_a_missing_map_are_named_and_stop_an_evaluation(root: Path) -> None:
    dataset = ManifestDataset(frozen(root))
    assert not list(dataset.faults())
    Image.new("L", (52, 40), 7).save(root / "photos/edges/test/a.png")
    (root / "photos/edges/test/b.png").unlink()
    changed, missing = dataset.faults()
    assert "edge map of 'a.jpg' is not the one that the manifest froze" in changed
    assert "b.png, which does not exist" in missing
    with pytest.raises(ValueError, match=r"edge map of 'a\.jpg' is not the one"):
        dataset[0]
    unread = ManifestDataset(frozen_before := dataset.manifest, with_edges=False)  # by a method that knows no edges
    assert frozen_before.items[0].edges_sha256
    assert "edges" not in unread[0]


@pytest.mark.parametrize("fault", ["missing", "other size", "damaged"])
def test_what_would_stop_every_evaluation_is_not_frozen(root: Path, fault: str) -> None:
    path = root / "photos/edges/test/b.png"
    if fault == "missing":
        path.unlink()
    elif fault == "damaged":
        path.write_bytes(path.read_bytes()[:100])
    else:
        Image.new("L", (40, 52)).save(path)
    with pytest.raises(ValueError, match=r"b\.(png|jpg)"):
        frozen(root)


def test_maps_inside_the_photographs_folder_move_with_it(root: Path) -> None:
    manifest = frozen(root)
    first = ManifestDataset(manifest)[0]["edges"]
    shutil.move(root / "photos", root / "moved")
    assert torch.equal(ManifestDataset(manifest, root=str(root / "moved"))[0]["edges"], first)
