"""A manifest is the same on every machine, and notices when what it froze has changed."""

import errno
import hashlib
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from inpaintlab.commandline.arguments import words_of
from inpaintlab.masks import MaskFolder
from inpaintlab.randomness import sample_generator
from inpaintlab.testsets import Manifest, ManifestDataset, picture_names
from inpaintlab.testsets.holes import mask_sha256
from stand_ins.commands import run_anew, run_here

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
        "source": {"_target_": "inpaintlab.data.Folder", "root": str(root / "photos")},
        "crop": {"_target_": "inpaintlab.data.CentreSquare", "size": 32},
        "bins": {
            "files": {
                "_target_": "inpaintlab.masks.MaskFolder",
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


def test_another_process_with_other_threads_gives_the_same_bytes(tmp_path: Path) -> None:
    settings = ["data=toy", "data.size=32", "images=3"]
    succeeded(run_here("manifest", *settings, "out=a.json", cwd=tmp_path))
    code = "import torch; torch.set_num_threads(3); from inpaintlab.verbs.manifest import main; main()"
    command = [sys.executable, "-c", code, "create", *settings, "out=b.json"]
    succeeded(run_anew(*command, cwd=tmp_path, home=tmp_path / "home", OMP_NUM_THREADS="3", PYTHONHASHSEED="7"))
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()


def test_create_may_be_said_or_left_out(tmp_path: Path) -> None:
    settings = ["data=toy", "data.size=32", "images=1"]
    for name, verb in (("a", []), ("b", ["create"])):
        succeeded(run_here("manifest", *verb, *settings, f"out={name}.json", cwd=tmp_path))
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()


def test_other_bins_can_be_asked_for_by_their_ends(tmp_path: Path) -> None:
    settings = ["data=toy", "data.size=64", "images=3", "ratios=[0,0.05,0.15]"]
    succeeded(run_here("manifest", "create", *settings, "out=a.json", cwd=tmp_path))
    manifest = Manifest.load(tmp_path / "a.json")
    assert list(manifest.bins) == ["0-5", "5-15"]
    for item in manifest.items:
        low, high = (int(end) / 100 for end in item.bin.split("-"))
        assert low < item.hole_ratio <= high
    images = {label: [item.image for item in manifest.items if item.bin == label] for label in manifest.bins}
    assert images["0-5"] == images["5-15"] == [f"test_{index:04d}" for index in range(3)]


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
    source = {"_target_": "inpaintlab.data.Folder", "root": str(root / "moved")}
    assert Manifest.create(**recipe(root, source=source)).sha256 == before.sha256
    moved = ManifestDataset(before, root=str(root / "moved"))
    assert [moved[index]["name"] for index in range(6)] == [item.name for item in before.items]


def test_a_changed_image_is_named(root: Path) -> None:
    dataset = ManifestDataset(Manifest.create(**recipe(root)))
    Image.new("RGB", (44, 40)).save(root / "photos/test/1.png")
    assert dataset[0]["name"] == "files/0.png"
    with pytest.raises(ValueError, match=r"^Image '1\.png' is not the one that the manifest froze"):
        dataset[1]


def test_a_changed_mask_file_is_named(root: Path) -> None:
    manifest = Manifest.create(**recipe(root))
    for path in (root / "masks").iterdir():
        Image.fromarray(np.eye(32, dtype=np.uint8) * 255).save(path)
    with pytest.raises(
        ValueError, match=rf"^Mask file '{manifest.items[0].mask_file}' is not the one that the manifest"
    ):
        ManifestDataset(manifest)[0]


def test_a_hole_is_frozen_with_its_file(root: Path) -> None:
    manifest = Manifest.create(**recipe(root))
    for item in manifest.items:
        if item.bin == "block":
            assert (item.mask_file, item.mask_file_sha256) == (None, None)
        else:
            path = root / "masks" / str(item.mask_file)
            assert item.mask_file_sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
            white = torch.from_numpy(np.asarray(Image.open(path)) > 127)
            assert torch.equal(ManifestDataset(manifest)[manifest.items.index(item)]["mask"][0].bool(), white)


def test_masks_that_join_the_folder_later_change_nothing(root: Path) -> None:
    manifest = Manifest.create(**recipe(root))
    before = [ManifestDataset(manifest)[index]["mask"] for index in range(6)]
    for name in ("00.png", "5.png"):
        Image.fromarray(np.eye(32, dtype=np.uint8) * 255).save(root / "masks" / name)
    after = [ManifestDataset(manifest)[index]["mask"] for index in range(6)]
    assert all(torch.equal(one, other) for one, other in zip(before, after, strict=True))


def test_mask_files_are_chosen_by_the_ratio_of_the_bin(root: Path) -> None:
    for index in range(2, 4):
        mask = np.zeros((32, 32), dtype=np.uint8)
        mask[:index] = 255  # 2/32 and 3/32; the fixture's have 8/32
        Image.fromarray(mask).save(root / "masks" / f"{index}.png")
    files = recipe(root)["bins"]["files"]
    bins = {
        label: {"_target_": "inpaintlab.masks.WithHoleRatio", "mask": files, "low": low, "high": high}
        for label, low, high in (("low", 0, 0.09), ("middle", 0.09, 0.1), ("high", 0.2, 0.25))
    }
    manifest = Manifest.create(**recipe(root, bins=bins))
    chosen = {label: {item.mask_file for item in manifest.items if item.bin == label} for label in bins}
    assert chosen["low"] == {"2.png"}
    assert chosen["middle"] == {"3.png"}
    assert chosen["high"] <= {"0.png", "1.png"}
    with pytest.raises(ValueError, match=r"None of the 4 masks .* in \(0\.3, 1\]"):
        Manifest.create(**recipe(root, bins={"x": bins["low"] | {"low": 0.3, "high": 1}}))


def test_a_manifest_from_before_mask_files_were_named_is_still_read(root: Path) -> None:
    manifest = Manifest.create(**recipe(root, bins={"files": recipe(root)["bins"]["files"]}))
    drawn = MaskFolder(root / "masks")
    items = []
    for item in manifest.items:
        mask = drawn(32, 32, sample_generator("evaluation", 0, "files", item.image))
        items.append(replace(item, mask_sha256=mask_sha256(mask), mask_file=None, mask_file_sha256=None))
    old = replace(manifest, items=tuple(items))
    old.save(root / "old.json")
    assert '"mask_file"' not in (root / "old.json").read_text()
    assert list(ManifestDataset(Manifest.load(root / "old.json")).faults()) == []


def test_a_damaged_image_is_not_frozen(root: Path) -> None:
    content = (root / "photos/test/1.png").read_bytes()
    (root / "photos/test/1.png").write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match=r"1\.png cannot be decoded"):
        Manifest.create(**recipe(root))


def test_names_that_differ_little_are_different_items(root: Path) -> None:
    (root / "photos/test/a").mkdir()
    for name in ("a/b.png", "a_b.png"):
        Image.new("RGB", (40, 40)).save(root / "photos/test" / name)
    manifest = Manifest.create(**recipe(root))
    assert len(set(picture_names(item.name for item in manifest.items).values())) == len(manifest.items)


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


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "{}", '{"format": 2, "sha256": "", "items": []}', '{"format": "x", "sha256": ""}', '"format"', "3"],
)
def test_a_file_that_is_no_manifest_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_text(text)
    sentences = "cannot be read as a manifest of inpaintlab|has no format number|: split is missing"
    with pytest.raises(ValueError, match=rf"a\.json ?({sentences}).*freeze this test set again\.$"):
        Manifest.load(tmp_path / "a.json")


