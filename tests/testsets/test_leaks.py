"""What a test set shares with training is found, in whatever form it is shared, and nothing else."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from inpaintlab.data import Folder, Photos, Toy
from inpaintlab.masks import MaskFolder
from inpaintlab.testsets import Manifest, image_leaks, mask_leaks, summary
from inpaintlab.testsets.leaks import Leak
from stand_ins.commands import run_here


def manifest_of(root: Path, bins: dict | None = None) -> Manifest:
    return Manifest.create(
        source={"_target_": "inpaintlab.data.Folder", "root": str(root)},
        crop={"_target_": "inpaintlab.data.CentreSquare", "size": 32},
        bins=bins or {name: {"_target_": "inpaintlab.masks.Block"} for name in ("a", "b")},
        split="test",
        size=32,
        seed=0,
    )


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two photographs to test on, four others to train on."""
    for split, names in (("test", ["chelsea", "coffee"]), ("train", ["astronaut", "retina", "ihc", "rocket"])):
        (tmp_path / split).mkdir()
        for name in names:
            photograph(name).save(tmp_path / split / f"{name}.png")
    return tmp_path


def photograph(name: str) -> Image.Image:
    photos = Photos()
    file = next(path for split in ("train", "val", "test") for path in photos.files(split) if path.stem == name)
    return Image.open(file).convert("RGB").resize((150, 120))


def found(root: Path, distance: int = 8) -> list[Leak]:
    source = Folder(str(root))
    return image_leaks(manifest_of(root), source, source, distance=distance)


def test_other_photographs_are_no_leak(root: Path) -> None:
    assert found(root) == []


def test_the_same_file_under_another_name_is_the_same_image(root: Path) -> None:
    (root / "train/sub").mkdir()
    (root / "train/sub/x.png").write_bytes((root / "test/coffee.png").read_bytes())
    assert found(root) == [Leak("same image", "coffee.png", "sub/x.png")]


@pytest.mark.parametrize(
    "change",
    [
        lambda picture: picture.resize((75, 60)),
        lambda picture: picture.resize((100, 100)),
        lambda picture: picture.convert("L"),
        lambda picture: ImageEnhance.Brightness(picture).enhance(1.1),
        ImageOps.mirror,
    ],
    ids=["half", "square", "grey", "brighter", "mirrored"],
)
def test_a_copy_that_was_changed_a_little_is_similar(root: Path, change) -> None:
    change(photograph("coffee")).save(root / "train/copy.jpg", quality=70)
    (leak,) = found(root)
    assert (leak.kind, leak.tested, leak.trained) == ("similar image", "coffee.png", "copy.jpg")
    assert leak.distance <= 8


def test_the_distance_says_how_much_may_differ(root: Path) -> None:
    photograph("coffee").crop((4, 3, 148, 116)).save(root / "train/copy.png")
    (leak,) = found(root, distance=20)
    assert leak.distance > 0
    assert found(root, distance=leak.distance) == [leak]
    assert found(root, distance=leak.distance - 1) == []


def test_the_distance_is_that_of_the_library(root: Path) -> None:
    import imagehash

    changed = ImageEnhance.Contrast(photograph("coffee")).enhance(1.5)
    changed.save(root / "train/copy.png")
    expected = imagehash.phash(photograph("coffee")) - imagehash.phash(changed)
    assert [leak.distance for leak in found(root, distance=32) if leak.trained == "copy.png"][-1] == expected


def test_generated_pictures_can_be_compared() -> None:
    toy = Toy(count=3, size=32)
    manifest = Manifest.create(
        source={"_target_": "inpaintlab.data.Toy", "count": 3, "size": 32},
        crop={"_target_": "inpaintlab.data.CentreSquare", "size": 32},
        bins={"a": {"_target_": "inpaintlab.masks.Block"}},
        split="test",
        size=32,
        seed=0,
    )
    steps: list[tuple[int, int]] = []
    leaks = image_leaks(manifest, toy, toy, "test", 0, lambda done, total: steps.append((done, total)))
    assert [leak for leak in leaks if leak.kind == "same image"] == [
        Leak("same image", f"test_{index:04d}", f"test_{index:04d}") for index in range(3)
    ]
    assert steps == [(done, 6) for done in range(1, 7)]


