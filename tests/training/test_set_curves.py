"""Metrics of the whole validation set while a model learns."""

import csv
import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from inpaintlab.evaluation import Result
from inpaintlab.losses import HED
from inpaintlab.metrics import FD, KID, FeatureNetwork, FeaturePairs, HEDFeatures
from inpaintlab.published import File, Published
from inpaintlab.runs import Progress
from inpaintlab.training.validation import SetFeatures, notes_of_few
from stand_ins.commands import checkpoint, run_here, tiny
from stand_ins.features import Colours
from stand_ins.published_files import hed

NARROW = ((2, 4), (2, 6), (3, 8), (3, 5), (3, 7))


def validated(
    features: SetFeatures, completed: Tensor, original: Tensor, rank: int = 0, processes: int = 1
) -> dict[str, float]:
    """The scores of a validation in batches of three."""
    features.begin(len(original), torch.device("cpu"), rank, processes)
    for rows in torch.arange(len(original)).split(3):
        features.see(rows, completed[rows], original[rows])
    return features.scores()


def images(seed: int) -> Tensor:
    return torch.rand(7, 3, 8, 6, generator=torch.Generator().manual_seed(seed))


def of_both(network: FeatureNetwork) -> SetFeatures:
    return SetFeatures(network, {"fd_colours": FD(network), "kid_colours": KID(network)})


def test_scores_are_those_of_all_images_and_originals_are_seen_once() -> None:
    network = Colours()
    features, original = of_both(network), images(0)
    for seed, shown in ((1, 14), (2, 21)):
        scores = validated(features, images(seed), original)
        pairs = FeaturePairs(*(x.mean(dim=(2, 3)).double().numpy() for x in (original, images(seed))))
        expected = {"fd_colours": FD(network).value(pairs), "kid_colours": KID(network).value(pairs)}
        assert scores == pytest.approx(expected, rel=1e-4, abs=1e-6)
        assert network.shown == shown


def test_each_process_sees_its_share_and_all_have_the_scores_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = validated(of_both(Colours()), images(1), images(0))
    reduce, networks, parts = "inpaintlab.training.validation.dist.all_reduce", [Colours() for _ in range(3)], []
    for rank, network in enumerate(networks):  # what each process would hand to the others
        given: list[Tensor] = []
        monkeypatch.setattr(reduce, lambda rows, given=given: given.append(rows.clone()))
        validated(of_both(network), images(1), images(0), rank, 3)
        parts.append(given)
    assert [network.shown for network in networks] == [6, 4, 4]
    for rank in range(3):
        sums = iter([torch.stack(tensors).sum(0) for tensors in zip(*parts, strict=True)])
        monkeypatch.setattr(reduce, lambda rows, sums=sums: rows.copy_(next(sums)))
        assert validated(of_both(Colours()), images(1), images(0), rank, 3) == expected


def test_a_completion_that_is_not_finite_makes_the_point_of_the_curve_no_number() -> None:
    features, broken = of_both(Colours()), images(1)
    broken[4, 0, 0, 0] = torch.nan
    assert all(np.isnan(value) for value in validated(features, broken, images(0)).values())
    assert not any(np.isnan(value) for value in validated(features, images(1), images(0)).values())


def test_few_images_are_told_of_and_many_are_not() -> None:
    metrics = {"fd_colours": FD(Colours())}
    (sentence,) = notes_of_few(metrics, 64)
    assert sentence.startswith("val/fd_colours of 64 images is too high")
    assert not list(notes_of_few(metrics, 10_000))


