"""Test sets of others: an image gets the mask that a name or a list says, and a mismatch is told with both sides."""

import subprocess
import unicodedata
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from inpaintlab.evaluation import Result
from inpaintlab.testsets import (
    Manifest,
    ManifestDataset,
    freeze_pairs,
    freeze_ratio_folders,
    lama_folder,
    paired_lists,
    same_names,
)
from stand_ins.commands import run_here

SIDE = 40  # 1600 pixels: every whole percent is a whole number of pixels
WHITE = {"threshold": 0.5, "hole": "white", "dilate": 0}
BLACK = WHITE | {"hole": "black"}
TENTHS = [0, 0.1, 0.2, 0.3, 0.4, 0.5]


def write_image(path: Path, seed: int, size: tuple[int, int] = (SIDE, SIDE)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def write_mask(path: Path, percent: int, side: int = SIDE, black: bool = False) -> None:
    """A mask file whose first rows cover so many percent in white, or in black on white."""
    path.parent.mkdir(parents=True, exist_ok=True)
    flat = np.zeros(side * side, np.uint8)
    flat[: percent * side * side // 100] = 255
    Image.fromarray((255 - flat if black else flat).reshape(side, side)).save(path)


def run_import(here: Path, *settings: str) -> subprocess.CompletedProcess[str]:
    return run_here("manifest", "import", f"size={SIDE}", "out=out.json", *settings, cwd=here)


def paired(manifest: Manifest) -> list[tuple[str, str | None, str]]:
    return [(item.image, item.mask_file, item.bin) for item in manifest.items]


def test_a_bin_leaves_out_its_lower_end_and_holds_its_upper_one(tmp_path: Path) -> None:
    for percent in (1, 10, 11, 20, 21, 50):
        write_image(tmp_path / f"images/{percent}.png", percent)
        write_mask(tmp_path / f"masks/{percent}.png", percent)
    manifest = freeze_pairs(same_names(tmp_path / "images", tmp_path / "masks"), SIDE, TENTHS, WHITE)
    assert {item.image: item.bin for item in manifest.items} == {
        "1.png": "0-10",
        "10.png": "0-10",
        "11.png": "10-20",
        "20.png": "10-20",
        "21.png": "20-30",
        "50.png": "40-50",
    }
    assert list(manifest.bins) == ["0-10", "10-20", "20-30", "40-50"]
    assert [item.hole_ratio for item in manifest.items] == [0.01, 0.1, 0.11, 0.2, 0.21, 0.5]


def test_a_ratio_outside_all_bins_is_an_error_and_not_left_out(tmp_path: Path) -> None:
    for percent in (5, 60):
        write_image(tmp_path / f"images/{percent}.png", percent)
        write_mask(tmp_path / f"masks/{percent}.png", percent)
    with pytest.raises(ValueError, match=r"1 of 2 masks have a hole ratio outside all bins .*: 60\.png \(0\.6000\)"):
        freeze_pairs(same_names(tmp_path / "images", tmp_path / "masks"), SIDE, TENTHS, WHITE)


def test_ratios_are_measured_at_evaluation_size(tmp_path: Path) -> None:
    write_image(tmp_path / "images/a.png", 0, (80, 40))
    mask = np.zeros((40, 80), np.uint8)
    mask[:, :30] = 255  # 37.5 % of the file; the central square begins at column 20, so 25 % of what is evaluated
    (tmp_path / "masks").mkdir()
    Image.fromarray(mask).save(tmp_path / "masks/a.png")
    manifest = freeze_pairs(same_names(tmp_path / "images", tmp_path / "masks"), 20, TENTHS, WHITE)
    assert manifest.items[0].hole_ratio == 0.25
    sample = ManifestDataset(manifest)[0]
    assert sample["image"].shape == (3, 20, 20)
    assert torch.equal(sample["mask"][0, 0], torch.tensor([1.0] * 5 + [0.0] * 15))


# --- same names ------------------------------------------------------------------------------------------------------


def test_names_pair_without_their_endings_and_in_folders(tmp_path: Path) -> None:
    for seed, name in enumerate(("b", "sub/a", "x.y")):
        write_image(tmp_path / f"images/{name}.jpg", seed)
        write_mask(tmp_path / f"masks/{name}.png", 15 + 10 * seed)
    pairs = same_names(tmp_path / "images", tmp_path / "masks")
    assert pairs.pairs == (("b.jpg", "b.png"), ("sub/a.jpg", "sub/a.png"), ("x.y.jpg", "x.y.png"))


NFC, NFD = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))


