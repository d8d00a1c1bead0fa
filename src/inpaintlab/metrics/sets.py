"""Metrics of a whole set of images: the distance of completed images and photographs in a network's features.

Frechet distances, FID among them (Heusel et al. 2017), KID (Binkowski et al. 2018), P-IDS and U-IDS (Zhao et al. 2021,
CoModGAN). All are computed in float64 from stored features, because a set is scored many times: in every mask bin and
on every resample.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, final

import numpy as np
from jaxtyping import Bool, Float64, Int

from inpaintlab.metrics.features import FeatureNetwork
from inpaintlab.metrics.meaning import Meaning
from inpaintlab.published import require_packages

Features = Float64[np.ndarray, "images width"]

Times = Float64[np.ndarray, "draws images"]
"""How often each image counts in each draw; a row of ones is the set as it is."""

Values = Float64[np.ndarray, " draws"]
_BLOCK = 1024  # rows of a kernel matrix in memory at a time


@final
@dataclass(frozen=True, eq=False)
class FeaturePairs:
    """Features of photographs and of their completed images; row i of both is the same image."""

    real: Features
    completed: Features

    @cached_property
    def finite(self) -> bool:
        """Whether all features are finite numbers; those of a broken image are not."""
        return bool(np.isfinite(self.real).all() and np.isfinite(self.completed).all())

    @cached_property
    def decisions(self) -> tuple[Float64[np.ndarray, " images"], Float64[np.ndarray, " images"]]:
        """A linear SVM's decision values of each photograph and of each completed image.

        It is trained on all features to tell the two kinds apart; positive values mean a photograph.
        """
        from sklearn.svm import LinearSVC

        n = len(self.real)
        # it draws nothing, but asks for a seed, which is not to come from the random numbers of a training
        svm = LinearSVC(dual=False, random_state=0)
        svm.fit(np.concatenate([self.real, self.completed]), np.repeat([1, 0], n))
        return svm.decision_function(self.real), svm.decision_function(self.completed)


class SetMetric(ABC):
    """A number for a set of completed images beside their photographs, in the features of a named network.

    Args:
        network: the network whose features are compared.
    """

    quantity: ClassVar[str]
    """The first part of the name; the network's name is the second."""
    unit: ClassVar[str] = ""
    higher_is_better: ClassVar[bool]
    fewest: ClassVar[int] = 2
    """The least number of images that the metric is defined for."""
    backend: ClassVar[str] = "inpaintlab"
    """The package whose code computes the value from the features."""
    described: ClassVar[str]
    """The definition, up to the features."""
    of_few: ClassVar[str]
    """What is to be known of its value for few images, after "of 64 images it"."""

    def __init__(self, network: FeatureNetwork) -> None:
        self.network = network

    @property
    def name(self) -> str:
        """Its name in settings, results and tables; no two definitions share one."""
        return f"{self.quantity}_{self.network.name}"

    @property
    def definition(self) -> str:
        """The metric in words, with the hash of the network's weights, which have to exist (see `require`)."""
        return f"{self.described}; features: {self.network.definition}"

    @property
    def meaning(self) -> Meaning:
        """The meaning of its numbers, for results and tables."""
        return Meaning(self.definition, self.unit, self.higher_is_better, of_set=True, backend=self.backend)

    def require(self) -> None:
        """Check, before any work, that the packages and the network's weights are there.

        Raises:
            ValueError: a package or the network's weights are missing.
        """
        self.network.require()

    @abstractmethod
    def weighted(self, pairs: FeaturePairs, times: Times) -> Values:
        """The value of each draw.

        Args:
            pairs: the features of all images, at least ``fewest``, all finite.
            times: image i counts ``times[draw, i]`` times.
        """

    def values(self, pairs: FeaturePairs, times: Times) -> Values:
        """The value of each draw; NaN for fewer images than the metric needs, or where a feature is not finite."""
        if len(pairs.real) < self.fewest or not pairs.finite:
            return np.full(len(times), math.nan)
        return self.weighted(pairs, times)

    def value(self, pairs: FeaturePairs) -> float:
        """The value of the set as it is; NaN as in `values`."""
        return float(self.values(pairs, np.ones((1, len(pairs.real))))[0])