def test_a_newer_format_says_to_update(root: Path) -> None:
    path = edited(root, lambda content: content.update(format=99))
    with pytest.raises(ValueError, match=r"has format 99.*update inpaintlab"):
        Manifest.load(path)


def test_a_manifest_of_version_01_says_to_freeze_again(root: Path) -> None:
    path = edited(root, lambda content: content.update(format=1))
    with pytest.raises(
        ValueError, match=r"a\.json was written by an earlier inpaintlab .*: freeze this test set again"
    ):
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


# --- show, verify, split ---------------------------------------------------------------------------------------------


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@pytest.fixture
def frozen(root: Path) -> Path:
    """A manifest file of three images in two bins."""
    Manifest.create(**recipe(root)).save(root / "a.json")
    return root


def verified(here: Path, *settings: str) -> tuple[int, list[str]]:
    done = run_here("manifest", "verify", "a.json", *settings, cwd=here)
    assert done.stderr == ""
    return done.returncode, done.stdout.splitlines()


def test_what_is_as_it_was_frozen_is_verified(frozen: Path) -> None:
    assert verified(frozen) == (0, ["a.json: 3 images, 6 holes, all as they were frozen."])


def test_every_fault_is_named_once(frozen: Path) -> None:
    used = {item.mask_file for item in Manifest.load(frozen / "a.json").items if item.mask_file}
    (frozen / "photos/test/0.png").unlink()
    Image.new("RGB", (44, 40)).save(frozen / "photos/test/1.png")
    for name in used:
        (frozen / "masks" / str(name)).unlink()
    (frozen / "masks/other.png").write_bytes(b"")
    code, lines = verified(frozen)
    assert code == 1
    assert len(lines) == 3 + len(used)
    assert lines[0].startswith("Image '0.png' is missing or cannot be read: ")
    assert lines[1].startswith("Image '1.png' is not the one that the manifest froze")
    assert {line.split("'")[1] for line in lines[2:-1]} == used
    assert lines[-1] == f"a.json: 3 images, 6 holes, {2 + len(used)} faults."


