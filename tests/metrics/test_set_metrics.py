"""FID, KID, P-IDS and U-IDS on made-up features, against closed forms and other people's code."""

import hashlib
import math
from typing import Any, final

import numpy as np
import pytest
import torch
from jaxtyping import Float
from scipy.linalg import sqrtm
from sklearn.svm import LinearSVC
from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.kid import KernelInceptionDistance

from inpaintlab.evaluation.set_scores import score_sets
from inpaintlab.metrics import FID, KID, PIDS, UIDS, FeatureNetwork, FeaturePairs, SetMetric
from inpaintlab.shapes import Images

METRICS = [FID, KID, PIDS, UIDS]
Rows = np.ndarray[Any, np.dtype[np.float64]]


@final
class Means(FeatureNetwork):
    """The mean of each colour."""

    name = "means"
    width = 3
    inception = True
    definition = "the mean of each colour"
    key = "means"

    def require(self) -> None:
        raise ValueError("asked")

    def forward(self, images: Images) -> Float[Tensor, "batch features"]:
        return images.mean(dim=(2, 3))


class Given(nn.Module):
    """torchmetrics' feature network for features that are there already."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.num_features = width

    def forward(self, rows: Tensor) -> Tensor:
        return rows.reshape(len(rows), -1)


def metric(kind: type[SetMetric]) -> SetMetric:
    return kind(Means())


def value(kind: type[SetMetric], real: Rows, completed: Rows) -> float:
    return metric(kind).value(FeaturePairs(real, completed))


def features(images: int, width: int, seed: int = 0, shift: float = 0.2) -> tuple[Rows, Rows]:
    """Photographs, and completed images that resemble them."""
    random = np.random.default_rng(seed)
    real = random.normal(size=(images, width))
    return real, 0.8 * real + 0.5 * random.normal(size=(images, width)) + shift


def with_moments(mean: Rows, covariance: Rows, images: int, seed: int) -> Rows:
    """Rows whose mean and covariance (over N - 1) are these exactly."""
    rows = np.random.default_rng(seed).normal(size=(images, len(mean)))
    rows -= rows.mean(axis=0)
    whitened = rows @ np.linalg.inv(np.linalg.cholesky(np.cov(rows, rowvar=False))).T
    return whitened @ np.linalg.cholesky(covariance).T + mean


def plain_fid(real: Rows, completed: Rows) -> float:
    """The textbook's formula, with SciPy's root of a matrix."""
    S, T = np.cov(real, rowvar=False), np.cov(completed, rowvar=False)
    difference = real.mean(axis=0) - completed.mean(axis=0)
    return float(difference @ difference + np.trace(S + T - 2 * sqrtm(S @ T).real))


def covariance(width: int, seed: int) -> Rows:
    root = np.random.default_rng(seed).normal(size=(width, width))
    return root @ root.T + 0.1 * np.eye(width)


def test_fid_of_two_round_normal_distributions_is_the_distance_of_means_and_of_deviations() -> None:
    # |m|^2 = 9 + 16, and 2 dimensions in which the deviations 1 and 4 differ by 3
    real = with_moments(np.zeros(2), np.eye(2), 40, seed=1)
    completed = with_moments(np.array([3.0, 4.0]), 16 * np.eye(2), 40, seed=2)
    assert value(FID, real, completed) == pytest.approx(25 + 2 * 9, rel=1e-12)


@pytest.mark.parametrize("images", [8, 60])
def test_fid_is_the_closed_form_of_the_distributions_that_the_features_have(images: int) -> None:
    S, T, mean = covariance(7, 3), covariance(7, 4), np.arange(7.0)
    real, completed = with_moments(mean, S, images, seed=5), with_moments(-mean, T, images, seed=6)
    closed = 4 * mean @ mean + np.trace(S + T - 2 * sqrtm(S @ T).real)
    assert value(FID, real, completed) == pytest.approx(closed, rel=1e-9)


@pytest.mark.parametrize(("images", "width"), [(50, 6), (10, 10)])
def test_fid_is_that_of_torchmetrics(images: int, width: int) -> None:
    real, completed = features(images, width)
    theirs = FrechetInceptionDistance(Given(width), normalize=True, input_img_size=(1, 1, width))
    for rows, are_real in ((real, True), (completed, False)):
        theirs.update(torch.tensor(rows, dtype=torch.float32).reshape(-1, 1, 1, width), real=are_real)
    assert value(FID, real, completed) == pytest.approx(float(theirs.compute()), rel=1e-4)


def test_fid_of_fewer_images_than_features_needs_no_root_of_a_singular_matrix() -> None:
    real, completed = features(5, 40)
    S, T = np.cov(real, rowvar=False), np.cov(completed, rowvar=False)
    # tr (S T)^(1/2) from the symmetric matrix S^(1/2) T S^(1/2), whose eigenvalues are those of S T
    values, vectors = np.linalg.eigh(S)
    root = (vectors * np.sqrt(values.clip(0))) @ vectors.T
    trace = np.sqrt(np.linalg.eigvalsh(root @ T @ root).clip(0)).sum()
    difference = real.mean(axis=0) - completed.mean(axis=0)
    expected = difference @ difference + np.trace(S) + np.trace(T) - 2 * trace
    assert value(FID, real, completed) == pytest.approx(expected, rel=1e-6)


def test_kid_of_two_images_follows_by_hand() -> None:
    # One feature: k(x, y) = (x y + 1)^3. Real 0 and 1, completed 1 and 2.
    # Within: k(0,1) = 1 and k(1,2) = 27; between: k(0,1) = 1, k(0,2) = 1, k(1,1) = 8, k(1,2) = 27.
    expected = 1 + 27 - 2 * (1 + 1 + 8 + 27) / 4
    assert value(KID, np.array([[0.0], [1.0]]), np.array([[1.0], [2.0]])) == pytest.approx(expected)


def test_kid_is_that_of_torchmetrics_with_one_subset_of_all_images() -> None:
    real, completed = features(40, 6)
    with pytest.warns(UserWarning, match="save all extracted features"):
        theirs = KernelInceptionDistance(Given(6), subsets=1, subset_size=40, normalize=True)
    for rows, are_real in ((real, True), (completed, False)):
        theirs.update(torch.tensor(rows, dtype=torch.float32).reshape(-1, 1, 1, 6), real=are_real)
    assert value(KID, real, completed) == pytest.approx(float(theirs.compute()[0]), rel=1e-4)


def test_kid_of_more_images_than_a_block_holds_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    real, completed = features(23, 4)
    whole = value(KID, real, completed)
    monkeypatch.setattr("inpaintlab.metrics.sets._BLOCK", 5)
    assert value(KID, real, completed) == pytest.approx(whole, rel=1e-12)


def test_the_mean_kid_of_equal_distributions_is_zero() -> None:
    random = np.random.default_rng(0)
    values = [value(KID, *random.normal(size=(2, 20, 3))) for _ in range(300)]
    assert abs(np.mean(values)) < 4 * np.std(values) / np.sqrt(300)


def test_several_holes_of_the_same_photographs_do_not_raise_the_mean_kid() -> None:
    random = np.random.default_rng(0)
    values = []
    for _ in range(300):
        photographs, others = random.normal(size=(2, 20, 3))
        completed = 0.9 * np.tile(others, (4, 1)) + random.normal(size=(80, 3)) * math.sqrt(1 - 0.9**2)
        values.append(value(KID, np.tile(photographs, (4, 1)), completed))
    assert abs(np.mean(values)) < 4 * np.std(values) / np.sqrt(300)


def test_kid_of_two_holes_a_photograph_is_the_mean_over_pairs_of_photographs() -> None:
    real, completed = np.repeat(features(5, 4)[0], 2, axis=0), features(10, 4)[1]
    kernel = [[(a @ b / 4 + 1) ** 3 for b in (*real, *completed)] for a in (*real, *completed)]
    apart = [(i, j) for i in range(10) for j in range(10) if i // 2 != j // 2]
    within = [np.mean([kernel[start + i][start + j] for i, j in apart]) for start in (0, 10)]
    between = np.mean([row[10:] for row in kernel[:10]])
    assert value(KID, real, completed) == pytest.approx(sum(within) - 2 * between, rel=1e-9)


def test_pids_and_uids_are_what_a_linear_svm_mistakes() -> None:
    real, completed = features(200, 5)
    svm = LinearSVC(dual=False).fit([*real, *completed], [1] * 200 + [0] * 200)
    mistaken = 1 - svm.score([*real, *completed], [1] * 200 + [0] * 200)
    assert 0.1 < mistaken < 0.5  # not a case in which nothing is mistaken
    assert value(UIDS, real, completed) == pytest.approx(mistaken, abs=1e-12)
    swapped = np.mean(
        [svm.decision_function([c])[0] > svm.decision_function([r])[0] for r, c in zip(real, completed, strict=True)]
    )
    assert 0 < swapped < 0.5
    assert value(PIDS, real, completed) == pytest.approx(swapped, abs=1e-12)


def test_sets_that_are_the_same_are_not_told_apart() -> None:
    real, _ = features(50, 4)
    assert value(FID, real, real) == pytest.approx(0, abs=1e-10)
    assert value(UIDS, real, real) == pytest.approx(0.5)
    assert value(PIDS, real, real) == 0  # no completed image lies strictly further
    assert value(KID, real, real) <= 0  # unbiased, so it is negative for the set itself


def test_sets_that_lie_apart_are_told_apart_without_a_mistake() -> None:
    real, completed = features(50, 4, shift=100.0)
    assert value(UIDS, real, completed) == 0
    assert value(PIDS, real, completed) == 0


@pytest.mark.parametrize("kind", [FID, KID])
@pytest.mark.parametrize("width", [4, 40])
def test_an_image_that_counts_twice_is_an_image_that_is_there_twice(kind: type[SetMetric], width: int) -> None:
    real, completed = features(12, width)
    times = np.array([2, 0, 1, 3, 0, 1, 1, 1, 0, 2, 1, 1])
    drawn = metric(kind).weighted(FeaturePairs(real, completed), np.stack([np.ones(12), times.astype(float)]))
    assert drawn[0] == pytest.approx(value(kind, real, completed), rel=1e-9)
    copies = np.repeat(real, times, axis=0)
    copies += 1e-9 * np.arange(len(copies))[:, None]  # other photographs that look the same
    repeated = value(kind, copies, np.repeat(completed, times, axis=0))
    assert drawn[1] == pytest.approx(repeated, rel=1e-6)


def test_pids_and_uids_of_a_draw_keep_the_svm_of_the_whole_set() -> None:
    real, completed = features(60, 5)
    svm = LinearSVC(dual=False).fit([*real, *completed], [1] * 60 + [0] * 60)
    times = np.random.default_rng(0).integers(0, 4, size=60)
    rows = np.repeat(np.arange(60), times)
    of_real, of_completed = svm.decision_function(real[rows]), svm.decision_function(completed[rows])
    pairs = FeaturePairs(real, completed)
    assert metric(PIDS).weighted(pairs, times[None].astype(float))[0] == pytest.approx(np.mean(of_completed > of_real))
    mistaken = np.mean([*(of_real <= 0), *(of_completed > 0)])
    assert metric(UIDS).weighted(pairs, times[None].astype(float))[0] == pytest.approx(mistaken)


def test_a_photograph_that_several_bins_share_counts_in_each() -> None:
    photographs, completed = features(9, 4)[0], np.concatenate([features(9, 4, seed)[1] for seed in (0, 1, 2)])
    real = np.tile(photographs, (3, 1))
    assert value(FID, real, completed) == pytest.approx(plain_fid(real, completed), rel=1e-6)


def scored(**changes: Any) -> Any:
    """Scores of two bins of 12 photographs each."""
    real, completed = features(24, 3)
    given = {
        "metrics": [metric(kind) for kind in METRICS],
        "real": np.tile(real[:12], (2, 1)).astype(np.float32),
        "completed": completed.astype(np.float32),
        "bins": ["wide"] * 12 + ["narrow"] * 12,
        "photographs": [f"{n}.png" for n in range(12)] * 2,
        "seed": "a hash",
        "resamples": 7,
    }
    return score_sets(**(given | changes))


def test_a_score_is_the_metric_of_the_rows_of_its_bin() -> None:
    values, _ = scored()
    real, completed = features(24, 3)
    real, completed = (rows.astype(np.float32).astype(np.float64) for rows in (np.tile(real[:12], (2, 1)), completed))
    assert list(values) == ["wide", "narrow", "all"]
    for bin_name, rows in {"wide": slice(12), "narrow": slice(12, 24), "all": slice(24)}.items():
        expected = {f"{m.quantity}_means": value(m, real[rows], completed[rows]) for m in METRICS}
        assert values[bin_name] == pytest.approx(expected, rel=1e-9)


def test_a_replicate_draws_whole_photographs_by_the_seed_and_the_bin() -> None:
    values, replicates = scored()
    real, completed = features(24, 3)
    real, completed = (rows.astype(np.float32).astype(np.float64) for rows in (np.tile(real[:12], (2, 1)), completed))
    order = np.argsort([f"{n}.png" for n in range(12)])  # photographs are numbered by name
    for bin_name, offsets in {"wide": [0], "narrow": [12], "all": [0, 12]}.items():
        words = np.frombuffer(hashlib.sha256(f"a hash/{bin_name}".encode()).digest(), dtype="<u4")
        draws = np.random.RandomState(words).randint(12, size=(7, 12), dtype=np.int64)
        for draw, fid, kid in zip(
            draws, *(replicates[name][bin_name] for name in ("fid_means", "kid_means")), strict=True
        ):
            rows = np.concatenate([order[draw] + offset for offset in offsets])
            # a photograph that is drawn twice counts as two that look the same
            drawn = real[rows] + 1e-9 * np.tile(np.arange(12), len(offsets))[:, None]
            assert fid == pytest.approx(value(FID, drawn, completed[rows]), rel=1e-6)
            assert kid == pytest.approx(value(KID, drawn, completed[rows]), rel=1e-6)
    assert {name: set(bins) for name, bins in replicates.items()} == {name: {*values} for name in values["all"]}


def test_the_draws_do_not_depend_on_method_metric_or_the_order_of_the_images() -> None:
    _, replicates = scored()
    _, alone = scored(metrics=[metric(KID)])
    assert alone["kid_means"] == replicates["kid_means"]
    real, completed = features(24, 3)
    turned = np.arange(24)[::-1]
    _, backwards = scored(
        real=np.tile(real[:12], (2, 1)).astype(np.float32)[turned],
        completed=completed.astype(np.float32)[turned],
        bins=(["wide"] * 12 + ["narrow"] * 12)[::-1],
        photographs=([f"{n}.png" for n in range(12)] * 2)[::-1],
    )
    for bin_name, draws in replicates["fid_means"].items():
        assert backwards["fid_means"][bin_name] == pytest.approx(draws, rel=1e-6)


def test_more_draws_begin_with_the_same_ones() -> None:
    few, many = scored()[1]["fid_means"]["all"], scored(resamples=9)[1]["fid_means"]["all"]
    assert len(many) == 9
    assert many[:7] == few


def test_a_bin_of_one_image_has_no_value_and_no_replicates() -> None:
    values, replicates = scored(bins=["lone"] + ["rest"] * 23)
    assert set(values["lone"].values()) == {None}
    assert all("lone" not in bins for bins in replicates.values())
    assert None not in values["rest"].values()


def test_a_bin_of_one_photograph_has_a_value_but_nothing_to_resample() -> None:
    real = features(24, 3)[0].astype(np.float32)
    real[1] = real[0]
    bins, photographs = ["lone"] * 2 + ["rest"] * 22, ["a", "a", *"bcdefghijklmnopqrstuvw"]
    values, replicates = scored(real=real, bins=bins, photographs=photographs)
    assert {name for name, value in values["lone"].items() if value is None} == {"kid_means"}
    assert all(set(bins) == {"rest", "all"} for bins in replicates.values())


def test_without_resamples_there_are_values_alone() -> None:
    values, replicates = scored(resamples=0)
    for bin_name, with_resamples in scored()[0].items():
        assert values[bin_name] == pytest.approx(with_resamples)
    assert replicates == {name: {} for name in values["all"]}


def test_a_broken_image_takes_the_value_of_its_bin_and_of_all_away() -> None:
    completed = features(24, 3)[1].astype(np.float32)
    completed[3, 1] = np.nan
    values, replicates = scored(completed=completed)
    assert set(values["wide"].values()) == set(values["all"].values()) == {None}
    assert None not in values["narrow"].values()
    assert all(set(bins) == {"narrow"} for bins in replicates.values())


@pytest.mark.parametrize("kind", METRICS)
def test_name_and_definition_say_the_network(kind: type[SetMetric]) -> None:
    made = metric(kind)
    assert made.name == f"{kind.__name__.lower()}_means"
    assert made.definition.endswith("features: the mean of each colour")
    assert made.meaning.of_set
    assert (made.meaning.definition, made.meaning.backend) == (made.definition, made.backend)
    assert made.meaning.higher_is_better == (kind in (PIDS, UIDS))


@pytest.mark.parametrize("kind", METRICS)
def test_what_the_network_lacks_the_metric_lacks(kind: type[SetMetric]) -> None:
    with pytest.raises(ValueError, match="asked"):
        metric(kind).require()


def test_pids_and_uids_without_scikit_learn_say_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inpaintlab.published.weight_files.find_spec", lambda name: None)
    for kind in (PIDS, UIDS):
        with pytest.raises(ValueError, match=r'needs scikit-learn, .*pip install "inpaintlab\[perceptual\]"'):
            metric(kind).require()