@pytest.mark.parametrize("layout", ["names", "lama", "edgeconnect"])
def test_pairs_are_found_in_any_unicode_form_and_stay_found(tmp_path: Path, layout: str) -> None:
    tail = "_mask001" if layout == "lama" else ""
    write_image(tmp_path / f"images/{NFC}.png", 0)
    write_mask(tmp_path / f"masks/{NFD}{tail}.png", 15)
    images, masks = tmp_path / "images", tmp_path / "masks"
    if layout == "edgeconnect":
        (tmp_path / "images.txt").write_text(f"images/{NFD}.png\n")
        (tmp_path / "masks.txt").write_text(f"masks/{NFC}.png\n")
        pairs = paired_lists(tmp_path / "images.txt", tmp_path / "masks.txt", tmp_path, tmp_path)
    else:
        pairs = lama_folder(images, masks) if layout == "lama" else same_names(images, masks)
    manifest = freeze_pairs(pairs, SIDE, TENTHS, WHITE)
    frozen = ManifestDataset(manifest)[0]
    # as a copy to a disk of another system leaves them
    (images / f"{NFC}.png").rename(images / f"{NFD}.png")
    (masks / f"{NFD}{tail}.png").rename(masks / f"{NFC}{tail}.png")
    moved = ManifestDataset(manifest)
    assert list(moved.faults()) == []
    assert torch.equal(moved[0]["image"], frozen["image"])
    assert torch.equal(moved[0]["mask"], frozen["mask"])


def test_two_names_that_differ_in_unicode_form_alone_pair_with_nothing(tmp_path: Path) -> None:
    for form in (NFC, NFD):
        write_image(tmp_path / f"images/{form}.png", 0)
    write_mask(tmp_path / f"masks/{NFC}.png", 15)
    with pytest.raises(ValueError, match="differ in their ending or their Unicode form alone"):
        same_names(tmp_path / "images", tmp_path / "masks")


def test_files_of_other_endings_are_told_when_a_test_set_is_frozen(tmp_path: Path) -> None:
    write_image(tmp_path / "images/a.png", 0)
    write_mask(tmp_path / "masks/a.png", 15)
    (tmp_path / "images/b.heic").write_bytes(b"0")
    (tmp_path / "masks/c.svg").write_bytes(b"0")
    imported = run_import(tmp_path, "layout=names", "images=images", "masks=masks")
    words = ("data=folder", "data.root=.", "data.source.test=images", "data.size=32", "mask@irregular=folder")
    frozen = run_here("manifest", *words, "irregular.root=masks", "ratios=[0,1]", "out=created.json", cwd=tmp_path)
    for done in (imported, frozen):
        assert done.returncode == 0, done.stderr
        assert "images: 1 file is left out, because of the ending: 1 .heic (b.heic)" in done.stdout
        assert "masks: 1 file is left out, because of the ending: 1 .svg (c.svg)" in done.stdout


