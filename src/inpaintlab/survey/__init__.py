"""Runs side by side: which there are, how their settings differ, and their curves."""

from inpaintlab.survey.comparison import compare, runs_of
from inpaintlab.survey.found import runs_in
from inpaintlab.survey.page import write_page
from inpaintlab.survey.records import as_record, comparison_record
from inpaintlab.survey.summary import summary_of
from inpaintlab.survey.tables import table_of_curves, table_of_runs, table_of_settings

__all__ = [
    "as_record",
    "compare",
    "comparison_record",
    "runs_in",
    "runs_of",
    "summary_of",
    "table_of_curves",
    "table_of_runs",
    "table_of_settings",
    "write_page",
]
