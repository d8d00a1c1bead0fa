"""One method on one test set."""

from inpaintlab.evaluation.cost import measure_cost
from inpaintlab.evaluation.evaluation import evaluate
from inpaintlab.evaluation.photographs import real_features
from inpaintlab.evaluation.plan import networks_of, plan_evaluation
from inpaintlab.evaluation.resampling import block_sizes, drawn, frozen_random
from inpaintlab.evaluation.results import ALL, FIXED, Result, bin_order
from inpaintlab.evaluation.scoring import Scores
from inpaintlab.evaluation.set_scores import score_sets
from inpaintlab.evaluation.study import Study, evaluate_missing, look_for_results

__all__ = [
    "ALL",
    "FIXED",
    "Result",
    "Scores",
    "Study",
    "bin_order",
    "block_sizes",
    "drawn",
    "evaluate",
    "evaluate_missing",
    "frozen_random",
    "look_for_results",
    "measure_cost",
    "networks_of",
    "plan_evaluation",
    "real_features",
    "score_sets",
]