def test_a_name_on_one_side_alone_is_told_with_both_sides(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_image(tmp_path / f"images/{name}.png", 0)
    for name in ("b", "c"):
        write_mask(tmp_path / f"masks/{name}.png", 15)
    done = run_import(tmp_path, "layout=names", "images=images", "masks=masks")
    assert done.returncode == 1
    assert "images in images without a mask: a; masks in masks without an image: c" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out.json").exists()


def test_two_images_of_one_stem_are_refused(tmp_path: Path) -> None:
    write_image(tmp_path / "images/a.png", 0)
    write_image(tmp_path / "images/a.jpg", 0)
    write_mask(tmp_path / "masks/a.png", 15)
    with pytest.raises(ValueError, match=r"a\.jpg and a\.png"):
        same_names(tmp_path / "images", tmp_path / "masks")


def test_a_mask_of_another_size_than_its_image_is_named(tmp_path: Path) -> None:
    write_image(tmp_path / "images/a.png", 0)
    write_mask(tmp_path / "masks/a.png", 15, side=20)
    with pytest.raises(ValueError, match=r"1 masks are not of their image's size: a\.png 40 x 40, a\.png 20 x 20"):
        freeze_pairs(same_names(tmp_path / "images", tmp_path / "masks"), SIDE, TENTHS, WHITE)


def test_black_holes_are_read_as_they_are_meant(tmp_path: Path) -> None:
    write_image(tmp_path / "images/a.png", 0)
    write_mask(tmp_path / "masks/a.png", 15, black=True)
    pairs = same_names(tmp_path / "images", tmp_path / "masks")
    assert freeze_pairs(pairs, SIDE, TENTHS, BLACK).items[0].hole_ratio == 0.15
    with pytest.raises(ValueError, match=r"outside all bins .*0\.8500"):
        freeze_pairs(pairs, SIDE, TENTHS, WHITE)


def test_a_damaged_image_is_not_frozen(tmp_path: Path) -> None:
    write_image(tmp_path / "images/a.png", 0)
    write_mask(tmp_path / "masks/a.png", 15)
    content = (tmp_path / "images/a.png").read_bytes()
    (tmp_path / "images/a.png").write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match=r"a\.png cannot be decoded"):
        freeze_pairs(same_names(tmp_path / "images", tmp_path / "masks"), SIDE, TENTHS, WHITE)


# --- LaMa ------------------------------------------------------------------------------------------------------------


def test_lamas_masks_find_their_images_by_name(tmp_path: Path) -> None:
    for seed, name in enumerate(("b_crop000", "a")):
        write_image(tmp_path / f"{name}.png", seed)
    write_mask(tmp_path / "b_crop000_mask000.png", 15)
    write_mask(tmp_path / "b_crop000_mask001.png", 18)
    write_mask(tmp_path / "a_mask.png", 25)
    manifest = freeze_pairs(lama_folder(tmp_path), SIDE, TENTHS, WHITE)
    assert paired(manifest) == [
        ("b_crop000.png", "b_crop000_mask000.png", "10-20"),
        ("b_crop000.png", "b_crop000_mask001.png", "10-20"),
        ("a.png", "a_mask.png", "20-30"),
    ]
    assert [item.name for item in manifest.items] == [
        "10-20/b_crop000.png/b_crop000_mask000",
        "10-20/b_crop000.png/b_crop000_mask001",
        "20-30/a.png",
    ]


def test_lamas_masks_may_lie_apart(tmp_path: Path) -> None:
    write_image(tmp_path / "images/sub/a.jpg", 0)
    write_mask(tmp_path / "masks/sub/a_mask007.png", 15)
    pairs = lama_folder(tmp_path / "images", tmp_path / "masks")
    assert pairs.pairs == (("sub/a.jpg", "sub/a_mask007.png"),)


def test_lamas_folder_with_loose_ends_tells_both_sides(tmp_path: Path) -> None:
    write_image(tmp_path / "a.png", 0)
    write_mask(tmp_path / "b_mask000.png", 15)
    with pytest.raises(ValueError, match=r"without a mask: a; masks in .* without an image: b;"):
        lama_folder(tmp_path)


# --- EdgeConnect -----------------------------------------------------------------------------------------------------


def edgeconnect(here: Path, images: list[str], masks: list[str]) -> tuple[Path, Path]:
    for name, lines in (("images.flist", images), ("masks.flist", masks)):
        (here / name).write_text("".join(f"{line}\n" for line in lines))
    return here / "images.flist", here / "masks.flist"


