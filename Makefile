# Two commands do everything on a fresh machine: `make demo` and `make test`.
VENV := .venv
BIN := $(VENV)/bin
.DEFAULT_GOAL := help

.PHONY: help setup demo test lint bench

help: ## list these targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 8

setup: $(VENV)/.ready ## virtual environment and editable install; skipped when nothing changed

$(VENV)/.ready: pyproject.toml
	python3 -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[dev]"
	touch $@

demo: setup ## train GLCIC and EdgeConnect on real photographs, compare five methods, end in a report
	PATH="$(CURDIR)/$(BIN):$$PATH" bash experiments/00_demo/run.sh

test: setup ## run all tests
	$(BIN)/python -m pytest --numprocesses 2

lint: setup ## style, types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: setup ## benchmarks: none yet
	@echo "There are no benchmark cases yet."
