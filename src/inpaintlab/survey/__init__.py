"""Runs side by side: which there are, how their settings differ, and their curves."""

from inpaintlab.survey.comparison import Compared, compare, runs_of
from inpaintlab.survey.curves import Curve, common, curves_of, sparkline
from inpaintlab.survey.differences import ABSENT, differing
from inpaintlab.survey.found import Run, runs_in
from inpaintlab.survey.page import write_page
from inpaintlab.survey.records import as_record, comparison_record
from inpaintlab.survey.summary import Summary, summary_of
from inpaintlab.survey.tables import table_of_curves, table_of_runs, table_of_settings

__all__ = [
    "ABSENT",
    "Compared",
    "Curve",
    "Run",
    "Summary",
    "as_record",
    "common",
    "compare",
    "comparison_record",
    "curves_of",
    "differing",
    "runs_in",
    "runs_of",
    "sparkline",
    "summary_of",
    "table_of_curves",
    "table_of_runs",
    "table_of_settings",
    "write_page",
]