class Frechet(SetMetric, ABC):
    """Frechet distance between normal distributions that are fitted to the features.

    The trace of the square root of a product of two covariances is the nuclear norm of the product of their factors. So
    no matrix root is needed, only singular values. That matrix has a row for each distinct photograph and a column for
    each completed image, or one for each feature if these are fewer.
    """

    higher_is_better = False
    of_inception: ClassVar[bool]
    """Whether it is taken in the features of an Inception network."""
    of_few = "is too high, the more the fewer they are"
    described = (
        "Frechet distance between normal distributions fitted to the features of the photographs and of the completed "
        "images (covariance over N - 1, float64); it falls with N, so only sets of the same N compare"
    )

    def __init__(self, network: FeatureNetwork) -> None:
        if network.inception != self.of_inception:
            raise ValueError(
                f"In the features of {network.name} a Frechet distance is no {self.quantity.upper()}: take "
                f"inpaintlab.metrics.{'FID' if network.inception else 'FD'}."
            )
        super().__init__(network)

    def weighted(self, pairs: FeaturePairs, times: Times) -> Values:
        """The distance of each draw."""
        # A photograph in several bins has the same features in each: one row is enough, with the sum of the weights.
        photographs, photograph_of = _distinct(pairs.real)
        values = []
        for weights in times:
            together = np.bincount(photograph_of, weights, minlength=len(photographs))
            values.append(_frechet(photographs, together, pairs.completed, weights))
        return np.array(values)


@final
class FID(Frechet):
    """Frechet inception distance (Heusel et al. 2017), of an Inception's features alone.

    Args:
        network: an Inception.

    Raises:
        ValueError: it is another network.
    """

    quantity = "fid"
    of_inception = True


@final
class FD(Frechet):
    """The same distance in another network's features, whose numbers never stand beside FID's.

    Args:
        network: any but an Inception.

    Raises:
        ValueError: it is an Inception.
    """

    quantity = "fd"
    of_inception = False


@final
class KID(SetMetric):
    """Kernel inception distance (Binkowski et al. 2018), over all pairs of images.

    Others average it over random subsets of 1000 images. Each subset is an unbiased estimate of the same quantity, and
    so is the whole set, with the least variance. Two holes of one photograph are not independent images: pairs of them
    within a side would raise the value, as pairs of an image with itself would, so both are left out.
    """

    quantity = "kid"
    higher_is_better = False
    of_few = "scatters, the more the fewer they are"
    described = (
        "unbiased squared maximum mean discrepancy between the features of the photographs and of the completed images "
        "with the kernel (x.y / width + 1)^3, one subset that holds all images, pairs within a side of different "
        "photographs (float64)"
    )

    def weighted(self, pairs: FeaturePairs, times: Times) -> Values:
        """The distance of each draw; NaN for a single photograph."""
        n = times.sum(axis=1)
        photograph_of = _distinct(pairs.real)[1]
        within = sum(
            _kernel_sums(side, side, times) - times @ _own_kernel_sums(side, photograph_of)
            for side in (pairs.real, pairs.completed)
        )
        others = n**2 - times @ np.bincount(photograph_of)[photograph_of]
        within = np.divide(within, others, out=np.full(len(n), math.nan), where=others > 0)
        return within - 2 * _kernel_sums(pairs.real, pairs.completed, times) / n**2


class _Discriminability(SetMetric):
    """A share of images by the side of a linear SVM on which they lie; it is fitted once to the whole set."""

    higher_is_better = True
    backend = "scikit-learn"
    of_few = "is 0 where a linear classifier separates the two sets, as it does unless they are thousands"

    def require(self) -> None:
        """Check for scikit-learn and the network's weights.

        Raises:
            ValueError: a package or the network's weights are missing.
        """
        require_packages(self.name, ("scikit-learn",))
        super().require()


@final
class PIDS(_Discriminability):
    """Paired inception discriminative score (Zhao et al. 2021)."""

    quantity = "pids"
    described = (
        "share of the images whose completed version lies strictly further on the photographs' side of a linear SVM "
        "than the photograph; scikit-learn's LinearSVC(dual=False) trained on all features of both, real against "
        "completed, and applied to the same ones; 0 where they separate, as they do unless N is well above the "
        "features' number"
    )

    def weighted(self, pairs: FeaturePairs, times: Times) -> Values:
        """The share of images in each draw whose completed version lies further on the photographs' side."""
        real, completed = pairs.decisions
        return times @ (completed > real) / times.sum(axis=1)