def test_mask_i_is_for_image_i_whatever_they_are_called(tmp_path: Path) -> None:
    for seed, name in enumerate(("a", "b", "c")):
        write_image(tmp_path / f"photos/{name}.jpg", seed, (60, 40))
        write_mask(tmp_path / f"masks/{name}.png", 15 + 10 * seed, side=80)
    absolute = [str(tmp_path / f"photos/{name}.jpg") for name in ("c", "a", "b")]
    lists = edgeconnect(tmp_path, absolute, ["b.png", "c.png", "a.png"])
    pairs = paired_lists(*lists, None, tmp_path / "masks")
    assert (pairs.images, pairs.masks) == (tmp_path / "photos", tmp_path / "masks")
    manifest = freeze_pairs(pairs, SIDE, TENTHS, WHITE)
    assert paired(manifest) == [("b.jpg", "a.png", "10-20"), ("c.jpg", "b.png", "20-30"), ("a.jpg", "c.png", "30-40")]


def test_lists_of_different_lengths_are_refused_with_both(tmp_path: Path) -> None:
    write_image(tmp_path / "a.jpg", 0)
    write_mask(tmp_path / "m.png", 15)
    edgeconnect(tmp_path, ["a.jpg"], ["m.png", "m.png"])
    done = run_import(tmp_path, "layout=edgeconnect", "images=images.flist", "masks=masks.flist")
    assert done.returncode == 1
    assert "images.flist lists 1 images and masks.flist lists 2 masks" in done.stderr


def test_listed_files_that_are_not_there_are_named(tmp_path: Path) -> None:
    write_image(tmp_path / "a.jpg", 0)
    lists = edgeconnect(tmp_path, ["a.jpg"], ["m.png"])
    with pytest.raises(ValueError, match=rf"names 1 files that do not exist: {tmp_path}/m\.png;"):
        paired_lists(*lists, tmp_path, tmp_path)


def test_an_empty_list_and_files_outside_the_folder_are_refused(tmp_path: Path) -> None:
    write_image(tmp_path / "photos/a.jpg", 0)
    write_mask(tmp_path / "m.png", 15)
    (tmp_path / "elsewhere").mkdir()
    lists = edgeconnect(tmp_path, [str(tmp_path / "photos/a.jpg")], [str(tmp_path / "m.png")])
    with pytest.raises(ValueError, match=r"lists files outside .*elsewhere: .*a\.jpg"):
        paired_lists(*lists, tmp_path / "elsewhere", None)
    lists[0].write_text("\n")
    with pytest.raises(ValueError, match=r"images\.flist names no file"):
        paired_lists(*lists, None, None)


# --- folders by ratio ------------------------------------------------------------------------------------------------


@pytest.fixture
def nvidia(tmp_path: Path) -> Path:
    """Four images; three masks in each of two folders, of which one is in the wrong one and one in none."""
    for seed in range(4):
        write_image(tmp_path / f"images/{seed}.jpg", seed)
    for folder, percents in (("0.1-0.2", (11, 20, 25)), ("0.2-0.3", (21, 30, 35))):
        for index, percent in enumerate(percents):
            write_mask(tmp_path / f"masks/{folder}/{index}.png", percent)
    return tmp_path


def test_every_bin_holds_every_image_with_a_mask_of_its_measured_ratio(nvidia: Path) -> None:
    manifest, notes = freeze_ratio_folders(nvidia / "images", nvidia / "masks", SIDE, 0, WHITE)
    assert [(item.bin, item.image) for item in manifest.items] == [
        (label, f"{index}.jpg") for label in ("10-20", "20-30") for index in range(4)
    ]
    for item in manifest.items:
        low, high = (int(end) / 100 for end in item.bin.split("-"))
        assert low < item.hole_ratio <= high
    assert notes == [
        "1 masks are in another bin than their folder says: 0.1-0.2/2.png (0.2500: 20-30)",
        "1 masks are outside all bins and not used: 0.2-0.3/2.png (0.3500)",
    ]


