"""Laws of what a run is held against when it goes on: its files by what they are, its settings by what they decide."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from inpaintlab.data import Folder, Shards
from inpaintlab.masks import MaskFolder, Mixture, WithHoleRatio
from inpaintlab.runs import changes, digest, identity_of, look_at, run_folder, save_list, weight_files
from inpaintlab.runs import trained_on as module
from inpaintlab.runs.trained_on import Entry
from inpaintlab.training.identity import run_record


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Six files called pictures, of 3 to 8 bytes."""
    for i in range(6):
        path = tmp_path / "photos/train" / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"p%d" % i + b"x" * (i + 1))
    return tmp_path / "photos"


def kinds(root: Path) -> dict[str, Any]:
    return {kind: look_at(files) for kind, files in Folder(str(root)).inventory("train").items()}


def told(folder: Path, before: Any, root: Path) -> list[str]:
    return changes(folder, digest(before), kinds(root))


def test_where_the_files_lie_does_not_count(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    before = digest(kinds(photos))
    assert before["pictures"]["files"] == 6
    assert before["pictures"]["bytes"] == 3 + 4 + 5 + 6 + 7 + 8
    for root in ("photos", "photos/", "./photos", "photos/../photos"):
        assert digest(kinds(Path(root))) == before
    shutil.move(photos, tmp_path / "elsewhere")
    assert digest(kinds(tmp_path / "elsewhere")) == before


def test_a_list_of_absolute_paths_is_the_same_list_elsewhere(photos: Path, tmp_path: Path) -> None:
    found = []
    for place in ("one", "two"):
        shutil.copytree(photos, tmp_path / place)
        lines = sorted(str(path) for path in (tmp_path / place / "train").iterdir())
        (tmp_path / place / "list.txt").write_text("\n".join(lines))
        source = Folder(str(tmp_path / place), train="list.txt")
        found.append(digest({kind: look_at(files) for kind, files in source.inventory("train").items()}))
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda folder: (folder / "0.png").unlink(), "pictures: 1 gone (0.png)"),
        (lambda folder: (folder / "new.png").write_bytes(b"?"), "pictures: 1 new (new.png)"),
        (lambda folder: (folder / "3.png").rename(folder / "q.png"), "pictures: 1 renamed (3.png to q.png)"),
        (
            lambda folder: (folder / "3.png").write_bytes(b"longer now"),
            "pictures: 1 with other content (3.png)",
        ),
        (lambda folder: (folder / "3.png").write_bytes(b"P3xxxx"), "pictures: 1 with other content (3.png)"),
        (
            lambda folder: [(folder / f"{i}.png").unlink() for i in range(5)],
            "pictures: 5 gone (0.png, 1.png, 2.png, ...)",
        ),
    ],
)
def test_what_changed_is_told(photos: Path, tmp_path: Path, change: Any, sentence: str) -> None:
    before = kinds(photos)
    save_list(tmp_path, before)
    assert told(tmp_path, before, photos) == []
    change(photos / "train")
    assert told(tmp_path, before, photos) == [sentence]


@pytest.mark.parametrize("content", [None, "nonsense", "[]", "{}", '{"pictures": {"a.png": [1, ""]}}', "[" * 100_000])
def test_a_list_that_is_not_the_checkpoints_is_not_believed(photos: Path, tmp_path: Path, content: str | None) -> None:
    before = kinds(photos)
    if content is not None:
        (tmp_path / "trained_on.json").write_text(content)
    (photos / "train/5.png").unlink()
    assert told(tmp_path, before, photos) == ["pictures: 6 files of 33 bytes before, 5 files of 25 bytes now"]


