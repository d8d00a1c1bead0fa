"""What programs and notebooks call: methods that complete pictures of any kind, evaluations and comparisons."""

from inpaintlab.programs.comparing import compare, write_comparison
from inpaintlab.programs.completing import Edges, Method
from inpaintlab.programs.evaluating import evaluate, score
from inpaintlab.programs.freezing import freeze, frozen_of
from inpaintlab.programs.loading import load, method
from inpaintlab.programs.results import Comparison, Evaluation

__all__ = [
    "Comparison",
    "Edges",
    "Evaluation",
    "Method",
    "compare",
    "evaluate",
    "freeze",
    "frozen_of",
    "load",
    "method",
    "score",
    "write_comparison",
]
