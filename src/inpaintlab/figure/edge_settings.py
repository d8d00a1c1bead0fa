"""What the edges of a result came from, read from the settings that it recorded."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

from inpaintlab.edges import Canny, EdgeSource, HEDAndCanny, NoEdges
from inpaintlab.evaluation import Result
from inpaintlab.recipes import built

PREDICTED, TRUE, LEVEL = "predicted edges", "true edges (oracle †)", "no edges"


@final
@dataclass(frozen=True, eq=False)
class WithSigma:
    """A result whose edges depend on a sigma, or that has none.

    Args:
        result: the result.
        sigma: of Canny's Gaussian, in pixels, as it was evaluated; None without any edges.
        line: what it shares with the results that it is joined with: whose edges fill the hole, and their source.
        source: marks the edges.
    """

    result: Result
    sigma: float | None
    line: str
    source: EdgeSource

    @property
    def name(self) -> str:
        """The sigma as figures print it."""
        return LEVEL if self.sigma is None else f"σ = {self.sigma:g}"  # noqa: RUF001  (a sigma is meant)


def source_of(result: Result) -> EdgeSource:
    """The source of a result's edges.

    Raises:
        ValueError: its method uses no edges.
    """
    recipe: Any = result.config.get("edges")
    if not isinstance(recipe, dict):
        raise ValueError(
            f"{result.folder} is of {result.method.rpartition('.')[2]}, which uses no edges, so it has no sigma: leave "
            "it out."
        )
    return built(recipe, EdgeSource, f"{result.folder}: its settings", inside=(EdgeSource,))


def by_sigma(results: Sequence[Result]) -> list[WithSigma]:
    """The results in the order of their lines and sigmas, those without edges last.

    Raises:
        ValueError: one has no sigma, two are of the same one, or all are.
    """
    found = [_with_sigma(result) for result in results]
    several = len({type(one.source) for one in found if one.sigma is not None}) > 1
    lines = {one.result.label: _line(one, several=several) for one in found}
    named = [WithSigma(one.result, one.sigma, lines[one.result.label], one.source) for one in found]
    seen: dict[tuple[str, float | None], Result] = {}
    for one in named:
        if other := seen.get((one.line, one.sigma)):
            raise ValueError(
                f"{other.folder} and {one.result.folder} are both of {one.line}, {one.name}: give one result of each "
                "sigma."
            )
        seen[one.line, one.sigma] = one.result
    if len({one.sigma for one in named}) < 2:
        raise ValueError(
            f"All results are of {named[0].name}: evaluate with others, as in `inpaintlab evaluate ... "
            "model.edges.sigma=1 label=sigma1`."
        )
    return sorted(named, key=lambda one: (one.line, one.sigma is None, one.sigma or 0.0))


def _with_sigma(result: Result) -> WithSigma:
    source = source_of(result)
    if isinstance(source, NoEdges):
        return WithSigma(result, None, "", source)
    canny = _canny(source)
    if canny is None:
        raise ValueError(
            f"{result.folder} has its edges from {source.in_words()}, which has no sigma: leave it out, or give "
            "results of Canny's edges."
        )
    return WithSigma(result, canny.sigma, "", source)


def _canny(source: EdgeSource) -> Canny | None:
    """The detector whose sigma a source has; None if it has none."""
    return source.canny if isinstance(source, HEDAndCanny) else source if isinstance(source, Canny) else None


def _line(one: WithSigma, *, several: bool) -> str:
    whose = TRUE if one.result.oracle else PREDICTED
    canny = _canny(one.source)
    ranged = f", {one.source.in_words()}" if canny is not None and canny.range is not None else ""
    kind = f", {type(one.source).__name__}" if several and one.sigma is not None and not ranged else ""
    return f"{whose}{kind}{ranged}"