def test_of_many_bytes_only_a_choice_is_looked_into(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LOOKED_INTO", 12)
    found = look_at(Folder(str(photos)).inventory("train")["pictures"])
    looked = {name for name, entry in found.items() if entry.content}
    assert 1 <= len(looked) < 6
    assert sum(found[name].size for name in looked) <= 12
    other = next(name for name in found if name not in looked)
    (photos / "train" / other).write_bytes(b"!" * found[other].size)
    assert look_at(Folder(str(photos)).inventory("train")["pictures"]) == found


def test_a_missing_file_of_a_list_is_named(photos: Path) -> None:
    (photos / "list.txt").write_text("train/0.png\ntrain/no.png\n")
    with pytest.raises(ValueError, match=r"train/no\.png is to be trained on, but cannot be read"):
        look_at(Folder(str(photos), train="list.txt").inventory("train")["pictures"])


def test_edge_maps_masks_and_shards_count_too(photos: Path, tmp_path: Path) -> None:
    shutil.copytree(photos, tmp_path / "edges")
    source = Folder(str(photos), edges=str(tmp_path / "edges"))
    before = {kind: look_at(files) for kind, files in source.inventory("train").items()}
    assert set(before) == {"pictures", "edge maps"}
    (tmp_path / "edges/train/2.png").write_bytes(b"another map")
    assert len(changes(tmp_path, digest(before), kinds_of(source))) == 1
    masks = MaskFolder(photos)
    assert [name for name, _ in masks.files()] == [f"train/{i}.png" for i in range(6)]
    mixed = Mixture([masks, WithHoleRatio(masks, 0, 1)], [1, 1])
    assert len(dict(mixed.files())) == 12
    (tmp_path / "shards").mkdir()
    shard = {"file": "a.tar", "pictures": 1, "bytes": 7, "sha256": "a" * 64, "index_sha256": "b" * 64}
    content = {"format": 1, "splits": {"train": [shard]}}
    (tmp_path / "shards/shards.json").write_text(json.dumps(content))
    assert Shards(str(tmp_path / "shards")).inventory("train") == {"pictures": [("a.tar", (7, "a" * 64))]}


def kinds_of(source: Folder) -> dict[str, Any]:
    return {kind: look_at(files) for kind, files in source.inventory("train").items()}


CFG: dict[str, Any] = {
    "seed": 1,
    "name": None,
    "runs": "runs",
    "init": None,
    "data_changed": "refuse",
    "data": {"root": "photos", "workers": 4, "size": 64, "source": {"root": "photos", "train": "train", "edges": None}},
    "mask": {"_target_": "inpaintlab.masks.MaskFolder", "root": "masks"},
    "model": {"vgg": "imagenet", "schedule": {"phases": {"joint": {"batches": 4}}}},
    "metrics": {"psnr": {"_target_": "inpaintlab.metrics.PSNR"}},
}
CHOICES: dict[str, str | None] = {"model": "glcic", "data": "folder"}


def with_(**changed: Any) -> dict[str, Any]:
    return json.loads(json.dumps(CFG | changed))


def test_a_runs_folder_follows_from_what_decides_and_not_from_places() -> None:
    folder = run_folder(CFG, CHOICES)
    source = {"root": "/b", "train": "train", "edges": None}
    assert run_folder(with_(data=CFG["data"] | {"root": "/b", "source": source, "workers": 0}), CHOICES) == folder
    assert run_folder(with_(mask=CFG["mask"] | {"root": "/m"}), CHOICES) == folder
    assert run_folder(with_(data_changed="accept"), CHOICES) == folder
    for other in (
        with_(seed=2),
        with_(mask={"_target_": "inpaintlab.masks.Half"}),
        with_(data=CFG["data"] | {"source": source | {"edges": "/e"}}),
        with_(data=CFG["data"] | {"source": source | {"train": "train_small"}}),
        with_(model=CFG["model"] | {"vgg": "random"}),
        with_(init="a.ckpt"),
    ):
        assert run_folder(other, CHOICES) != folder
    assert run_folder(with_(init="a.ckpt"), CHOICES) == run_folder(with_(init="/b/c.ckpt"), CHOICES)


def test_files_of_weights_are_found_and_words_for_weights_are_not(tmp_path: Path) -> None:
    cfg = with_(init=str(tmp_path), model={"vgg": "my.pth"}, metrics={"lpips": {"weights": "alex.pth"}})
    assert weight_files(cfg) == {
        "init": tmp_path,
        "model.vgg": Path("my.pth"),
        "metrics.lpips.weights": Path("alex.pth"),
    }
    assert weight_files(CFG) == {}


def record(cfg: dict[str, Any], before: dict[str, Any] | None, files: Any) -> dict[str, Any]:
    old = None if before is None else {"iterations": 8, "run": before, "training": {"init": "a.ckpt"}}
    return run_record(cfg, Path("runs/n"), old, files, Console(quiet=True))


def test_other_files_are_refused_until_they_are_accepted_and_that_is_noted() -> None:
    one, two = {"pictures": {"a": Entry(1, "x")}}, {"pictures": {"a": Entry(2, "y")}}
    first = record(CFG, None, one)
    assert first == {"settings": identity_of(CFG), "trained_on": digest(one), "changed_after": []}
    assert record(CFG, first, one) == first
    with pytest.raises(ValueError, match=r"runs/n was trained on other files until now: .* data_changed=accept\.$"):
        record(CFG, first, two)
    second = record(with_(data_changed="accept"), first, two)
    assert second["trained_on"] == digest(two)
    assert second["changed_after"] == [8]
    assert record(CFG, second, two) == second


def test_the_weights_that_a_run_started_from_may_be_gone_or_trained_further_but_not_be_others() -> None:
    cfg = with_(init="a.ckpt")
    first = record(cfg, None, {"init": {"init": Entry(1, "x")}})
    gone = record(cfg, first, {})
    assert gone["trained_on"] == first["trained_on"]
    further = record(cfg, gone, {"init": {"init": Entry(2, "y")}})
    assert further["trained_on"] == first["trained_on"]
    elsewhere = with_(init="b.ckpt")
    assert record(elsewhere, first, {"init": {"init": Entry(1, "x")}})["trained_on"] == first["trained_on"]
    with pytest.raises(ValueError, match=r"init: 1 files of 1 bytes before, 1 files of 2 bytes now"):
        record(elsewhere, gone, {"init": {"init": Entry(2, "y")}})


def test_weights_of_one_size_are_told_apart_however_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LOOKED_INTO", 4)
    seen = []
    for content in (b"weights one", b"weights two"):
        (tmp_path / "a.ckpt").write_bytes(content)
        seen += [look_at([("init", tmp_path / "a.ckpt")], whole=whole) for whole in (False, True)]
    assert seen[0] == seen[2]
    assert seen[1] != seen[3]