@final
class UIDS(_Discriminability):
    """Unpaired inception discriminative score (Zhao et al. 2021)."""

    quantity = "uids"
    described = (
        "share of photographs and completed images that a linear SVM takes for the other kind; scikit-learn's "
        "LinearSVC(dual=False) trained on all features of both, real against completed, and applied to the same ones; "
        "0 where they separate, as they do unless N is well above the features' number"
    )

    def weighted(self, pairs: FeaturePairs, times: Times) -> Values:
        """The share of photographs and completed images in each draw that lie on the wrong side."""
        real, completed = pairs.decisions
        mistaken: Bool[np.ndarray, "sides images"] = np.stack([real <= 0, completed > 0])
        return times @ mistaken.mean(axis=0) / times.sum(axis=1)


def networks_of(metrics: Iterable[SetMetric]) -> list[FeatureNetwork]:
    """The feature networks of metrics, each once."""
    return list({metric.network.name: metric.network for metric in metrics}.values())


def _distinct(rows: Features) -> tuple[Float64[np.ndarray, "distinct width"], Int[np.ndarray, " images"]]:
    """The distinct rows, and for each row the number of its distinct one."""
    known: dict[bytes, int] = {}
    which = np.array([known.setdefault(row.tobytes(), len(known)) for row in rows])
    return rows[np.unique(which, return_index=True)[1]], which


def _frechet(
    real: Features,
    real_weights: Float64[np.ndarray, " images"],
    completed: Float64[np.ndarray, "others width"],
    completed_weights: Float64[np.ndarray, " others"],
) -> float:
    """||m - m'||^2 + tr(S + S' - 2 (S S')^(1/2)) of two weighted sets; both weights have the same sum N.

    With A the centred rows times the roots of their weights, S = A^T A / (N - 1), and tr (S S')^(1/2) is the nuclear
    norm of A A'^T / (N - 1).
    """
    mean, A = _centred(real, real_weights)
    other_mean, B = _centred(completed, completed_weights)
    traces = (A**2).sum() + (B**2).sum()
    nuclear = np.linalg.svd(_reduced(A) @ _reduced(B).T, compute_uv=False).sum()
    distance = ((mean - other_mean) ** 2).sum() + (traces - 2 * nuclear) / (real_weights.sum() - 1)
    return max(0.0, float(distance))  # rounding can make it negative


def _centred(
    rows: Features, weights: Float64[np.ndarray, " images"]
) -> tuple[Float64[np.ndarray, " width"], Float64[np.ndarray, "counted width"]]:
    """The weighted mean, and the centred rows times the roots of their weights, without rows of weight 0."""
    rows, weights = rows[weights > 0], weights[weights > 0]
    mean = weights @ rows / weights.sum()
    return mean, (rows - mean) * np.sqrt(weights)[:, None]


def _reduced(rows: Features) -> Float64[np.ndarray, "rank width"]:
    """A matrix with the same A^T A and no more rows than columns."""
    return np.asarray(np.linalg.qr(rows, mode="r")) if len(rows) > rows.shape[1] else rows


def _kernel(products: Float64[np.ndarray, "..."], width: int) -> Float64[np.ndarray, "..."]:
    return (products / width + 1) ** 3


def _own_kernel_sums(rows: Features, photograph_of: Int[np.ndarray, " images"]) -> Float64[np.ndarray, " images"]:
    """Sum of the kernel over each row's pairs with the rows of its own photograph, including itself."""
    sums = np.empty(len(rows))
    order = np.argsort(photograph_of, kind="stable")
    for members in np.split(order, np.cumsum(np.bincount(photograph_of))[:-1]):
        sums[members] = _kernel(rows[members] @ rows[members].T, rows.shape[1]).sum(axis=1)
    return sums


def _kernel_sums(one: Features, other: Features, times: Times) -> Values:
    """Sum of the kernel over all pairs of images of the two sides, for each draw."""
    total = np.zeros(len(times))
    for start in range(0, len(one), _BLOCK):
        block = slice(start, start + _BLOCK)
        kernel = _kernel(one[block] @ other.T, one.shape[1])
        total += np.einsum("di,di->d", times[:, block] @ kernel, times)
    return total