def test_which_mask_an_image_gets_follows_from_the_seed(nvidia: Path) -> None:
    first, again, other = (
        freeze_ratio_folders(nvidia / "images", nvidia / "masks", SIDE, seed, WHITE)[0] for seed in (0, 0, 1)
    )
    assert first == again
    assert paired(first) != paired(other)


def test_percent_and_share_name_the_same_bins(nvidia: Path) -> None:
    expected = freeze_ratio_folders(nvidia / "images", nvidia / "masks", SIDE, 0, WHITE)[0]
    (nvidia / "masks/0.1-0.2").rename(nvidia / "masks/10-20%")
    (nvidia / "masks/0.2-0.3").rename(nvidia / "masks/20_30")
    (nvidia / "masks/notes").mkdir()
    found = freeze_ratio_folders(nvidia / "images", nvidia / "masks", SIDE, 0, WHITE)[0]
    assert [item.mask_sha256 for item in found.items] == [item.mask_sha256 for item in expected.items]


def test_a_bin_without_a_mask_and_a_folder_without_ranges_are_refused(nvidia: Path) -> None:
    with pytest.raises(ValueError, match="holds no folder called by a range of hole ratios"):
        freeze_ratio_folders(nvidia / "images", nvidia / "images", SIDE, 0, WHITE)
    write_mask(nvidia / "masks/0.5-0.6/0.png", 15)
    with pytest.raises(ValueError, match=r"No mask in .* has a hole ratio of 50-60 % at 40 x 40"):
        freeze_ratio_folders(nvidia / "images", nvidia / "masks", SIDE, 0, WHITE)


# --- the command -----------------------------------------------------------------------------------------------------


def test_an_imported_set_is_verified_and_evaluated(nvidia: Path) -> None:
    done = run_import(nvidia, "layout=ratio_folders", "images=images", "masks=masks")
    assert done.returncode == 0, done.stderr
    assert "8 items of 40 x 40 pixels" in done.stdout
    assert "1 masks are in another bin than their folder says" in done.stdout
    done = run_here("manifest", "verify", "out.json", cwd=nvidia)
    assert (done.returncode, done.stderr) == (0, "")
    settings = ["manifest=out.json", "model=mean_colour", "trainer=cpu", "workers=0"]
    done = run_here("evaluate", *settings, cwd=nvidia)
    assert done.returncode == 0, done.stderr
    assert Result.load(nvidia / "results/mean_colour").means["all"]["n"] == 8


def test_an_imported_folder_may_move_with_its_masks(tmp_path: Path) -> None:
    write_image(tmp_path / "set/a.png", 0)
    write_mask(tmp_path / "set/a_mask.png", 15)
    assert run_import(tmp_path, "layout=lama", "images=set").returncode == 0
    (tmp_path / "set").rename(tmp_path / "moved")
    done = run_here("manifest", "verify", "out.json", "root=moved", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


def test_an_image_folder_may_be_called_like_a_split(tmp_path: Path) -> None:
    write_image(tmp_path / "val/train/a.png", 0)
    write_mask(tmp_path / "masks/train/a.png", 15)
    done = run_import(tmp_path, "layout=names", "images=val", "masks=masks")
    assert done.returncode == 0, done.stderr
    assert run_here("manifest", "verify", "out.json", cwd=tmp_path).returncode == 0


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (["layout=mat", "images=x", "masks=x"], "layout is 'mat'; it must be 'edgeconnect', 'lama',"),
        (["layout=names", "images=x"], "give masks="),
        (["layout=names", "images=x", "masks=x"], "x is no folder with pictures"),
        (["images=x"], "layout"),
    ],
)
def test_a_mistake_is_one_sentence(tmp_path: Path, settings: list[str], told: str) -> None:
    done = run_import(tmp_path, *settings)
    assert done.returncode == 1
    assert told in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == []
