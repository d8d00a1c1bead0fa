"""Laws of training from shards: each picture once an epoch, the very next batch after a resume, on disk and by URL."""

import hashlib
import http.server
import json
import os
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from hypothesis import given, settings
from hypothesis import strategies as st
from lightning import Callback, Trainer
from PIL import Image

from inpaintlab.config import CONF
from inpaintlab.data import (
    DataModule,
    Folder,
    PictureFormat,
    RandomCrop,
    ShardPositions,
    Shards,
    plan_shards,
    write_shards,
)
from inpaintlab.data.order import Part
from inpaintlab.data.shard_lists import Index, Packed, parse_index, parse_list
from inpaintlab.machine import Storage
from inpaintlab.machine.storage import cache_limit
from inpaintlab.masks import Rectangle
from stand_ins.building import build_model, trainer_of
from stand_ins.commands import PHASES, SCRIPT, checkpoint, run_here, same_weights, start, tiny
from stand_ins.kills import kill_in_phase

SIZES = [4, 4, 4, 4, 4, 2]  # 22 training pictures


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("pictures")
    random = np.random.default_rng(0)
    for split, count in (("train", sum(SIZES)), ("val", 3), ("test", 3)):
        (root / split).mkdir()
        for number in range(count):
            array = random.integers(0, 256, (20, 24, 3), dtype=np.uint8)
            Image.fromarray(array).save(root / split / f"{number:02d}.png")
    return root


