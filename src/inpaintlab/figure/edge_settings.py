"""What the edges of a result came from, read from the settings that it recorded."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, final

from inpaintlab.edges import Canny, EdgeSource, HEDAndCanny, NoEdges
from inpaintlab.evaluation import Result
from inpaintlab.recipes import built

LEVEL = "no edges"


PREDICTED, TRUE, EMPTY = "predicted edges", "true edges (oracle †)", "hole left empty"
RIM = ", true ones around the hole (oracle †)"


_SAID = {
    PREDICTED: "are those that the edge generator draws from the known pixels, as at completion",
    TRUE: "are the original's own, in the hole too (hole_edges=original): they depend on the hidden pixels, so it is "
    "no result",
    EMPTY: "gives the inpainting generator the known edges alone, and none in the hole (hole_edges=none)",
    PREDICTED + RIM: "are drawn by the edge generator from the original's edges around the hole (test_edges=whole), of "
    "which those at its rim depend on the hidden pixels, so it is no result",
    EMPTY + RIM: "gives the inpainting generator the original's edges around the hole (test_edges=whole), of which "
    "those at its rim depend on the hidden pixels, so it is no result, and none in the hole (hole_edges=none)",
}


@final
@dataclass(frozen=True, eq=False)
class WithSigma:
    """A result whose edges depend on a sigma, or that has none.

    Args:
        result: the result.
        sigma: of Canny's Gaussian, in pixels, as it was evaluated; None without any edges.
        whose: edges fill the hole and surround it.
        line: what it shares with the results that it is joined with: whose edges, and their source.
        source: marks the edges.
    """

    result: Result
    sigma: float | None
    whose: str
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
    named = [replace(one, line=lines[one.result.label]) for one in found]
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
            "+model.edges.sigma=1 label=sigma1`."
        )
    return sorted(named, key=lambda one: (one.line, one.sigma is None, one.sigma or 0.0))


def in_words(series: Sequence[WithSigma]) -> list[str]:
    """A sentence on each kind of line."""
    found = {one.whose for one in series}
    return [f"“{whose}” {said}." for whose, said in _SAID.items() if whose in found]


def _with_sigma(result: Result) -> WithSigma:
    source = source_of(result)
    if isinstance(source, NoEdges):
        return WithSigma(result, None, _whose(result), "", source)
    canny = _canny(source)
    if canny is None:
        raise ValueError(
            f"{result.folder} has its edges from {source.in_words()}, which has no sigma: leave it out, or give "
            "results of Canny's edges."
        )
    return WithSigma(result, canny.sigma, _whose(result), "", source)


def _canny(source: EdgeSource) -> Canny | None:
    """The detector whose sigma a source has; None if it has none."""
    return source.canny if isinstance(source, HEDAndCanny) else source if isinstance(source, Canny) else None


def _whose(result: Result) -> str:
    """Whose edges fill the hole and surround it, from the settings that EdgeConnect was evaluated with."""
    hole = {"original": TRUE, "none": EMPTY}.get(str(result.config.get("hole_edges")), PREDICTED)
    return hole + RIM if result.config.get("test_edges") == "whole" and hole != TRUE else hole


def _line(one: WithSigma, *, several: bool) -> str:
    canny = _canny(one.source)
    ranged = f", {one.source.in_words()}" if canny is not None and canny.range is not None else ""
    kind = f", {type(one.source).__name__}" if several and one.sigma is not None and not ranged else ""
    return f"{one.whose}{kind}{ranged}"
