"""Whether what is fast is also right on this machine: losses, gradients, edges, resuming, evaluation."""

from benchmarks.checks.exactness import edges, numbers
from benchmarks.checks.runs import evaluation, resuming

__all__ = ["edges", "evaluation", "numbers", "resuming"]
