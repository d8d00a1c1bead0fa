# Two commands do everything on a fresh machine: `make demo` and `make test`.
VENV := .venv
BIN := $(VENV)/bin
# torchvision, which the extra `perceptual` brings, has to match torch to the build: it stays out of the other one.
PERCEPTUAL := .venv-perceptual
.DEFAULT_GOAL := help

.PHONY: help setup demo test test-fast test-slow test-perceptual lint docs bench

help: ## list these targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 8

setup: $(VENV)/.ready ## virtual environment and editable install, by uv or pip (INSTALLER=pip); skipped when nothing changed

$(VENV)/.ready: pyproject.toml uv.lock setup.sh
	bash setup.sh $(VENV) dev
	touch $@

demo: setup ## train GLCIC and EdgeConnect on real photographs, compare them with others, end in a report
	PATH="$(CURDIR)/$(BIN):$$PATH" bash experiments/00_demo/run.sh

# What they compile is kept, whatever this machine's settings say of it: it takes half a minute of each worker.
test test-fast test-slow: export PYTHONDONTWRITEBYTECODE :=

test: setup ## run all tests
	$(BIN)/python -m pytest --numprocesses 2 --dist worksteal

FAST := machine masks layers losses metrics runs settings house/test_architecture.py house/test_config.py
FAST += commandline/test_messages.py house/test_recipes.py house/test_foreign_files.py
test-fast: setup ## two minutes' worth of them, for the inner loop: the ground, the settings, the house
	$(BIN)/python -m pytest --numprocesses 2 --dist worksteal -m "not slow and not endurance" $(addprefix tests/,$(FAST))

test-slow: setup ## what takes minutes: trainings killed again and again, compiled networks, processes on two machines
	$(BIN)/python -m pytest -m endurance

test-perceptual: $(PERCEPTUAL)/.ready ## test LPIPS, FID, KID, P-IDS, U-IDS, in an environment with the extra
	$(PERCEPTUAL)/bin/python -m pytest --override-ini=norecursedirs= --confcutdir=tests/perceptual tests/perceptual

$(PERCEPTUAL)/.ready: pyproject.toml uv.lock setup.sh
	bash setup.sh $(PERCEPTUAL) dev,perceptual
	touch $@

lint: setup ## style, types, Dockerfile
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/hadolint Dockerfile

# A broken link or a page that is not in the navigation ends it; not with --quiet, which lets MkDocs count no warnings.
docs: setup ## the documentation as a site, in site/; ARGS=serve: on http://127.0.0.1:8000 while it is written
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs $(or $(ARGS),build --strict)
	@echo "Open site/index.html; for its search: python3 -m http.server --directory site"

bench: setup ## measure against the plain reference; QUICK=1: see in two minutes that it works; ARGS="cases=[edges]"
	$(BIN)/python -m benchmarks $(if $(QUICK),quick=true width=0.5) $(ARGS)
