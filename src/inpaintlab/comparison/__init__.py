"""Comparing results of several methods: statistics and tables."""

from inpaintlab.comparison.checks import check, check_settings, comparable
from inpaintlab.comparison.costs import costs_csv, costs_latex, costs_markdown, costs_notes, costs_tables
from inpaintlab.comparison.formats import DIFFERENCE_HEADINGS, table_csv, table_frame, table_markdown, terminal_tables
from inpaintlab.comparison.latex import table_latex
from inpaintlab.comparison.methods import cost_columns, trained_on, weights, weights_of
from inpaintlab.comparison.papers import load_papers
from inpaintlab.comparison.seeds import SEEDS_NOTE, seed_groups, seed_rows, seeds_csv, seeds_markdown, seeds_tables
from inpaintlab.comparison.statistics import SIGNIFICANT, competes
from inpaintlab.comparison.table import HEADLINE, Table, marked, tabulate

__all__ = [
    "DIFFERENCE_HEADINGS",
    "HEADLINE",
    "SEEDS_NOTE",
    "SIGNIFICANT",
    "Table",
    "check",
    "check_settings",
    "comparable",
    "competes",
    "cost_columns",
    "costs_csv",
    "costs_latex",
    "costs_markdown",
    "costs_notes",
    "costs_tables",
    "load_papers",
    "marked",
    "seed_groups",
    "seed_rows",
    "seeds_csv",
    "seeds_markdown",
    "seeds_tables",
    "table_csv",
    "table_frame",
    "table_latex",
    "table_markdown",
    "tabulate",
    "terminal_tables",
    "trained_on",
    "weights",
    "weights_of",
]
