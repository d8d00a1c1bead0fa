"""A manifest is the same on every machine, and notices when what it froze has changed."""

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from commands import run_here
from inpaintlab.manifest import Manifest, ManifestDataset

Done = subprocess.CompletedProcess[str]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Six photographs of noise in each split, and masks to choose from."""
    random = np.random.default_rng(0)
    for split in ("train", "val", "test"):
        (tmp_path / "photos" / split).mkdir(parents=True)
        for index in range(3):
            picture = Image.fromarray(random.integers(0, 256, (40, 44, 3), dtype=np.uint8))
            picture.save(tmp_path / "photos" / split / f"{index}.png")
    (tmp_path / "masks").mkdir()
    for index in range(2):
        mask = np.zeros((32, 32), dtype=np.uint8)
        mask[index * 8 : index * 8 + 8] = 255
        Image.fromarray(mask).save(tmp_path / "masks" / f"{index}.png")
    return tmp_path


def recipe(root: Path, **changes: Any) -> dict[str, Any]:
    """Settings of ``Manifest.create`` for the fixture's photographs with their masks."""
    return {
        "source": {"_target_": "inpaintlab.sources.Folder", "root": str(root / "photos")},
        "crop": {"_target_": "inpaintlab.crops.CentreSquare", "size": 32},
        "bins": {
            "files": {
                "_target_": "inpaintlab.mask_files.MaskFolder",
                "root": str(root / "masks"),
                "threshold": 0.5,
                "hole": "white",
                "dilate": 0,
            },
            "block": {"_target_": "inpaintlab.masks.Block", "fraction": 0.5},
        },
        "split": "test",
        "size": 32,
        "seed": 0,
        **changes,
    }


def succeeded(done: Done) -> Done:
    assert done.returncode == 0, done.stderr
    return done


def test_the_command_gives_the_same_bytes_each_time(tmp_path: Path) -> None:
    for name in ("a", "b"):
        succeeded(run_here("manifest", "data=toy", "data.size=32", "images=3", f"out={name}.json", cwd=tmp_path))
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    assert {path.name for path in tmp_path.iterdir()} == {"a.json", "b.json"}


def test_the_bins_hold_the_same_images_and_the_ratios_that_their_names_say(tmp_path: Path) -> None:
    done = succeeded(run_here("manifest", "data=toy", "data.size=64", "images=4", "out=a.json", cwd=tmp_path))
    assert "20 items of 64 x 64 pixels" in done.stdout
    manifest = Manifest.load(tmp_path / "a.json")
    by_bin = {label: [item for item in manifest.items if item.bin == label] for label in manifest.bins}
    assert list(by_bin) == ["10-20", "20-30", "30-40", "40-50", "fixed"]
    for label, items in by_bin.items():
        assert [item.image for item in items] == [f"test_{index:04d}" for index in range(4)]
        assert [item.name for item in items] == [f"{label}/{item.image}" for item in items]
        low, high = (0.2499, 0.25) if label == "fixed" else (int(end) / 100 for end in label.split("-"))
        assert all(low < item.hole_ratio <= high for item in items)


def test_another_seed_gives_other_holes_of_the_same_images(root: Path) -> None:
    first, second = (Manifest.create(**recipe(root, seed=seed)) for seed in (0, 1))
    assert [item.image_sha256 for item in first.items] == [item.image_sha256 for item in second.items]
    assert [item.mask_sha256 for item in first.items] != [item.mask_sha256 for item in second.items]
    assert first.sha256 != second.sha256


def test_fewer_images_are_the_first_of_more(root: Path) -> None:
    few, all_ = (Manifest.create(**recipe(root, images=images)) for images in (2, None))
    assert len(few.items) == 4
    assert set(few.items) < set(all_.items)


def test_saving_and_loading_changes_nothing(root: Path) -> None:
    manifest = Manifest.create(**recipe(root))
    manifest.save(root / "a.json")
    assert Manifest.load(root / "a.json") == manifest
    assert not list(root.glob("*.partial"))


def test_the_items_are_what_was_frozen(root: Path) -> None:
    manifest = Manifest.create(**recipe(root))
    dataset = ManifestDataset(manifest)
    assert len(dataset) == 6
    for index, item in enumerate(manifest.items):
        sample = dataset[index]
        assert sample["name"] == item.name
        assert sample["image"].shape == (3, 32, 32)
        assert sample["mask"].shape == (1, 32, 32)
        assert set(sample["mask"].unique().tolist()) == {0.0, 1.0}
        assert float(sample["mask"].mean()) == pytest.approx(item.hole_ratio)
        again = dataset[index]
        assert torch.equal(sample["image"], again["image"])
        assert torch.equal(sample["mask"], again["mask"])


