"""Laws of the edge metrics: scikit-image's Canny, matches counted pixel by pixel, and what is undefined."""

import math
from collections.abc import Iterable

import numpy as np
import polars as pl
import pytest
import torch
from hydra.utils import instantiate
from scipy import ndimage
from skimage import data
from skimage.color import rgb2gray
from skimage.feature import canny
from torch import Tensor
from torchmetrics import MetricCollection

from inpaintlab.edges import canny as ours
from inpaintlab.evaluation.results import means_by_bin
from inpaintlab.metrics import EdgeF1, EdgeMetric, EdgePrecision, EdgeRecall, PerImageMetric
from inpaintlab.metrics import score as columns_of
from stand_ins.building import Composer

Case = tuple[Tensor, Tensor, Tensor]
KINDS = [EdgePrecision, EdgeRecall, EdgeF1]
ALL = [(kind, tolerance) for kind in KINDS for tolerance in (0, 1)]
EACH = pytest.mark.parametrize(("kind", "tolerance"), ALL)


def photographs() -> Case:
    """Crops of photographs; their holes are filled with other photographs, with a blurred original, with the original
    moved by two pixels.
    """
    sources = [data.astronaut(), data.chelsea(), data.coffee()]
    target = torch.stack([torch.from_numpy(p[40:168, 120:248].copy()).permute(2, 0, 1).float() / 255 for p in sources])
    blurred = torch.from_numpy(ndimage.gaussian_filter(target[1].numpy(), (0, 1.5, 1.5)))
    filling = torch.stack([target[1], blurred, target[2].roll(2, dims=2)])
    mask = torch.zeros(3, 1, 128, 128)
    for i in range(3):
        mask[i, :, 20 + 9 * i : 100, 30 : 90 + 8 * i] = 1
    return torch.where(mask == 1, filling, target), target, mask


def score(metric: PerImageMetric, *case: Tensor) -> list[float]:
    metric.update(*case)
    return metric.compute().tolist()


def expected(case: Case, tolerance: int) -> Iterable[tuple[float, float, float]]:
    """Precision, recall and F1 by scikit-image's Canny and one look at each edge pixel."""
    for p, t, m in zip(*case, strict=True):
        hole = m[0].numpy() == 1
        drawn, true = (canny(rgb2gray(image.permute(1, 2, 0).numpy()), sigma=2) & hole for image in (p, t))
        shares = []
        for these, those in ((drawn, true), (true, drawn)):
            matched = [
                those[max(0, y - tolerance) : y + tolerance + 1, max(0, x - tolerance) : x + tolerance + 1].any()
                for y, x in np.argwhere(these)
            ]
            shares.append(float(np.mean(matched)))
        precision, recall = shares
        yield precision, recall, 2 * precision * recall / (precision + recall)


@EACH
def test_the_edge_metrics_count_matches_between_scikit_images_edges(kind: type[EdgeMetric], tolerance: int) -> None:
    case = photographs()
    found = score(kind(tolerance), *case)
    assert found == pytest.approx([row[KINDS.index(kind)] for row in expected(case, tolerance)], rel=1e-6)
    assert all(0 < value < 1 for value in found)  # so a metric that is stuck at an end would be noticed


# A true edge of 4 pixels in row 2; drawn ones: 3 on it, 2 one row below it, 1 far away.
TRUE = [(2, 1), (2, 2), (2, 3), (2, 4)]
DRAWN = [(2, 1), (2, 2), (2, 3), (3, 5), (3, 6), (7, 7)]


@pytest.fixture
def drawings(monkeypatch: pytest.MonkeyPatch) -> Case:
    """Edge maps given as red planes in place of images, with a hole that covers all but the last column."""
    monkeypatch.setattr("inpaintlab.metrics.edges.canny", lambda gray, sigma: (gray > 0.1).float())
    case = torch.zeros(1, 3, 8, 9), torch.zeros(1, 3, 8, 9), torch.ones(1, 1, 8, 9)
    for plane, pixels in zip(case, (DRAWN, TRUE), strict=False):
        for y, x in pixels:
            plane[0, 0, y, x] = 1
    case[2][..., 8] = 0
    return case


def test_exact_matches_are_counted_by_hand(drawings: Case) -> None:
    assert score(EdgePrecision(0), *drawings) == pytest.approx([3 / 6])
    assert score(EdgeRecall(0), *drawings) == pytest.approx([3 / 4])
    assert score(EdgeF1(0), *drawings) == pytest.approx([2 * 3 / (6 + 4)])


def test_matches_within_a_pixel_are_counted_by_hand(drawings: Case) -> None:
    # (3, 5) is diagonally next to (2, 4), (3, 6) is two columns away from it
    assert score(EdgePrecision(1), *drawings) == pytest.approx([4 / 6])
    assert score(EdgeRecall(1), *drawings) == pytest.approx([4 / 4])
    assert score(EdgeF1(1), *drawings) == pytest.approx([2 * (4 / 6) / (4 / 6 + 1)])


@pytest.mark.parametrize("tolerance", [0, 1])
def test_edges_beside_the_hole_neither_count_nor_match(drawings: Case, tolerance: int) -> None:
    preds, target, mask = drawings
    before = [score(kind(tolerance), preds, target, mask) for kind in KINDS]
    target[0, 0, 6:8, 8] = 1  # next to the drawn pixel (7, 7), but known
    preds[0, 0, 1:4, 8] = 1
    assert [score(kind(tolerance), preds, target, mask) for kind in KINDS] == before