@pytest.fixture(scope="module")
def packed(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("packed")
    source, recipe = Folder(str(pictures)), PictureFormat(None, 90)
    write_shards({split: plan_shards(source, split, out, recipe, 4, seed=0) for split in ("train", "val", "test")}, out)
    return out


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for what is fetched, and no waiting between tries."""
    monkeypatch.setenv("INPAINTLAB_SHARDS", str(tmp_path / "cache"))
    monkeypatch.setattr("inpaintlab.machine.storage.PAUSES", (0.0, 0.0))
    return tmp_path / "cache"


@contextmanager
def served(folder: Path) -> Iterator[tuple[str, Counter[str]]]:
    """The folder behind a URL, and how often each of its files was asked for."""
    asked: Counter[str] = Counter()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            asked[self.path.lstrip("/")] += 1
            super().do_GET()

        def log_message(self, *arguments: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", asked
        finally:
            server.shutdown()
            thread.join()


def module(
    root: str | Path, *, iteration: int = 0, total: int = 11, rank: int = 0, world: int = 1, **changes: Any
) -> Any:
    """A data module on shards, and what it needs of a trainer."""
    hole = Rectangle(height=(0.25, 0.5), width=(0.25, 0.5))
    arguments = {"source": Shards(str(root), window=2), "crop": RandomCrop(16), "mask": hole, "size": 16}
    data = DataModule(**(arguments | {"batch_size": 2, "seed": 1, "workers": 0} | changes))
    schedule = SimpleNamespace(iteration=iteration, total=total)
    lightning = SimpleNamespace(schedule=schedule)
    data.trainer = SimpleNamespace(lightning_module=lightning, global_rank=rank, world_size=world)  # type: ignore[assignment]
    return data


def batches(root: str | Path, **changes: Any) -> list[dict[str, Any]]:
    return list(module(root, **changes).train_dataloader())


def names(found: list[dict[str, Any]]) -> list[str]:
    return [name for batch in found for name in batch["name"]]


def same(one: list[dict[str, Any]], other: list[dict[str, Any]]) -> bool:
    return len(one) == len(other) and all(
        a["name"] == b["name"] and torch.equal(a["image"], b["image"]) and torch.equal(a["mask"], b["mask"])
        for a, b in zip(one, other, strict=True)
    )


# ------------------------------------------------------------------------------------------------------------ order

plans = st.tuples(
    st.lists(st.integers(1, 5), min_size=1, max_size=7), st.integers(1, 4), st.integers(1, 4), st.integers(0, 3)
)


def row(sizes: list[int], window: int, seed: int, length: int, rank: int = 0, world: int = 1) -> list[tuple[int, int]]:
    """The first samples of a process."""
    part = Part(1, seed, length, rank=rank, world_size=world)
    return [sample for batch in ShardPositions(sizes, window, part) for sample in batch]


@settings(max_examples=60, deadline=None)
@given(plan=plans, world=st.integers(1, 3))
def test_in_an_epoch_each_picture_is_given_once_by_one_process(plan: Any, world: int) -> None:
    sizes, window, _, seed = plan
    world = min(world, len(sizes))
    seen: Counter[tuple[int, int]] = Counter()
    for rank in range(world):
        for sample in row(sizes, window, seed, 4 * world * sum(sizes), rank, world):
            seen[sample] += 1
    assert set(seen.values()) == {1}
    for epoch in range(2):
        assert {index for where, index in seen if where == epoch} == set(range(sum(sizes)))


@settings(max_examples=60, deadline=None)
@given(plan=plans, total=st.integers(0, 9), start_at=st.integers(0, 9), world=st.integers(1, 3))
def test_a_start_in_the_middle_gives_the_tail(plan: Any, total: int, start_at: int, world: int) -> None:
    sizes, window, batch_size, seed = plan
    world = min(world, len(sizes))
    for rank in range(world):
        whole = ShardPositions(sizes, window, Part(batch_size, seed, total, 0, rank, world))
        tail = ShardPositions(sizes, window, Part(batch_size, seed, total, start_at, rank, world))
        assert all(len(batch) == batch_size for batch in whole)
        assert list(tail) == list(whole)[start_at:]
        assert len(tail) == len(whole) == total


def test_pictures_are_mixed_within_a_window_of_shards_and_not_beyond() -> None:
    sizes = [10] * 6
    samples = row(sizes, 2, seed=1, length=60)
    windows = [samples[first : first + 20] for first in range(0, 60, 20)]
    assert all(len({index // 10 for _, index in window}) == 2 for window in windows)
    in_order = sorted(windows[0])
    assert windows[0] != in_order
    assert len({index // 10 for _, index in windows[0][:10]}) == 2  # not one shard after the other
    assert len({index // 10 for _, index in row(sizes, 6, seed=1, length=20)}) > 2


def test_the_order_follows_from_the_seed_and_the_epoch() -> None:
    assert row(SIZES, 2, 1, 22) == row(SIZES, 2, 1, 22)
    assert row(SIZES, 2, 1, 22) != row(SIZES, 2, 2, 22)
    two = row(SIZES, 6, 1, 44)
    assert [index for _, index in two[:22]] != [index for _, index in two[22:]]
    assert [epoch for epoch, _ in two] == [0] * 22 + [1] * 22

    def order(sizes: list[int], seed: int, epoch: int) -> list[int]:
        return [index for where, index in row(sizes, 1, seed, 30) if where == epoch]

    for sizes in ([1] * 10, [10]):  # the order of the shards, and the order within one
        assert order(sizes, 1, 0) != order(sizes, 1, 1) != order(sizes, 1, 2)
        assert order(sizes, 1, 0) != order(sizes, 2, 0)


def test_a_process_has_one_shard_more_in_turn() -> None:
    def counts(rank: int) -> list[int]:
        epochs = Counter(epoch for epoch, _ in row([1, 1, 1], 1, 0, 9, rank, 2))
        return [epochs[epoch] for epoch in range(4)]

    assert counts(0) == [2, 1, 2, 1]
    assert counts(1) == [1, 2, 1, 2]


def test_the_shards_of_this_window_and_the_next_are_called_for() -> None:
    called: list[list[int]] = []
    positions = ShardPositions([2] * 6, 2, Part(2, 0, 5), prefetch=lambda shards: called.append(list(shards)))
    taken = [[index // 2 for _, index in batch] for batch in positions]
    assert [len(shards) for shards in called] == [4, 4, 4]
    assert {*taken[0], *taken[1]} == set(called[0][:2])
    assert called[0][2:] == called[1][:2]
    assert {*taken[2], *taken[3]} == set(called[1][:2])


def test_orders_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match=r"2 shards cannot be dealt to 3 processes; write smaller ones"):
        ShardPositions([4, 4], 1, Part(1, 1, 1, world_size=3))
    with pytest.raises(ValueError, match="no batches of 0"):
        ShardPositions([4, 4], 1, Part(0, 1, 1))
    with pytest.raises(ValueError, match="shards of 0 pictures"):
        ShardPositions([4, 0], 1, Part(1, 1, 1))
    for window in (0, 65):
        with pytest.raises(ValueError, match=f"window={window} shards cannot be mixed; give a number from 1 to 64"):
            Shards("x", window=window)


# ---------------------------------------------------------------------------------------------------------- reading


def test_pictures_come_back_as_from_the_folder(pictures: Path, packed: Path) -> None:
    source, shards = Folder(str(pictures)), Shards(str(packed))
    assert [shard.pictures for shard in shards.shards("train")] == SIZES
    for split in ("train", "val", "test"):
        assert sorted(shards.names(split)) == source.names(split)
        assert shards.count(split) == len(source.names(split))
        for index, name in enumerate(shards.names(split)):
            found, picture = shards.at(split, index)
            assert found == name
            assert picture.tobytes() == source.read(split, name).tobytes() == shards.read(split, name).tobytes()
            assert shards.sha256(split, name) == source.sha256(split, name)


def test_two_processes_of_two_workers_share_the_pictures(packed: Path) -> None:
    taken = [names(batches(packed, rank=rank, world=2, workers=2, total=5)) for rank in range(2)]
    assert len(set(taken[0] + taken[1])) == 20  # of 22: rank 0 has shards of 12 or 10 pictures, and gives 10 of them
    assert same(batches(packed, rank=1, world=2, workers=2), batches(packed, rank=1, world=2, workers=0))


def test_a_resumed_loader_gives_the_very_next_batch(packed: Path) -> None:
    whole = batches(packed, total=16)
    assert len(set(names(whole[:11]))) == 22
    for done in (1, 5, 11, 13):
        for workers in (0, 2):
            assert same(batches(packed, total=16, iteration=done, workers=workers), whole[done:])


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("kind", ["folder", "shards"])
def test_after_a_resume_each_of_two_processes_gets_its_very_next_batches(
    pictures: Path, packed: Path, kind: str, workers: int
) -> None:
    source = Folder(str(pictures)) if kind == "folder" else Shards(str(packed), window=2)
    unbroken = [batches(packed, source=source, rank=rank, world=2) for rank in range(2)]
    for rank in range(2):
        for done in (3, 10):
            resumed = batches(packed, source=source, rank=rank, world=2, workers=workers, iteration=done)
            assert same(resumed, unbroken[rank][done:])
    together = Counter(names(unbroken[0] + unbroken[1]))
    assert len(together) == 22
    if kind == "folder":  # 11 batches of 2 in 2 processes are two epochs
        assert set(together.values()) == {2}


class Names(Callback):
    """Writes down which pictures each process trained on."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def on_train_batch_end(self, trainer: Trainer, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        with (self.folder / f"rank{trainer.global_rank}").open("a") as file:
            file.write(f"{module.schedule.iteration} {' '.join(batch['name'])}\n")


@pytest.mark.parametrize("kind", ["folder", "shards"])
def test_a_resumed_training_of_two_processes_takes_the_pictures_of_an_unbroken_one(
    pictures: Path, packed: Path, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("MASTER_ADDR", "MASTER_PORT", "NODE_RANK", "LOCAL_RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)  # Lightning leaves them in the environment
    source = Folder(str(pictures)) if kind == "folder" else Shards(str(packed), window=2)
    hole = Rectangle(height=(0.25, 0.5), width=(0.25, 0.5))
    taken = {}
    for done in (0, 4):
        folder = tmp_path / str(done)
        folder.mkdir()
        model = build_model("glcic", *(f"model.schedule.phases.{phase}.batches=2" for phase in PHASES["glcic"]))
        model.schedule.iteration = done  # as it is read from a checkpoint
        data = DataModule(source=source, crop=RandomCrop(32), mask=hole, size=32, batch_size=2, seed=1, workers=0)
        two = ("trainer.devices=2", "trainer.strategy=ddp_fork_find_unused_parameters_true")
        trainer = trainer_of("trainer=cpu", *two, callbacks=[Names(folder)])
        trainer.fit(model, datamodule=data)
        taken[done] = [(folder / f"rank{rank}").read_text().splitlines() for rank in range(2)]
    for unbroken, resumed in zip(taken[0], taken[4], strict=True):
        assert len(unbroken) == 6
        assert resumed == unbroken[4:]
    once = [line.split()[1:] for lines in taken[0] for line in lines[:5]]
    assert len({name for batch in once for name in batch}) == 20  # of 22: no picture twice in an epoch


def test_crops_holes_and_flips_are_those_of_seed_epoch_and_index(packed: Path) -> None:
    data = module(packed)
    samples = data.training_set()
    positions = [sample for batch in ShardPositions(SIZES, 2, Part(2, 1, 16)) for sample in batch]
    found = [image for batch in batches(packed, total=16) for image in batch["image"]]
    for position, image in zip(positions, found, strict=True):
        assert torch.equal(samples[position]["image"], image)
    assert not torch.equal(samples[0, 3]["image"], samples[1, 3]["image"])


def test_the_names_of_millions_are_not_read_for_training(packed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Shards, "names", lambda self, split: pytest.fail("all names were asked for"))
    data = module(packed)
    assert len(data.training_set()) == 22
    data.check()
    assert data.mean_pixel().shape == (3,)
    assert len(list(data.train_dataloader())) == 11


def test_the_mean_pixel_is_that_of_the_folder(pictures: Path, packed: Path) -> None:
    folder = module(packed, source=Folder(str(pictures)))
    torch.testing.assert_close(module(packed).mean_pixel(), folder.mean_pixel())


def test_a_damaged_picture_is_told_with_its_shard(packed: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in packed.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    content = bytearray((copy / "val-000000.tar").read_bytes())
    content[512:600] = b"0" * 88
    (copy / "val-000000.tar").write_bytes(content)
    with pytest.raises(ValueError, match=r"copy/val-000000\.tar:00\.png is not a readable image"):
        Shards(str(copy)).read("val", "00.png")
    os.truncate(copy / "val-000000.tar", 600)
    with pytest.raises(ValueError, match=r"copy/val-000000\.tar ends before its picture 00\.png"):
        Shards(str(copy)).read("val", "00.png")
    (copy / "val-000000.tar").unlink()
    with pytest.raises(ValueError, match=r"copy/val-000000\.tar does not exist"):
        Shards(str(copy)).read("val", "00.png")
    with pytest.raises(ValueError, match=r"has no picture 'x' in the split 'val'"):
        Shards(str(copy)).read("val", "x")
    with pytest.raises(ValueError, match="There is no split 'tran'"):
        Shards(str(copy)).names("tran")
    with pytest.raises(ValueError, match=r"shards\.json does not exist; check data\.root"):
        Shards(str(tmp_path / "gone")).names("train")


def test_a_manifest_of_shards_has_the_holes_of_the_folders(pictures: Path, packed: Path, tmp_path: Path) -> None:
    def create(*data: str) -> dict[str, Any]:
        done = run_here("manifest", *data, "data.size=16", f"out={tmp_path}/m.json", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        return json.loads((tmp_path / "m.json").read_text())

    folder = create("data=folder", f"data.root={pictures}")
    shards = create("data=shards", f"data.root={packed}")
    assert shards["items"] == folder["items"]
    assert shards["sha256"] == folder["sha256"]


def test_the_configuration_builds_a_working_module(packed: Path) -> None:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("train", ["data=shards", f"data.root={packed}", "data.size=16"])
        built = instantiate(cfg.datamodule, mask=cfg.mask)
    assert isinstance(built.source, Shards)
    built.check()


# -------------------------------------------------------------------------------------------------------------- URL


def test_a_url_gives_the_same_batches_as_a_disk_and_each_file_is_fetched_once(packed: Path, cache: Path) -> None:
    with served(packed) as (url, asked):
        assert same(batches(url, total=13), batches(packed, total=13))
        assert same(batches(url, total=13, workers=2), batches(packed, total=13))
        assert same(batches(url, total=13, iteration=7), batches(packed, total=13)[7:])
    del asked["shards.json"]  # small, and it says what is to be fetched
    assert {name for name in asked if name.endswith(".tar")} == {path.name for path in packed.glob("train-*.tar")}
    assert set(asked.values()) == {1}
    hashes = {path.name for path in cache.iterdir() if not path.name.startswith(".")}
    assert hashes >= {hashlib.sha256(path.read_bytes()).hexdigest() for path in packed.glob("train-*.tar")}


def test_what_was_fetched_makes_room_when_the_cache_is_full(
    packed: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.mkdir()
    (cache / "thesis.tar").write_bytes(b"mine")
    size = (packed / "train-000000.tar").stat().st_size
    monkeypatch.setenv("INPAINTLAB_SHARDS_GB", str(2.5 * size / 1e9))
    with served(packed) as (url, asked):
        assert same(batches(url, total=13), batches(packed, total=13))
    assert max(asked[path.name] for path in packed.glob("train-*.tar")) > 1
    kept = [path for path in cache.iterdir() if len(path.name) == 64]
    assert sum(path.stat().st_size for path in kept) <= 2.5 * size
    assert (cache / "thesis.tar").read_bytes() == b"mine"
    monkeypatch.setenv("INPAINTLAB_SHARDS_GB", "many")
    with pytest.raises(ValueError, match="INPAINTLAB_SHARDS_GB=many is not a number"):
        cache_limit()


def test_a_shard_that_is_not_the_promised_one_is_refused(packed: Path, tmp_path: Path, cache: Path) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in packed.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    os.truncate(copy / "val-000000.tar", 2000)
    with served(copy) as (url, _), pytest.raises(ValueError, match=r"val-000000\.tar is not what its list promises"):
        Shards(url).read("val", "00.png")
    assert not [path for path in cache.iterdir() if path.suffix == ".partial"]


def test_a_url_that_fails_is_tried_again_and_then_told() -> None:
    gone = pytest.raises(ValueError, match=r"shards\.json does not exist; check data\.root")
    with served(Path("/nonexistent")) as (url, asked), gone:
        Shards(url).count("train")
    assert asked["shards.json"] == 1
    with pytest.raises(ValueError, match=r"shards\.json cannot be fetched .* the same command continues when it can"):
        Shards(url).count("train")


def test_a_passing_failure_is_survived(packed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    receive, failures = Storage._receive, [ConnectionError("reset"), TimeoutError()]

    def flaky(self: Storage, file: str, to: Path) -> None:
        if failures:
            raise failures.pop()
        receive(self, file, to)

    monkeypatch.setattr(Storage, "_receive", flaky)
    with served(packed) as (url, _):
        assert Shards(url).count("val") == 3
    assert not failures


@pytest.mark.parametrize(
    "root",
    [
        "pipe:touch hacked",
        "reference://x",
        "simplecache::https://a/b",
        "https://a::reference://b",
        "ssh://a/b",
        "file:///a",
        "ftp://a",
    ],
)
def test_urls_that_could_run_something_are_refused(root: str) -> None:
    with pytest.raises(ValueError, match="is neither a folder nor a URL of these kinds: http, https, s3"):
        Shards(root)


# ---------------------------------------------------------------------------------------------------- foreign lists

ENTRY = {"file": "a.tar", "pictures": 1, "bytes": 1, "sha256": "0" * 64, "index_sha256": "f" * 64}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff",
        b"[]",
        b"{}",
        json.dumps({"format": 2, "splits": {}}).encode(),
        json.dumps({"format": 1}).encode(),
        b"[" * 100_000,
        json.dumps({"format": 1, "splits": {"train": 5}}).encode(),
        json.dumps({"format": 1, "splits": {"train": [{}]}}).encode(),
        json.dumps({"format": 1, "splits": {"trian": []}}).encode(),
        *(
            json.dumps({"format": 1, "splits": {"train": [ENTRY | change]}}).encode()
            for change in (
                {"file": "../a.tar"},
                {"file": "/etc/passwd"},
                {"file": "a.json"},
                {"file": "a.tar\n"},
                {"sha256": "../../a"},
                {"index_sha256": "0" * 63},
                {"pictures": -1},
                {"pictures": True},
                {"pictures": "1"},
                {"more": 1},
            )
        ),
    ],
)
def test_a_list_that_is_none_is_refused_in_a_sentence(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"^http://a/shards\.json( cannot be read as| has|:| is not) .*[.]$"):
        parse_list(content, "http://a/shards.json")


def test_an_index_that_is_none_is_refused_in_a_sentence(packed: Path, tmp_path: Path) -> None:
    item = {"name": "a", "offset": 0, "bytes": 1, "sha256": "0" * 64}
    facts = {"format": 1, "file": "a.tar", "bytes": 1, "sha256": "1" * 64, "origin": "2" * 64, "skipped": []}

    def parsed(items: Any) -> Index:
        return parse_index(json.dumps(facts | {"items": items}).encode(), "x")

    assert parsed([item]).items == (Packed("a", 0, 1, "0" * 64),)
    for items in (None, [1], [item | {"offset": -1}], [item | {"name": 1}], [{"name": "a"}], [item | {"more": 1}]):
        with pytest.raises(ValueError, match=r"^x: items.* write the shards again\.$"):
            parsed(items)
    for path in packed.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "val-000000.json").write_bytes((packed / "val-000000.json").read_bytes() + b" ")
    with pytest.raises(ValueError, match=r"val-000000\.json is not the index that shards\.json promises"):
        Shards(str(tmp_path)).names("val")


# ------------------------------------------------------------------------------------------------------------- runs


@pytest.mark.slow
def test_a_run_on_shards_that_is_killed_ends_like_an_unbroken_one(packed: Path, tmp_path: Path) -> None:
    changes = ["data=shards", f"data.root={packed}", "data.workers=2", "data.source.window=2", "data.size=32"]
    settings = [setting for setting in tiny("glcic", 8) if setting != "data=toy"] + changes
    broken = tmp_path / "runs/broken"
    command = [SCRIPT, "train", *settings, "name=broken"]
    process = start(*command, cwd=tmp_path, home=tmp_path / "home", output=tmp_path / "output.txt")
    try:
        kill_in_phase(process, broken, 4, 24)
    finally:
        process.kill()
        process.wait()
    for name in ("broken", "unbroken"):
        done = run_here("train", *settings, f"name={name}", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    first, second = checkpoint(broken), checkpoint(tmp_path / "runs/unbroken")
    assert first["inpaintlab"]["iterations"] == second["inpaintlab"]["iterations"] == 8 * len(PHASES["glcic"])
    assert same_weights(first, second)