def test_a_hole_that_differs_is_named(frozen: Path) -> None:
    content = json.loads((frozen / "a.json").read_text())
    content["bins"]["block"]["fraction"] = 0.25
    content["bins"]["files"]["hole"] = "black"
    (frozen / "a.json").write_text(json.dumps(content))
    code, lines = verified(frozen)
    assert code == 1
    assert [line.split("'")[1] for line in lines[:-1]] == [item["name"] for item in content["items"]]
    assert all(line.startswith("The hole of '") for line in lines[:-1])


def test_what_moved_is_verified_where_it_is(frozen: Path) -> None:
    (frozen / "photos").rename(frozen / "there")
    (frozen / "masks").rename(frozen / "here")
    assert verified(frozen, "root=there", "mask_root=here")[0] == 0
    done = run_here("manifest", "verify", "a.json", "root=there", cwd=frozen)
    assert done.returncode == 1
    assert "there is no such folder" in done.stderr


def test_show_tells_what_a_manifest_holds(frozen: Path) -> None:
    manifest = Manifest.load(frozen / "a.json")
    done = succeeded(run_here("manifest", "show", "a.json", cwd=frozen, COLUMNS="200"))
    assert "3, 32 x 32 pixels, split 'test'" in done.stdout
    assert manifest.sha256 in done.stdout
    assert f"Folder(root={frozen / 'photos'})" in done.stdout
    rows = {line.split()[0]: line.split() for line in done.stdout.splitlines() if line.split()[0] in manifest.bins}
    used = {item.mask_file for item in manifest.items if item.mask_file}
    assert rows["files"][1:6] == ["3", "0.2500", "0.2500", "0.2500", str(len(used))]
    assert rows["block"][1:7] == ["3", "0.2500", "0.2500", "0.2500", "-", "Block(fraction=0.5)"]


def test_a_name_with_a_space_and_a_quote_is_found(frozen: Path) -> None:
    (frozen / "a.json").rename(frozen / "it's (a, b).json")
    assert "3, 32 x 32" in succeeded(run_here("manifest", "show", "it's (a, b).json", cwd=frozen)).stdout


def split(here: Path, *settings: str) -> list[Manifest]:
    succeeded(run_here("manifest", "split", "a.json", *settings, cwd=here))
    return [Manifest.load(path) for path in sorted(here.glob("**/a_part*.json"))]


def test_the_parts_are_the_whole_and_share_no_image(tmp_path: Path) -> None:
    succeeded(run_here("manifest", "data=toy", "data.size=32", "images=10", "out=a.json", cwd=tmp_path))
    whole = Manifest.load(tmp_path / "a.json")
    parts = split(tmp_path, "parts=[0.2,0.3,0.5]", "out=parts")
    images = [{item.image for item in part.items} for part in parts]
    assert [len(part) for part in images] == [2, 3, 5]
    assert len(set().union(*images)) == 10
    assert [item for item in whole.items if item.image in images[1]] == list(parts[1].items)
    assert sum(len(part.items) for part in parts) == len(whole.items)
    for part in parts:
        assert list(ManifestDataset(part).faults()) == []