# --- with the command ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a run that has the curve and one that has not; HED's weights are narrow ones."""
    folder = tmp_path_factory.mktemp("curves")
    hed(folder / "weights/hed/hed.h5", [width for _, width in NARROW])
    digest = hashlib.sha256((folder / "weights/hed/hed.h5").read_bytes()).hexdigest()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INPAINTLAB_WEIGHTS", str(folder / "weights"))
        file = File("hed.h5", sha256=digest)
        patch.setattr("inpaintlab.published.hed.HED", Published("hed", "", None, "", "", (file,)))
        patch.setattr(HED, "BLOCKS", NARROW)
        patch.setattr(HEDFeatures, "width", 7)
        done = run_here("train", *SETTINGS, *CURVE, "name=with", cwd=folder)
        assert done.returncode == 0, done.stderr
        (folder / "printed.txt").write_text(done.stdout)
        done = run_here("train", *SETTINGS, "name=without", cwd=folder)
        assert done.returncode == 0, done.stderr
        yield folder


SETTINGS = [*tiny("glcic"), "validation_images=5", "data.source.count=12"]
ALONE = [f"~metrics.{name}" for name in ("mae", "mae_hole", "psnr_rgb", "ssim_gauss11_rgb")]
CURVE = ["metrics=fd_hed", *ALONE, "monitor.name=val/fd_hed", "monitor.higher_is_better=false"]


def curve(run: Path) -> list[float]:
    with (run / "log/version_0/metrics.csv").open(newline="") as file:
        return [float(row["val/fd_hed"]) for row in csv.DictReader(file) if row.get("val/fd_hed")]


def test_the_log_has_the_curve_the_plan_a_sentence_and_the_best_checkpoint_goes_by_it(folder: Path) -> None:
    values = curve(folder / "runs/with")
    assert len(values) == 3
    assert all(value > 0 for value in values)
    printed = " ".join((folder / "printed.txt").read_text().split())
    assert "note: val/fd_hed of 5 images is too high, the more the fewer they are; it compares with" in printed
    progress = Progress.load(folder / "runs/with")
    assert progress is not None
    assert (progress.monitor, progress.best) == ("val/fd_hed", pytest.approx(min(values), rel=1e-5))


def test_the_curve_changes_nothing_of_what_is_learnt(folder: Path) -> None:
    one, other = (checkpoint(folder / f"runs/{name}")["state_dict"] for name in ("with", "without"))
    assert one.keys() == other.keys()
    for key, value in one.items():
        assert torch.equal(value, other[key]) if isinstance(value, Tensor) else value == other[key], key


def test_the_last_point_of_the_curve_is_what_an_evaluation_of_these_images_says(folder: Path) -> None:
    what = ["manifest=runs/with/validation.json", "checkpoint=runs/with", "which=last", "metrics=fd_hed"]
    how = ["trainer=cpu", "workers=0", "cache=cache", "label=last", "resamples=3"]
    done = run_here("evaluate", *what, *how, cwd=folder)
    assert done.returncode == 0, done.stderr
    result = Result.load(folder / "results/last")
    assert result.means["all"]["fd_hed"] == pytest.approx(curve(folder / "runs/with")[-1], rel=1e-3)
    assert "relu5_3" in result.metrics["fd_hed"].definition
    assert len(result.replicates["fd_hed"]["all"]) == 3


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (["validation_images=1"], "fd_hed needs at least 2 images, and validation has 1: "),
        (["monitor.higher_is_better=true"], "of val/fd_hed lower is better: give monitor.higher_is_better=false."),
        (["monitor.name=val/fid_hed"], "it can be val/fd_hed. Did you mean 'val/fd_hed'?"),
    ],
)
def test_what_cannot_be_is_told_in_a_sentence_before_training(folder: Path, settings: list[str], sentence: str) -> None:
    done = run_here("train", *SETTINGS, *CURVE, *settings, "name=never", cwd=folder)
    assert done.returncode == 1
    assert sentence in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (folder / "runs/never").exists()


def test_without_the_weights_a_training_says_how_to_get_them(folder: Path) -> None:
    done = run_here("train", *SETTINGS, *CURVE, "name=never", cwd=folder, INPAINTLAB_WEIGHTS=str(folder / "none"))
    assert done.returncode == 1
    assert done.stderr.strip().endswith("run inpaintlab weights fetch hed.")
    assert not (folder / "runs/never").exists()
