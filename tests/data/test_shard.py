"""Shards are written whole, only once, the same each time, and whatever changed in them is found."""

import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import tarfile
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from webdataset.tariterators import group_by_keys, tar_file_expander

from inpaintlab.data import CentreSquare, Folder, PictureFormat, Shards, TrainingSet, read_rgb
from inpaintlab.machine import Lock
from inpaintlab.masks import Center
from stand_ins.commands import SCRIPT, run_here, start
from stand_ins.kills import at_once

SPLITS = {"train": 10, "val": 3, "test": 2}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Noise of 40 x 30 pixels as PNG, and in each split one JPEG of 100 x 80."""
    random = np.random.default_rng(0)
    folder = tmp_path / "pictures"
    for split, count in SPLITS.items():
        (folder / split / "sub").mkdir(parents=True)
        for number in range(count - 1):
            array = random.integers(0, 256, (30, 40, 3), dtype=np.uint8)
            Image.fromarray(array).save(folder / split / "sub" / f"{number}.v1.png")
        array = random.integers(0, 256, (80, 100, 3), dtype=np.uint8)
        Image.fromarray(array).save(folder / split / "large.JPG", "JPEG", quality=95)
    return folder


def pack(root: Path, out: Path, *settings: str) -> subprocess.CompletedProcess[str]:
    settings = ("pictures_per_shard=4", "longest_side=64", "workers=2", *settings)
    return run_here("shard", f"data.root={root}", f"out={out}", *settings, cwd=root)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_every_picture_is_in_one_shard_and_small_ones_keep_their_bytes(root: Path, tmp_path: Path) -> None:
    done = pack(root, tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert done.stdout.split(": ", 1)[1].strip() == "10 train in 3 shards, 3 val in 1 shards, 2 test in 1 shards."
    source, packed = Folder(str(root)), Shards(str(tmp_path / "out"))
    for split in SPLITS:
        assert sorted(packed.names(split)) == source.names(split)
        for name in packed.names(split):
            file = root / split / name
            if name == "large.JPG":
                assert packed.read(split, name).size == (64, 51)  # 80 * 64 / 100 = 51.2
            else:
                assert packed.sha256(split, name) == hashlib.sha256(file.read_bytes()).hexdigest()
                assert packed.read(split, name).tobytes() == source.read(split, name).tobytes()
    assert packed.names("val") == source.names("val")
    assert packed.names("train") != source.names("train")  # shuffled


def test_a_large_picture_is_resized_with_lanczos_and_saved_in_the_quality_asked_for(root: Path) -> None:
    (ending, content), _ = PictureFormat(longest_side=50, quality=70).pack(root / "val/large.JPG", None, 10**6)
    with Image.open(root / "val/large.JPG") as picture:
        expected = io.BytesIO()
        picture.resize((50, 40), Image.Resampling.LANCZOS).save(expected, "JPEG", quality=70)
    assert (ending, content) == (".jpg", expected.getvalue())
    whole = (root / "val/large.JPG").read_bytes()
    for recipe in (PictureFormat(longest_side=100, quality=70), PictureFormat(longest_side=None, quality=70)):
        assert recipe.pack(root / "val/large.JPG", None, 10**6) == ((".jpg", whole), None)


def test_a_turned_picture_is_packed_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    Image.new("RGB", (100, 60)).save(tmp_path / "a.jpg", exif=exif)
    (_, content), _ = PictureFormat(longest_side=50, quality=90).pack(tmp_path / "a.jpg", None, 10**6)
    with Image.open(io.BytesIO(content)) as packed:
        assert packed.size == (30, 50)
        assert 0x0112 not in packed.getexif()


@pytest.mark.parametrize(("settings", "complaint"), [((0, 90), "leaves no pixel"), ((9, 0), "is not a JPEG quality")])
def test_a_recipe_without_sense_is_refused(settings: tuple[int, int], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        PictureFormat(*settings)


def test_the_index_says_where_each_member_lies(root: Path, tmp_path: Path) -> None:
    pack(root, tmp_path / "out")
    for path in (tmp_path / "out").glob("*.tar"):
        items = json.loads(path.with_suffix(".json").read_bytes())["items"]
        with tarfile.open(path) as tar:
            members = tar.getmembers()
            assert [member.offset_data for member in members] == [item["offset"] for item in items]
            for member, item in zip(members, items, strict=True):
                file = tar.extractfile(member)
                assert file is not None
                assert hashlib.sha256(file.read()).hexdigest() == item["sha256"]
                assert member.name.count(".") == 1


def test_webdataset_reads_what_was_packed(root: Path, tmp_path: Path) -> None:
    pack(root, tmp_path / "out")
    samples = []
    for path in sorted((tmp_path / "out").glob("train-*.tar")):
        with path.open("rb") as stream:  # webdataset itself leaves its files to the garbage collector
            samples += group_by_keys(tar_file_expander([{"url": str(path), "stream": stream}]))
    packed = Shards(str(tmp_path / "out"))
    assert [sample["__key__"] for sample in samples] == [f"{number:09d}" for number in range(10)]
    for index, sample in enumerate(samples):
        (content,) = (value for key, value in sample.items() if not key.startswith("__"))
        with Image.open(io.BytesIO(content)) as picture:
            assert picture.convert("RGB").tobytes() == packed.at("train", index)[1].tobytes()


def test_two_runs_give_the_same_bytes_and_another_seed_another_order(root: Path, tmp_path: Path) -> None:
    pack(root, tmp_path / "one")
    time.sleep(1.1)  # the time of a tar's member is in whole seconds
    pack(root, tmp_path / "two", "workers=1")
    pack(root, tmp_path / "three", "seed=1")
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    one, three = contents(tmp_path / "one"), contents(tmp_path / "three")
    assert {name for name in one if one[name] != three[name]} >= {"train-000000.tar", "shards.json"}
    assert one["val-000000.tar"] == three["val-000000.tar"]


def test_only_what_is_missing_is_written_again(root: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    pack(root, out)
    before = contents(out)
    for missing in ("shards.json", "train-000001.tar", "train-000001.json", "val-000000.json", "test-000000.tar"):
        (out / missing).unlink()
    rewritten = ("val-000000.tar", "test-000000.json")
    kept = {path: path.stat().st_mtime_ns for path in out.glob("*") if path.name not in rewritten}
    assert pack(root, out).returncode == 0
    assert contents(out) == before
    assert {path: path.stat().st_mtime_ns for path in kept} == kept


def test_a_killed_run_leaves_whole_shards_and_the_next_one_writes_the_rest(tmp_path: Path) -> None:
    root, out = tmp_path / "pictures", tmp_path / "out"
    (root / "train").mkdir(parents=True)
    array = np.random.default_rng(0).integers(0, 256, (600, 600, 3), dtype=np.uint8)
    for number in range(40):
        Image.fromarray(np.roll(array, number)).save(root / "train" / f"{number:02d}.jpg", quality=95)
    settings = ["splits=[train]", "pictures_per_shard=2", "longest_side=500", "workers=1"]
    command = [SCRIPT, "shard", f"data.root={root}", f"out={out}", *settings]
    process = start(*command, cwd=tmp_path, home=tmp_path / "home", output=tmp_path / "output.txt")
    deadline = time.monotonic() + 60
    while len(list(out.glob("*.json"))) < 2:
        assert time.monotonic() < deadline, (tmp_path / "output.txt").read_text()
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -9
    finished = {path.with_suffix(".tar"): path.with_suffix(".tar").stat().st_mtime_ns for path in out.glob("*-*.json")}
    assert 2 <= len(finished) < 20, "the run was over before it could be killed"
    with pytest.raises(ValueError, match=r"shards\.json does not exist"):
        Shards(str(out)).count("train")

    assert run_here("shard", *command[2:], cwd=tmp_path).returncode == 0
    assert {path: path.stat().st_mtime_ns for path in finished} == finished
    shutil.copytree(root, tmp_path / "again")
    again = [f"data.root={tmp_path / 'again'}", f"out={tmp_path / 'unbroken'}", *settings]
    assert run_here("shard", *again, cwd=tmp_path).returncode == 0
    assert contents(out) == contents(tmp_path / "unbroken")


def test_shards_of_other_pictures_or_settings_are_not_mixed(root: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    pack(root, out)
    for settings in (["quality=80"], ["longest_side=32"], ["seed=3"]):
        done = pack(root, out, *settings)
        assert done.returncode == 1
        assert "belongs to a shard of other pictures or settings; give another folder as out=" in done.stderr
    done = pack(root, out, "splits=[val]")
    assert "holds other shards (test-000000.tar, train-000000.tar, train-000001.tar)" in done.stderr
    index = (out / "test-000000.json").read_bytes()
    (out / "test-000000.json").write_bytes(index[:-9])
    assert "test-000000.json belongs to a shard of other pictures" in pack(root, out).stderr
    (out / "test-000000.json").write_bytes(index)
    (root / "val/sub/0.v1.png").write_bytes((root / "val/sub/1.v1.png").read_bytes() + b"0")
    assert "val-000000.json belongs to a shard of other pictures" in pack(root, out).stderr


def test_a_flipped_byte_is_found_and_its_picture_named(root: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    pack(root, out)
    sound = pack(root, out, "verify=true")
    assert (sound.returncode, "Every byte is as it was written." in sound.stdout) == (0, True)

    item = json.loads((out / "train-000001.json").read_bytes())["items"][2]
    content = bytearray((out / "train-000001.tar").read_bytes())
    content[item["offset"] + item["bytes"] // 2] ^= 1
    (out / "train-000001.tar").write_bytes(content)
    done = pack(root, out, "verify=true")
    assert done.returncode == 1
    *told, summary = done.stdout.splitlines()
    assert told == [
        f"{out}/train-000001.tar was changed: its hash differs from the one in shards.json.",
        f"{out}/train-000001.tar holds a changed picture: {item['name']}.",
    ]
    assert summary.endswith(" 2 faults.")


def test_a_cut_shard_a_changed_index_and_a_missing_shard_are_found(root: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    pack(root, out)
    os.truncate(out / "train-000000.tar", 4000)
    index = (out / "train-000001.json").read_text()
    (out / "train-000001.json").write_text(index.replace("offset", "offsef", 1))
    (out / "train-000002.tar").unlink()
    lines = pack(root, out, "verify=true").stdout
    assert "train-000000.tar was changed" in lines
    assert "train-000001.json was changed" in lines
    assert "train-000002.tar" in lines
    assert "val-" not in lines


def test_verifying_needs_no_pictures(root: Path, tmp_path: Path) -> None:
    pack(root, tmp_path / "out")
    shutil.rmtree(root)
    done = run_here("shard", f"out={tmp_path / 'out'}", "verify=true", cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_broken_pictures_are_all_named_and_left_out_only_when_asked(root: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    (root / "train/sub/3.v1.png").write_text("hello")
    (root / "val/sub/0.v1.png").write_bytes((root / "val/sub/0.v1.png").read_bytes()[:99])
    done = pack(root, out)
    assert done.returncode == 1
    assert "2 pictures cannot be packed" in done.stderr
    for file in ("train/sub/3.v1.png", "val/sub/0.v1.png"):
        assert f"{root / file} " in done.stderr
    assert not (out / "shards.json").exists()
    assert (out / "test-000000.tar").is_file()  # what is sound is kept for the next run

    done = pack(root, out, "skip_broken=true")
    assert done.returncode == 0, done.stderr
    assert "9 train in 3 shards, 2 val in 1 shards" in done.stdout
    assert "left out: sub/3.v1.png: " in done.stdout
    assert "sub/3.v1.png" not in Shards(str(out)).names("train")
    assert pack(root, out, "verify=true").returncode == 0


def test_what_cannot_be_packed_is_refused(root: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    told = run_here("shard", "data=photos", f"out={out}", cwd=root).stderr
    assert "Photos has no files to pack; give data=folder" in told
    assert "The edge map of" in pack(root, out, f"data.source.edges={tmp_path}").stderr
    assert "pictures_per_shard is 0; it must be" in pack(root, out, "pictures_per_shard=0").stderr
    assert not list(tmp_path.glob("out/*"))


def test_files_of_other_endings_are_told(root: Path, tmp_path: Path) -> None:
    (root / "train" / "a.heic").write_bytes(b"0")
    done = pack(root, tmp_path / "out")
    assert done.returncode == 0
    assert "train: 1 file is left out, because of the ending: 1 .heic (a.heic)" in done.stdout


@pytest.fixture
def edges(root: Path, tmp_path: Path) -> Path:
    """An edge map for each picture: a white column, of one pixel in every ten."""
    folder = tmp_path / "edges"
    for path in root.rglob("*.*"):
        if path.is_file():
            file = (folder / path.relative_to(root)).with_suffix(".png")
            file.parent.mkdir(parents=True, exist_ok=True)
            array = np.zeros((*read_rgb(path).size[::-1],), np.uint8)
            array[:, ::10] = 255
            Image.fromarray(array).save(file)
    return folder


def test_edge_maps_lie_beside_their_pictures_and_come_back_with_them(root: Path, edges: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = pack(root, out, f"data.source.edges={edges}", "longest_side=null", "verify=true")
    assert done.returncode == 0, done.stderr
    source, packed = Folder(str(root), edges=str(edges)), Shards(str(out))
    for split, count in SPLITS.items():
        for place in range(count):
            name, picture = packed.at(split, place)
            for found in (packed.edges_at(split, place), packed.edges(split, name)):
                assert found is not None
                assert np.array_equal(found, source.edges(split, name))
            assert np.array_equal(picture, source.read(split, name))
    with tarfile.open(out / "val-000000.tar") as tar:
        assert tar.getnames()[:3] == ["000000000.jpg", "000000000.edges.png", "000000001.png"]
    with (out / "val-000000.tar").open("rb") as file:
        samples = list(group_by_keys(tar_file_expander([{"stream": file, "url": "val"}])))
    assert all("edges.png" in sample for sample in samples)
    assert len(samples) == 3


def test_training_reads_the_edge_maps_of_shards_as_those_of_a_folder(root: Path, edges: Path, tmp_path: Path) -> None:
    assert pack(root, tmp_path / "out", f"data.source.edges={edges}", "longest_side=null").returncode == 0
    source, packed = Folder(str(root), edges=str(edges)), Shards(str(tmp_path / "out"))
    samples = {}
    for kind in (source, packed):
        training = TrainingSet(kind, CentreSquare(16), Center(), seed=1, flip=0.0)
        items = [training[0, place] for place in range(10)]
        samples[kind] = {item["name"]: item["edges"] for item in items}
    assert samples[source].keys() == samples[packed].keys()
    assert all(torch.equal(samples[packed][name], map_) for name, map_ in samples[source].items())
    assert 0 < samples[source]["large.JPG"].float().mean() < 255


def test_the_edge_map_of_a_resized_picture_tells_the_share_of_edge(root: Path, edges: Path) -> None:
    recipe = PictureFormat(longest_side=50, quality=70)  # half of the 100 pixels
    (_, picture), content = recipe.pack(root / "val/large.JPG", edges / "val/large.png", 10**6)
    small = np.asarray(Image.open(io.BytesIO(content or b"")))
    assert small.shape == Image.open(io.BytesIO(picture)).size[::-1]
    assert (small[:, ::5] == 128).all()  # one of two columns is white
    assert np.delete(small, range(0, 50, 5), axis=1).max() == 0


def test_an_edge_map_of_another_size_is_not_packed(root: Path, edges: Path, tmp_path: Path) -> None:
    Image.new("L", (41, 30)).save(edges / "val/sub/0.v1.png")
    told = pack(root, tmp_path / "out", f"data.source.edges={edges}").stderr
    assert "edges/val/sub/0.v1.png is 41 x 30 pixels, its picture 40 x 30; make the edge map from the picture" in told


def test_shards_without_edge_maps_say_so_and_those_with_them_are_others(
    root: Path, edges: Path, tmp_path: Path
) -> None:
    assert pack(root, tmp_path / "out").returncode == 0
    packed = Shards(str(tmp_path / "out"))
    assert packed.edges_at("val", 0) is None
    assert "edges" not in (tmp_path / "out/val-000000.json").read_text()
    assert "belongs to a shard of other pictures" in pack(root, tmp_path / "out", f"data.source.edges={edges}").stderr


def test_a_changed_byte_in_an_edge_map_is_found_with_its_name(root: Path, edges: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert pack(root, out, f"data.source.edges={edges}").returncode == 0
    item = json.loads((out / "val-000000.json").read_text())["items"][1]
    tar = bytearray((out / "val-000000.tar").read_bytes())
    tar[item["edges_offset"] + 20] ^= 1
    (out / "val-000000.tar").write_bytes(tar)
    told = pack(root, out, "verify=true")
    assert told.returncode == 1
    assert f"holds a changed edge map: {item['name']}." in told.stdout
    assert "changed picture" not in told.stdout


def test_of_two_that_pack_into_one_folder_at_once_one_is_refused_and_the_shards_are_sound(
    root: Path, tmp_path: Path
) -> None:
    out, alone = tmp_path / "out", tmp_path / "alone"
    assert pack(root, alone).returncode == 0

    def code() -> int:
        done = pack(root, out)
        return done.returncode if done.returncode == 0 or "Another process is packing" in done.stderr else 9

    codes = at_once([code, code])
    assert sorted(codes) in ([0, 1], [0, 0])  # the second may come after the first has ended
    assert contents(out) == contents(alone)
    assert pack(root, out, "verify=true").stdout.endswith("Every byte is as it was written.\n")


def test_a_folder_that_another_process_packs_is_refused(root: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    hold, held = os.pipe(), os.pipe()
    process = os.fork()
    if not process:
        try:
            lock = Lock(out / ".lock")
            os.write(held[1], b"1" if lock.take() else b"0")
            os.close(hold[1])
            os.read(hold[0], 1)
        finally:
            os._exit(0)
    assert os.read(held[0], 1) == b"1"
    done = pack(root, out)
    os.close(hold[1])
    os.waitpid(process, 0)
    assert done.returncode == 1
    assert done.stderr.startswith(f"inpaintlab shard: Another process is packing into {out}")
    assert set(contents(out)) == {".lock"}
    assert pack(root, out).returncode == 0
    assert ".lock" not in contents(out)


@pytest.mark.parametrize("name", ["train-000001.tar", "train-000001.json"])
def test_a_shard_that_does_not_fit_its_index_is_found_before_the_list_is_written(
    root: Path, tmp_path: Path, name: str
) -> None:
    out = tmp_path / "out"
    pack(root, out)
    (out / "shards.json").unlink()
    other = {"train-000001.tar": "train-000000.tar", "train-000001.json": "train-000000.json"}[name]
    content = (out / other).read_bytes()
    if name.endswith(".json"):  # of other pictures, as two at once used to leave it, but from the same settings
        content = json.dumps(json.loads(content) | {"origin": json.loads((out / name).read_bytes())["origin"]}).encode()
    (out / name).write_bytes(content)
    done = pack(root, out)
    assert done.returncode == 1
    assert "train-000001.tar is not what its index says" in done.stderr
    assert not (out / "shards.json").exists()
    for ending in (".tar", ".json"):
        (out / f"train-000001{ending}").unlink()
    assert pack(root, out).returncode == 0