def test_the_hash_does_not_depend_on_where_the_images_lie(root: Path) -> None:
    before = Manifest.create(**recipe(root))
    (root / "photos").rename(root / "moved")
    source = {"_target_": "inpaintlab.sources.Folder", "root": str(root / "moved")}
    assert Manifest.create(**recipe(root, source=source)).sha256 == before.sha256
    moved = ManifestDataset(before, root=str(root / "moved"))
    assert [moved[index]["name"] for index in range(6)] == [item.name for item in before.items]


def test_a_changed_image_is_named(root: Path) -> None:
    dataset = ManifestDataset(Manifest.create(**recipe(root)))
    Image.new("RGB", (44, 40)).save(root / "photos/test/1.png")
    assert dataset[0]["name"] == "files/0.png"
    with pytest.raises(ValueError, match=r"^Image '1\.png' is not the one that the manifest froze"):
        dataset[1]


def test_a_changed_mask_is_named(root: Path) -> None:
    manifest = Manifest.create(**recipe(root))
    for path in (root / "masks").iterdir():
        Image.fromarray(np.eye(32, dtype=np.uint8) * 255).save(path)
    with pytest.raises(ValueError, match=r"^The hole of 'files/0\.png' is not the one that the manifest froze"):
        ManifestDataset(manifest)[0]


def edited(root: Path, change: Any) -> Path:
    """A manifest file after ``change(content)``."""
    path = root / "a.json"
    Manifest.create(**recipe(root)).save(path)
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    return path


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content["items"].pop(),
        lambda content: content["items"][0].update(hole_ratio=0.5),
        lambda content: content["items"][0].update(image="2.png"),
        lambda content: content["crop"].update(size=16),
        lambda content: content.update(size=16),
    ],
)
def test_an_edit_by_hand_is_noticed(root: Path, change: Any) -> None:
    path = edited(root, change)
    with pytest.raises(ValueError, match=r"a\.json was changed after it was frozen"):
        Manifest.load(path)


def test_an_edited_mask_recipe_is_noticed_where_it_gives_another_hole(root: Path) -> None:
    path = edited(root, lambda content: content["bins"]["block"].update(fraction=0.25))
    with pytest.raises(ValueError, match=r"The hole of 'block/0\.png' is not the one"):
        ManifestDataset(Manifest.load(path))[3]


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"format": 1, "sha256": "", "items": []}', '"format"', "3"])
def test_a_file_that_is_no_manifest_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(ValueError, match=r"a\.json is not a manifest of inpaintlab"):
        Manifest.load(tmp_path / "a.json")


def test_a_newer_format_says_to_update(root: Path) -> None:
    path = edited(root, lambda content: content.update(format=99))
    with pytest.raises(ValueError, match=r"has format 99.*update inpaintlab"):
        Manifest.load(path)


@pytest.mark.parametrize("part", ["source", "crop", "bins"])
@pytest.mark.parametrize("target", ["os.system", "inpaintlab.config.os.system"])
def test_a_manifest_does_not_say_what_to_run(root: Path, part: str, target: str) -> None:
    evil = {"_target_": target, "command": f"touch {root / 'executed'}"}
    sound = Manifest.create(**recipe(root))
    parts = {"source": sound.source, "crop": sound.crop, "bins": sound.bins}
    parts[part] = {"files": evil, "block": evil} if part == "bins" else evil
    Manifest(split="test", size=32, seed=0, items=sound.items, **parts).save(root / "a.json")
    with pytest.raises(ValueError, match="asks to run '"):
        ManifestDataset(Manifest.load(root / "a.json"))
    assert not (root / "executed").exists()


def test_an_empty_split_says_where_it_looked(tmp_path: Path) -> None:
    (tmp_path / "photos/test").mkdir(parents=True)
    folder = ["data=folder", f"data.root={tmp_path / 'photos'}", "data.size=32", "out=a.json"]
    done = run_here("manifest", *folder, cwd=tmp_path)
    assert done.returncode == 1
    assert str(tmp_path / "photos/test") in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "a.json").exists()


def test_the_folder_of_the_output_may_be_new(tmp_path: Path) -> None:
    succeeded(run_here("manifest", "data=toy", "data.size=32", "images=1", "out=new/folder/a.json", cwd=tmp_path))
    assert len(Manifest.load(tmp_path / "new/folder/a.json").items) == 5
