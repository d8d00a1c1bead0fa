"""Evaluating one method on one test set, and the result folder that it writes."""

from inpaintlab.evaluation.drawn_edges import DRAWN
from inpaintlab.evaluation.evaluation import evaluate
from inpaintlab.evaluation.plan import Plan, plan_evaluation
from inpaintlab.evaluation.resampling import block_sizes, drawn, frozen_random
from inpaintlab.evaluation.results import ALL, FIXED, Result, bin_order
from inpaintlab.evaluation.study import Study, evaluate_missing, look_for_results

__all__ = [
    "ALL",
    "DRAWN",
    "FIXED",
    "Plan",
    "Result",
    "Study",
    "bin_order",
    "block_sizes",
    "drawn",
    "evaluate",
    "evaluate_missing",
    "frozen_random",
    "look_for_results",
    "plan_evaluation",
]