def test_who_is_in_which_part_follows_from_the_seed(tmp_path: Path) -> None:
    succeeded(run_here("manifest", "data=toy", "data.size=32", "images=10", "out=a.json", cwd=tmp_path))
    whole = Manifest.load(tmp_path / "a.json")
    first, again, other = (whole.split_by_image([0.5, 0.5], seed) for seed in (0, 0, 1))
    assert first == again
    assert first != other


def test_copies_of_an_image_stay_in_one_part(root: Path) -> None:
    for index in range(3, 9):
        (root / f"photos/test/{index}.png").write_bytes((root / f"photos/test/{index % 3}.png").read_bytes())
    for seed in range(5):
        parts = Manifest.create(**recipe(root)).split_by_image([0.34, 0.66], seed)
        hashes = [{item.image_sha256 for item in part.items} for part in parts]
        assert [len(part) for part in hashes] == [1, 2]
        assert not hashes[0] & hashes[1]
        assert [len(part.items) for part in parts] == [6, 12]


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("parts=[0.5,0.6]", "two or more positive shares that add up to 1"),
        ("parts=[1]", "two or more positive shares"),
        ("parts=[-0.5,1.5]", "parts is [-0.5, 1.5]; it must be a list of shares, together 1"),
        ("parts=[0.01,0.99]", "3 images are too few"),
    ],
)
def test_parts_that_cannot_be_are_refused(frozen: Path, setting: str, told: str) -> None:
    done = run_here("manifest", "split", "a.json", setting, cwd=frozen)
    assert done.returncode == 1
    assert told in done.stderr
    assert not list(frozen.glob("a_part*"))


def test_a_split_does_not_replace_another(frozen: Path) -> None:
    succeeded(run_here("manifest", "split", "a.json", cwd=frozen))
    before = (frozen / "a_part1.json").read_bytes()
    for setting in ("parts=[0.34,0.66]", "parts=[0.34,0.33,0.33]"):
        done = run_here("manifest", "split", "a.json", setting, cwd=frozen)
        assert done.returncode == 1
        assert "a_part1.json" in done.stderr
    assert (frozen / "a_part1.json").read_bytes() == before
    assert not (frozen / "a_part3.json").exists()


def test_a_split_that_was_killed_between_its_files_can_be_repeated(frozen: Path) -> None:
    whole = [part.sha256 for part in split(frozen)]
    before = contents(frozen)
    (frozen / "a_part2.json").unlink()
    assert [part.sha256 for part in split(frozen)] == whole
    assert contents(frozen) == before


def test_a_split_that_meets_a_full_disk_writes_no_part(frozen: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before, write = contents(frozen), Path.write_bytes

    def full(path: Path, content: bytes) -> int:
        if "part2" in path.name:
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        return write(path, content)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        done = run_here("manifest", "split", "a.json", cwd=frozen)
    assert (done.returncode, contents(frozen)) == (1, before)
    assert "no space left" in done.stderr
    assert len(split(frozen)) == 2


@pytest.mark.parametrize("verb", [verb for verb in words_of("manifest") if verb != "create"])
def test_each_verb_shows_its_settings_and_names_a_mistyped_one(tmp_path: Path, verb: str) -> None:
    helped = run_here("manifest", verb, "--help", cwd=tmp_path)
    assert succeeded(helped).stdout.startswith(f"usage: inpaintlab manifest {verb} ")
    file = [] if verb == "import" else ["a.json"]
    done = run_here("manifest", verb, *file, "rooot=x", cwd=tmp_path)
    assert done.returncode == 1
    assert "rooot" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("verb", ["show", "verify", "split", "leaks"])
def test_a_verb_without_its_file_asks_for_it(tmp_path: Path, verb: str) -> None:
    done = run_here("manifest", verb, cwd=tmp_path)
    assert done.returncode == 1
    assert "manifest=VALUE" in done.stderr
    done = run_here("manifest", verb, "no.json", cwd=tmp_path)
    assert done.returncode == 1
    assert "There is no manifest at" in done.stderr


def test_an_unknown_verb_is_refused_with_the_nearest_one(tmp_path: Path) -> None:
    done = run_here("manifest", "verfiy", "a.json", cwd=tmp_path)
    assert done.returncode == 2
    assert "Did you mean 'verify'?" in done.stderr


def test_the_help_names_every_verb(tmp_path: Path) -> None:
    told = succeeded(run_here("manifest", "--help", cwd=tmp_path)).stdout
    assert all(f"\n  {verb} " in told for verb in words_of("manifest"))
