# The interface for developers. `make help` lists the targets; each makes its own set-up.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= /usr/bin/python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: help
help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 22

$(VENV)/.demo: pyproject.toml
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[examples]'
	@touch $@

$(VENV)/.dev: pyproject.toml
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@ $(VENV)/.demo

.PHONY: demo
demo: $(VENV)/.demo ## connect to an embedded host and compute the equation of state of seven metals there
	@$(BIN)/simmate-remote demo

.PHONY: test
test: $(VENV)/.dev ## all tests; as root they bring up the lab, too
	@$(BIN)/python -m pytest

.PHONY: quick
quick: lint ## lint, types and unit tests: under a minute
	@$(BIN)/python -m pytest -q tests/unit

.PHONY: lint
lint: $(VENV)/.dev ## ruff and mypy
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