def images_with_edges_in(completed: bool, original: bool) -> Case:
    """A step from black to white through the hole of the one image, the other, both or none; flat known pixels."""
    mask = torch.zeros(1, 1, 48, 48)
    mask[..., 8:40, 8:40] = 1
    step = torch.zeros(1, 3, 48, 48)
    step[..., 14:34, 14:34] = 1
    flat = torch.zeros_like(step)
    return (step if completed else flat), (step if original else flat), mask


@EACH
def test_an_image_without_change_is_perfect(kind: type[EdgeMetric], tolerance: int) -> None:
    assert score(kind(tolerance), *images_with_edges_in(True, True)) == [1.0]


@pytest.mark.parametrize("tolerance", [0, 1])
@pytest.mark.parametrize(
    ("completed", "original", "precision", "recall", "f1"),
    [
        (True, False, 0.0, math.nan, 0.0),
        (False, True, math.nan, 0.0, 0.0),
        (False, False, math.nan, math.nan, math.nan),
    ],
)
def test_without_edges_to_divide_by_a_value_is_undefined(
    completed: bool, original: bool, precision: float, recall: float, f1: float, tolerance: int
) -> None:
    case = images_with_edges_in(completed, original)
    found = [score(kind(tolerance), *case)[0] for kind in KINDS]
    assert found == pytest.approx([precision, recall, f1], nan_ok=True)


@EACH
def test_a_broken_image_is_not_taken_for_one_without_edges(kind: type[EdgeMetric], tolerance: int) -> None:
    preds, target, mask = images_with_edges_in(True, True)
    broken = torch.where(mask == 1, torch.nan, preds)
    assert score(kind(tolerance), broken, target, mask) == [math.inf]


@EACH
def test_how_images_are_batched_does_not_matter(kind: type[EdgeMetric], tolerance: int) -> None:
    case = photographs()
    parts = kind(tolerance)
    for i in range(3):
        parts.update(*(plane[i : i + 1] for plane in case))
    assert parts.compute().tolist() == score(kind(tolerance), *case)


def test_a_tolerance_never_lowers_a_value() -> None:
    for kind in KINDS:
        exact, tolerant = (score(kind(tolerance), *photographs()) for tolerance in (0, 1))
        assert all(one <= other for one, other in zip(exact, tolerant, strict=True))
        assert exact != tolerant


def test_a_collection_counts_the_edges_once_for_all_and_gives_each_metric_its_value(
    composed: Composer, monkeypatch: pytest.MonkeyPatch
) -> None:
    metrics = instantiate(composed("metrics=all").metrics, _convert_="all")
    edge = {name: metric for name, metric in metrics.items() if name.startswith("edge_")}
    assert len(edge) == 2 * len(ALL)
    collection, case = MetricCollection(edge), photographs()
    collection.update(*(plane[:1] for plane in case))
    calls = []
    real = ours
    monkeypatch.setattr("inpaintlab.metrics.edges.canny", lambda *args: calls.append(1) or real(*args))
    collection.update(*(plane[1:] for plane in case))
    assert len(calls) == 2  # one for the completed images, one for the originals
    values = collection.compute()
    for kind, tolerance in ALL:
        for metric in (kind(tolerance), kind(tolerance, micro=True)):
            assert values[metric.name].tolist() == score(metric, *case)


@EACH
def test_a_micro_average_counts_the_pixels_of_all_images_before_it_divides(
    kind: type[EdgeMetric], tolerance: int
) -> None:
    case = photographs()
    matched = total = np.zeros(2)  # of the drawn and of the true edge pixels
    for p, t, m in zip(*case, strict=True):
        hole = m[0].numpy() == 1
        drawn, true = (canny(rgb2gray(image.permute(1, 2, 0).numpy()), sigma=2) & hole for image in (p, t))
        reach = np.ones((3, 3) if tolerance else (1, 1), dtype=bool)
        near_true, near_drawn = (ndimage.binary_dilation(edges, reach) for edges in (true, drawn))
        matched = np.add(matched, [(drawn & near_true).sum(), (true & near_drawn).sum()])
        total = np.add(total, [drawn.sum(), true.sum()])
    precision, recall = matched / total
    wanted = {EdgePrecision: precision, EdgeRecall: recall, EdgeF1: 2 * precision * recall / (precision + recall)}[kind]
    metric = kind(tolerance, micro=True)
    assert score(metric, *case) == pytest.approx([wanted], rel=1e-6)
    assert np.mean(score(kind(tolerance), *case)) != pytest.approx(wanted, rel=1e-3)
    # the columns that a result keeps of each image give the same number
    kept = {name: column.tolist() for name, column in columns_of({metric.name: metric}, *case).items()}
    means = means_by_bin(pl.DataFrame(kept | {"bin": ["a"] * 3}), {metric.name: metric.meaning})
    assert means["all"][metric.name] == pytest.approx(wanted, rel=1e-6)


@EACH
def test_the_tolerance_is_in_the_name_and_in_the_definition(kind: type[EdgeMetric], tolerance: int) -> None:
    metric = kind(tolerance)
    assert metric.name.endswith("_tol1" if tolerance else "_exact")
    assert ("neighbours" in metric.definition) == bool(tolerance)
    assert metric.undefined_allowed
    assert metric.higher_is_better


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("tolerance", [-1, 2])
def test_another_tolerance_is_refused(kind: type[EdgeMetric], tolerance: int) -> None:
    with pytest.raises(ValueError, match=f"is {tolerance} px; it can be 0 or 1"):
        kind(tolerance)
