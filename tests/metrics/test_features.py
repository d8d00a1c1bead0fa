"""Features of photographs: in order, each once, kept under a key of all that changes them; and what is missing."""

import io
import json
import sys
from pathlib import Path
from typing import Any, final

import numpy as np
import pytest
import torch
from jaxtyping import Float
from torch import Tensor

from inpaintlab.evaluation.photographs import real_features
from inpaintlab.metrics import FID, KID, LPIPS, PIDS, UIDS, FeatureNetwork, InceptionTF2015
from inpaintlab.metrics.features import InceptionEdgeConnect
from inpaintlab.shapes import Images
from inpaintlab.testsets import Manifest, ManifestDataset
from stand_ins.commands import run_here

CPU = torch.device("cpu")
PARTS = [lambda: InceptionTF2015(), lambda: InceptionEdgeConnect(), lambda: LPIPS("alex"), lambda: LPIPS("vgg")]


@final
class Corners(FeatureNetwork):
    """The colour of the first pixel; counts the images that it is shown."""

    name = "corners"
    width = 3
    definition = "the colour of the first pixel"

    def __init__(self, version: int = 1) -> None:
        super().__init__()
        self.version = version
        self.shown: list[int] = []

    @property
    def key(self) -> str:
        return f"corners {self.version}"

    def require(self) -> None:
        pass

    def forward(self, images: Images) -> Float[Tensor, "batch features"]:
        self.shown.append(len(images))
        return images[:, :, 0, 0]


def frozen(**changes: Any) -> ManifestDataset:
    """Five generated scenes with holes of two bins."""
    source = {"_target_": "inpaintlab.data.Toy", "count": 5, "size": 40}
    recipe = {
        "source": source,
        "crop": {"_target_": "inpaintlab.data.CentreSquare", "size": 32},
        "bins": {"half": {"_target_": "inpaintlab.masks.Half"}, "block": BLOCK},
        "split": "test",
        "size": 32,
        "seed": 0,
    }
    return ManifestDataset(Manifest.create(**(recipe | changes)))


BLOCK = {"_target_": "inpaintlab.masks.Block", "fraction": 0.5}


@pytest.fixture(scope="module")
def dataset() -> ManifestDataset:
    return frozen()


def computed(dataset: ManifestDataset, cache: Path, version: int = 1) -> tuple[np.ndarray, list[int]]:
    """The features, and the sizes of the batches that the network was shown."""
    network = Corners(version)
    return real_features(network, dataset, cache, 2, CPU), network.shown


def cached(cache: Path) -> list[Path]:
    return sorted((cache / "features").iterdir())


def test_each_row_is_of_the_photograph_of_its_item(dataset: ManifestDataset, tmp_path: Path) -> None:
    rows, _ = computed(dataset, tmp_path)
    expected = [dataset[index]["image"][:, 0, 0].numpy() for index in range(len(dataset))]
    np.testing.assert_array_equal(rows, np.stack(expected))
    assert len(np.unique(rows, axis=0)) == 5


def test_a_photograph_in_several_bins_is_computed_once(dataset: ManifestDataset, tmp_path: Path) -> None:
    assert len(dataset) == 10
    assert computed(dataset, tmp_path)[1] == [2, 2, 1]


def test_what_is_kept_is_not_computed_again(dataset: ManifestDataset, tmp_path: Path) -> None:
    first, _ = computed(dataset, tmp_path)
    again, shown = computed(dataset, tmp_path)
    assert shown == []
    np.testing.assert_array_equal(again, first)
    assert len(cached(tmp_path)) == 1  # and nothing unfinished beside it


def test_other_holes_and_bins_of_the_same_photographs_need_no_new_features(
    dataset: ManifestDataset, tmp_path: Path
) -> None:
    rows, _ = computed(dataset, tmp_path)
    others, shown = computed(frozen(bins={"block": BLOCK}, seed=3), tmp_path)
    assert shown == []
    np.testing.assert_array_equal(others, rows[:5])


@pytest.mark.parametrize(
    "changes",
    [
        {"size": 24, "crop": {"_target_": "inpaintlab.data.CentreSquare", "size": 24}},
        {"crop": {"_target_": "inpaintlab.data.RandomCrop", "size": 32}},
        {"images": 4},
        {"source": {"_target_": "inpaintlab.data.Toy", "count": 5, "size": 48}},
    ],
    ids=["size", "crop", "fewer", "pixels"],
)
def test_whatever_changes_a_photograph_changes_the_file(
    changes: dict[str, Any], dataset: ManifestDataset, tmp_path: Path
) -> None:
    computed(dataset, tmp_path)
    assert computed(frozen(**changes), tmp_path)[1] != []
    assert len(cached(tmp_path)) == 2


def test_whatever_changes_the_network_changes_the_file(dataset: ManifestDataset, tmp_path: Path) -> None:
    computed(dataset, tmp_path)
    assert computed(dataset, tmp_path, version=2)[1] != []
    assert len(cached(tmp_path)) == 2


