"""inpaintlab evaluate metrics=perceptual, with random weights."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torchmetrics.image.lpip import LearnedPerceptualImagePatchSimilarity

from inpaintlab.data import image_tensor, read_rgb
from inpaintlab.evaluation import Result
from inpaintlab.metrics import FID, KID, PIDS, UIDS, FeaturePairs, InceptionTF2015
from inpaintlab.testsets import Manifest, ManifestDataset, picture_name
from stand_ins.commands import SCRIPT, run_anew, run_here

START = Path(__file__).parent / "start"
BINS = "bins={half:{_target_:inpaintlab.masks.Half},block:{_target_:inpaintlab.masks.Block,fraction:0.5}}"
SETTINGS = ("manifest=test.json", "model=mean_colour", "metrics=perceptual", "trainer=cpu", "resamples=3")
OF_SETS = {
    f"{quantity}_inception2015": kind for quantity, kind in {"fid": FID, "kid": KID, "pids": PIDS, "uids": UIDS}.items()
}


@pytest.fixture(scope="module")
def folder(hub: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a test set of two bins with five images each, and the result of one process."""
    folder = tmp_path_factory.mktemp("evaluation")
    frozen = run_here(
        "manifest", "data=toy", "data.size=32", "images=5", "out=test.json", "~bins", f"+{BINS}", cwd=folder
    )
    assert frozen.returncode == 0, frozen.stderr
    settings = [*SETTINGS, "workers=0", "batch_size=4", "label=one", "cache=cache"]
    done = run_here("evaluate", *settings, cwd=folder, TORCH_HOME=str(hub))
    assert done.returncode == 0, done.stderr
    return folder


def images_of(folder: Path, manifest: Manifest) -> torch.Tensor:
    return torch.stack([image_tensor(read_rgb(folder / "completed" / picture_name(i.name))) for i in manifest.items])


def test_the_numbers_can_be_taken_again_from_the_pictures(folder: Path, weights: Path) -> None:
    result, manifest = Result.load(folder / "results" / "one"), Manifest.load(folder / "test.json")
    dataset = ManifestDataset(manifest)
    completed = images_of(result.folder, manifest)
    real = torch.stack([dataset[index]["image"] for index in range(len(dataset))])
    lpips = LearnedPerceptualImagePatchSimilarity("alex", normalize=True)
    expected = [float(lpips(completed[i : i + 1], real[i : i + 1])) for i in range(len(real))]
    assert result.per_image["lpips_alex"].to_list() == pytest.approx(expected, rel=1e-4, abs=1e-6)
    network = InceptionTF2015()
    before, after = (network(images).double().numpy() for images in (real, completed))
    for bin_name, rows in {"half": slice(5), "block": slice(5, 10), "all": slice(10)}.items():
        for name, kind in OF_SETS.items():
            value = kind(network).value(FeaturePairs(before[rows], after[rows]))
            assert result.means[bin_name][name] == pytest.approx(value, rel=1e-3), (bin_name, name)
            assert len(result.replicates[name][bin_name]) == 3
    for name in OF_SETS:
        assert result.metrics[name].of_set
        assert name not in result.per_image.columns
        assert network.sha256[:16] in result.metrics[name].definition


def test_two_processes_give_what_one_gives(folder: Path, hub: Path, tmp_path: Path) -> None:
    two = ["trainer.devices=2", "trainer.strategy=ddp", "workers=0", "batch_size=2", "label=two", "cache=cache_of_two"]
    done = run_anew(
        SCRIPT, "evaluate", *SETTINGS, *two, cwd=folder, home=tmp_path, TORCH_HOME=str(hub), PYTHONPATH=str(START)
    )
    assert done.returncode == 0, done.stderr
    one, other = (Result.load(folder / "results" / label) for label in ("one", "two"))
    assert one.per_image.equals(other.per_image)
    for name in OF_SETS:
        for bin_name in one.means:
            close: Any = pytest.approx(one.means[bin_name][name], rel=1e-4)
            assert other.means[bin_name][name] == close, (bin_name, name)
            assert other.replicates[name][bin_name] == pytest.approx(one.replicates[name][bin_name], rel=1e-4)


def test_the_photographs_features_are_kept_for_the_next_method(folder: Path, hub: Path) -> None:
    kept = list((folder / "cache" / "features").iterdir())
    assert [path.name.split("-")[0] for path in kept] == ["inception2015"]
    changed = kept[0].stat().st_mtime_ns
    settings = [*SETTINGS, "model=telea", "workers=0", "label=telea", "cache=cache", "~metrics.lpips_vgg"]
    done = run_here("evaluate", *settings, cwd=folder, TORCH_HOME=str(hub))
    assert done.returncode == 0, done.stderr
    assert [path.stat().st_mtime_ns for path in (folder / "cache" / "features").iterdir()] == [changed]
    one, telea = (Result.load(folder / "results" / label) for label in ("one", "telea"))
    assert one.means["all"]["fid_inception2015"] != telea.means["all"]["fid_inception2015"]


def test_a_result_of_fewer_resamples_is_not_taken_for_one_of_more(folder: Path, hub: Path) -> None:
    told = {}
    for resamples in (2, 3, 4):
        settings = [*SETTINGS, "workers=0", "label=one", "cache=cache", f"resamples={resamples}"]
        done = run_here("evaluate", *settings, cwd=folder, TORCH_HOME=str(hub))
        told[resamples] = done.stdout + done.stderr
    assert "there already" in told[2]
    assert "there already" in told[3]
    assert "of another number of resamples (3)" in told[4]


def test_without_weights_it_stops_before_any_work(folder: Path, tmp_path: Path) -> None:
    settings = [*SETTINGS, "workers=0", "label=never"]
    done = run_here("evaluate", *settings, cwd=folder, TORCH_HOME=str(tmp_path / "none"))
    assert done.returncode == 1
    assert "weights=PATH" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not list((folder / "results").glob("*never*"))
    assert not (tmp_path / "none").exists()


def test_metrics_of_the_raw_output_are_measured_too(folder: Path, hub: Path) -> None:
    settings = [*SETTINGS, "workers=0", "label=raw", "cache=cache", "raw=true", "~metrics.lpips_vgg"]
    done = run_here("evaluate", *settings, cwd=folder, TORCH_HOME=str(hub))
    assert done.returncode == 0, done.stderr
    result = Result.load(folder / "results" / "raw")
    assert (result.per_image["lpips_alex_raw"] != result.per_image["lpips_alex"]).any()