@pytest.fixture
def masks(tmp_path: Path) -> Path:
    for split in ("trained", "tested"):
        (tmp_path / split).mkdir()
        for index in range(2):
            pixels = np.zeros((32, 32), np.uint8)
            pixels[8 * index : 8 * index + (4 if split == "trained" else 5)] = 255
            Image.fromarray(pixels).save(tmp_path / split / f"{index}.png")
    return tmp_path


def test_shared_mask_files_are_named_whatever_they_are_called(root: Path, masks: Path) -> None:
    bins = {"files": {"_target_": "inpaintlab.masks.MaskFolder", "root": str(masks / "tested")}}
    manifest = manifest_of(root, bins)
    assert mask_leaks(manifest, MaskFolder(masks / "trained")) == []
    used = manifest.items[0].mask_file
    (masks / "trained/other.png").write_bytes((masks / "tested" / str(used)).read_bytes())
    assert mask_leaks(manifest, MaskFolder(masks / "trained")) == [Leak("same mask file", str(used), "other.png")]


def test_a_long_list_is_cut_and_counted() -> None:
    lines = summary([Leak("same image", str(index), "x") for index in range(25)] + [Leak("similar image", "a", "b", 3)])
    assert lines[19:22] == [
        "same image: 19 is in training as x",
        "same image: 5 more",
        "similar image: a is in training as b (3 of 64 bits differ)",
    ]
    assert lines[22].startswith("same image: 25, similar image: 1. ")
    assert summary([]) == ["Nothing is shared."]


def test_the_command_ends_with_one_where_something_is_shared(root: Path, masks: Path) -> None:
    bins = {"files": {"_target_": "inpaintlab.masks.MaskFolder", "root": str(masks / "tested")}}
    manifest_of(root, bins).save(root / "a.json")
    settings = ["leaks", "a.json", "data=folder", f"data.root={root}"]
    without = run_here("manifest", *settings, cwd=root)
    assert (without.returncode, without.stderr) == (0, "")
    compared = (
        f"Compared 2 images of a.json (Folder(root={root}), split 'test') with 4 of training (Folder(root={root}), "
        "split 'train').\n"
    )
    assert without.stdout == f"{compared}Nothing is shared.\n"
    clean = run_here("manifest", *settings, "mask=folder", f"mask.root={masks / 'trained'}", cwd=root)
    assert (clean.returncode, clean.stderr) == (0, "")
    trained = f"with {len(list((masks / 'trained').glob('*')))} of training (MaskFolder(root={masks / 'trained'}))"
    assert clean.stdout.startswith(f"{compared}Compared its 2 mask files {trained}.\n")
    assert clean.stdout.endswith(".\nNothing is shared.\n")
    (root / "train/copy.png").write_bytes((root / "test/coffee.png").read_bytes())
    done = run_here("manifest", *settings, "mask=folder", f"mask.root={masks / 'tested'}", cwd=root)
    assert done.returncode == 1
    assert "same image: coffee.png is in training as copy.png" in done.stdout
    assert "same mask file: " in done.stdout


@pytest.mark.parametrize(
    ("verb", "words"),
    [
        ("manifest", ["leaks", "a.json"]),
        ("manifest", ["create", "out=b.json"]),
        ("doctor", []),
        ("bench", ["data"]),
    ],
)
def test_pictures_that_nobody_named_are_not_taken_for_the_users(root: Path, verb: str, words: list[str]) -> None:
    manifest_of(root).save(root / "a.json")
    done = run_here(verb, *words, cwd=root)
    assert (done.returncode, done.stdout) == (1, "")
    assert ": Say which pictures are to be " in done.stderr
    assert "data=folder data.root=PHOTOS" in done.stderr
    assert not (root / "b.json").exists()


def test_drawn_masks_cannot_be_shared_files(root: Path) -> None:
    manifest_of(root).save(root / "a.json")
    done = run_here("manifest", "leaks", "a.json", "data=folder", f"data.root={root}", "mask=block", cwd=root)
    assert done.returncode == 1
    assert "only mask=folder can be compared" in done.stderr
    assert "Traceback" not in done.stderr