def test_the_code_and_the_library_that_read_pictures_are_part_of_the_key(
    dataset: ManifestDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    computed(dataset, tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr("inpaintlab.evaluation.photographs.version", lambda package: "another")
        assert computed(dataset, tmp_path)[1] != []
    monkeypatch.setattr("inpaintlab.evaluation.photographs.code_sha256", lambda modules: "other code")
    assert computed(dataset, tmp_path)[1] != []


def saved_with(path: Path, **changes: Any) -> None:
    with np.load(path) as file:
        content = dict(file)
    with path.open("wb") as file:
        np.savez(file, **(content | changes))


def plain_array() -> bytes:
    file = io.BytesIO()
    np.save(file, np.zeros((5, 3), np.float32))
    return file.getvalue()


DAMAGES = {
    "cut off": lambda path: path.write_bytes(path.read_bytes()[:-100]),
    "empty": lambda path: path.write_bytes(b""),
    "no archive": lambda path: path.write_text("features"),
    "other numbers": lambda path: saved_with(path, features=np.zeros((5, 3), np.float32)),
    "fewer rows": lambda path: saved_with(path, features=np.zeros((4, 3), np.float32)),
    "another key": lambda path: saved_with(path, key=np.array("mine")),
    "a part is missing": lambda path: np.savez(path, features=np.zeros((5, 3), np.float32)),
    "a plain array": lambda path: path.write_bytes(plain_array()),
    "objects": lambda path: saved_with(path, features=np.array([{}], dtype=object)),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_told_of_and_made_again(
    damage: str, dataset: ManifestDataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows, _ = computed(dataset, tmp_path)
    (path,) = cached(tmp_path)
    whole = path.read_bytes()
    DAMAGES[damage](path)
    assert path.read_bytes() != whole
    again, shown = computed(dataset, tmp_path)
    assert shown == [2, 2, 1]
    assert "is damaged: the photographs' features are computed again" in capsys.readouterr().err.replace("\n", " ")
    np.testing.assert_array_equal(again, rows)
    assert computed(dataset, tmp_path)[1] == []


def test_a_cache_that_cannot_be_written_stops_before_the_work(dataset: ManifestDataset, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    network = Corners()
    with pytest.raises(ValueError, match=r"cannot be kept in .*; give another cache=FOLDER"):
        real_features(network, dataset, tmp_path / "file", 2, CPU)
    assert network.shown == []


def test_a_cache_in_the_home_folder_is_found(
    dataset: ManifestDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    computed(dataset, Path("~/kept"))
    assert len(cached(tmp_path / "kept")) == 1


@pytest.mark.parametrize("make", PARTS)
def test_without_the_extra_it_says_what_to_install(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inpaintlab.published.weight_files.find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r'needs .*torchvision, .*: pip install "inpaintlab\[perceptual\]"\.$'):
        make().require()


def test_constructing_loads_neither_packages_nor_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "none"))
    network = InceptionTF2015()
    names = [kind(network).name for kind in (FID, KID, PIDS, UIDS)] + [make().name for make in PARTS]
    assert names == [
        *(f"{quantity}_inception2015" for quantity in ("fid", "kid", "pids", "uids")),
        *("inception2015", "edgeconnect", "lpips_alex", "lpips_vgg"),
    ]
    assert not {"torchvision", "torch_fidelity"} & {*sys.modules}


def test_another_net_for_lpips_is_refused() -> None:
    with pytest.raises(Exception, match="squeeze"):  # a type error where signatures are checked, else a ValueError
        LPIPS("squeeze")  # type: ignore[arg-type]


def test_weights_are_looked_for_where_torch_hub_keeps_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    name = "weights-inception-2015-12-05-6726825d.pth"
    assert InceptionTF2015.file.path(None) == tmp_path / "hub" / "checkpoints" / name
    assert InceptionTF2015.file.path("~/mine.pth") == Path.home() / "mine.pth"


def test_evaluate_without_the_extra_stops_before_any_work(
    tmp_path: Path, dataset: ManifestDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset.manifest.save(tmp_path / "test.json")
    monkeypatch.setattr("inpaintlab.published.weight_files.find_spec", lambda name: None)
    done = run_here(
        "evaluate", "manifest=test.json", "model=mean_colour", "metrics=perceptual", "trainer=cpu", cwd=tmp_path
    )
    assert done.returncode == 1
    assert "pip install" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["test.json"]


def test_the_key_of_a_cache_is_json_that_says_everything(dataset: ManifestDataset, tmp_path: Path) -> None:
    computed(dataset, tmp_path)
    with np.load(cached(tmp_path)[0]) as file:
        key = json.loads(str(file["key"]))
    assert key["network"] == "corners 1"
    assert key["images"] == sorted({item.image_sha256 for item in dataset.manifest.items})
    assert key["device"] == "cpu"
