"""A stranger's manifest is data, wherever it is read: it resolves nothing, and builds pictures and masks only."""

import contextlib
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from inpaintlab.data import Shards
from inpaintlab.machine import write_json
from inpaintlab.report.pictures import originals
from inpaintlab.testsets import Manifest, ManifestDataset
from inpaintlab.training.fit import validation_manifest
from stand_ins.commands import run_here

SOURCE: dict[str, Any] = {"_target_": "inpaintlab.data.Toy", "count": 2, "size": 40}
CROP = {"_target_": "inpaintlab.data.CentreSquare", "size": 32}
HALF = {"_target_": "inpaintlab.masks.Half"}


@pytest.fixture(scope="module")
def sound() -> Manifest:
    return Manifest.create(source=SOURCE, crop=CROP, bins={"half": HALF}, split="test", size=32, seed=0)


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What a resolver was called with, which anybody's settings would call as ``${harm:...}``."""
    calls: list[str] = []
    OmegaConf.register_new_resolver("harm", lambda *words: calls.append(str(words)) or 3)
    yield calls
    OmegaConf.clear_resolver("harm")


def edited(sound: Manifest, path: Path, **parts: Any) -> Path:
    """A manifest with other recipes and a valid hash, as whoever sends one can make it."""
    sound.save(path)
    content = json.loads(path.read_text()) | parts
    decides = json.dumps({key: content[key] for key in ("size", "crop", "items")}, sort_keys=True)
    write_json(path, content | {"sha256": hashlib.sha256(decides.encode()).hexdigest()})
    return path


HARM = ["${harm:}", "\\${harm:}", "\\\\\\${harm:}", "${oc.create:{_target_:os.getcwd}}", "${harm:${harm:}}"]


@pytest.mark.parametrize("text", HARM)
@pytest.mark.parametrize(
    "parts",
    [
        lambda text: {"source": SOURCE | {"count": text}},
        lambda text: {"source": SOURCE | {"more": {"deep": [text]}}},
        lambda text: {"source": SOURCE | {"_target_": text}},
        lambda text: {"source": SOURCE | {text: 1}},
        lambda text: {"source": SOURCE | {"_convert_": text}},
        lambda text: {"source": text},
        lambda text: {"crop": CROP | {"size": text}},
        lambda text: {"bins": {"half": HALF | {"more": text}}},
        lambda text: {"bins": {"half": {"_target_": "inpaintlab.masks.WithHoleRatio", "mask": HALF, "low": text}}},
        lambda text: {"bins": {"half": {"_target_": "inpaintlab.masks.Mixture", "masks": [{"_target_": text}]}}},
    ],
    ids=["argument", "deep", "target", "key", "convert", "source", "crop", "mask", "ratio", "target inside"],
)
def test_nothing_in_a_manifest_is_resolved(
    sound: Manifest, tmp_path: Path, ran: list[str], parts: Any, text: str
) -> None:
    path = edited(sound, tmp_path / "a.json", **parts(text))
    with contextlib.suppress(ValueError):  # some texts may stand where they are, as texts
        ManifestDataset(Manifest.load(path))[0]
    assert ran == []


def test_no_secret_stands_in_the_url_that_is_asked(
    sound: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "hidden")
    source = {"_target_": "inpaintlab.data.Shards", "root": "http://127.0.0.1:9/${oc.env:SECRET}"}
    dataset = ManifestDataset(Manifest.load(edited(sound, tmp_path / "a.json", source=source)))
    assert isinstance(dataset.source, Shards)
    assert dataset.source.storage.place("shards.json") == "http://127.0.0.1:9/${oc.env:SECRET}/shards.json"


def test_no_secret_stands_in_the_folder_that_is_looked_for(
    sound: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "hidden")
    source = {"_target_": "inpaintlab.data.Folder", "root": str(tmp_path / "${oc.env:SECRET}")}
    path = edited(sound, tmp_path / "a.json", source=source)
    done = run_here("manifest", "verify", str(path), cwd=tmp_path)
    assert done.returncode == 1
    assert "${oc.env:SECRET}" in done.stdout + done.stderr
    assert "hidden" not in done.stdout + done.stderr


WRITERS = {
    "a trainer of ours": "inpaintlab.data.DataModule",
    "a tracker, which makes files": "inpaintlab.tracking.CsvTracker",
    "a run's progress": "inpaintlab.runs.Progress",
    "a function that writes": "inpaintlab.machine.write_texts",
    "a function that deletes": "inpaintlab.machine.remove_partials",
    "what a file of ours imports": "inpaintlab.machine.files.os.remove",
    "a path": "inpaintlab.data.folder.Path",
    "a command": "inpaintlab.machine.provenance.subprocess.run",
}


@pytest.mark.parametrize("target", WRITERS.values(), ids=WRITERS.keys())
@pytest.mark.parametrize("part", ["source", "crop", "bins"])
def test_a_manifest_builds_pictures_squares_and_masks_only(
    sound: Manifest, tmp_path: Path, part: str, target: str
) -> None:
    evil = {"_target_": target, "path": str(tmp_path / "harm"), "folder": str(tmp_path / "harm")}
    path = edited(sound, tmp_path / "a.json", **{part: {"half": evil} if part == "bins" else evil})
    with pytest.raises(ValueError, match=rf"asks to run '{target}', which is no (Source|Crop|Mask) of inpaintlab"):
        ManifestDataset(Manifest.load(path))
    assert [file.name for file in tmp_path.iterdir()] == ["a.json"]


def test_the_manifest_in_a_foreign_result_is_data_too(sound: Manifest, tmp_path: Path, ran: list[str]) -> None:
    edited(sound, tmp_path / "manifest.json", source=SOURCE | {"count": "${harm:}"})
    with pytest.raises(ValueError, match="The manifest's source: Toy cannot be built of what is said there"):
        originals(tmp_path, [sound.items[0].name], None)
    assert ran == []


def test_the_validation_set_in_a_foreign_run_is_data_too(sound: Manifest, tmp_path: Path, ran: list[str]) -> None:
    edited(sound, tmp_path / "validation.json", crop=CROP | {"more": "${harm:}"})
    (tmp_path / "last.ckpt").touch()
    cfg = {"data": {"source": SOURCE}, "mask": HALF, "hole_ratio": None, "data_changed": "refuse"}
    with pytest.raises(ValueError, match="The manifest's crop: CentreSquare cannot be built of what is said there"):
        ManifestDataset(validation_manifest(cfg, tmp_path))
    assert ran == []


def test_a_dollar_in_a_folders_name_is_no_harm(tmp_path: Path) -> None:
    root = tmp_path / "${photos}"
    root.mkdir()
    Manifest.create(source=SOURCE, crop=CROP, bins={"half": HALF}, split="test", size=32, seed=0).save(root / "a.json")
    toy = ManifestDataset(Manifest.load(root / "a.json")).source
    (root / "test").mkdir()
    for name in toy.names("test"):
        toy.read("test", name).save(root / "test" / f"{name}.png")
    source = {"_target_": "inpaintlab.data.Folder", "root": str(root)}
    frozen = Manifest.create(source=source, crop=CROP, bins={"half": HALF}, split="test", size=32, seed=0)
    frozen.save(tmp_path / "b.json")
    assert list(ManifestDataset(Manifest.load(tmp_path / "b.json")).faults()) == []
