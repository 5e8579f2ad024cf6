# The interface for developers; each target makes its own set-up.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= /usr/bin/python3
BIN := .venv/bin
PIP := $(BIN)/pip install --quiet --disable-pip-version-check

.PHONY: help demo test quick lint docs lab bench faults fuzz oldest

help: ## this list
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/  make \1|\2/p' Makefile | column -t -s '|' 2>/dev/null || grep '##' Makefile

.venv/demo-ready: pyproject.toml
	@echo "making a virtual environment for the demo in .venv"
	@$(PYTHON) -m venv .venv
	@$(PIP) --editable '.[examples]'
	@touch $@

.venv/dev-ready: pyproject.toml
	@echo "making a virtual environment for development in .venv"
	@$(PYTHON) -m venv .venv
	@$(PIP) --editable '.[dev]'
	@touch $@

# The lab needs root and a few Debian packages; without them its tests are skipped, and say what would enable them.
.PHONY: lab-packages
lab-packages: .venv/dev-ready
	@if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then $(BIN)/python -m tests.lab install; fi

demo: .venv/demo-ready ## compute the equations of state of seven metals on an embedded host
	@$(BIN)/simmate-remote demo

# Three processes also on two cores, each with a lab of its own: most tests wait more than they compute.
AT_ONCE ?= 3
test: .venv/dev-ready lab-packages ## run the tests; as root, those in the lab too; with CI=true, the slow ones too
	@$(BIN)/python -m pytest --numprocesses $(AT_ONCE) --dist worksteal --durations 20 $(if $(CI),,-m 'not slow')

quick: lint ## lint, types and the tests of parts alone: under a minute
	@$(BIN)/python -m pytest -q --numprocesses $(AT_ONCE) tests/unit -m 'not lab'

lint: .venv/dev-ready ## ruff and mypy
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

docs: .venv/dev-ready ## make the pages in docs/ a site, in site/; a link that leads nowhere is an error
	@$(BIN)/python -m mkdocs build --quiet --strict
	@echo "made site/index.html"

lab: .venv/dev-ready lab-packages ## bring up a machine behind a firewall, to try things by hand (root)
	@$(BIN)/python -m tests.lab

bench: .venv/dev-ready lab-packages ## measure speeds in the lab, as ratios of paired runs (root)
	@$(BIN)/python -m benchmarks

faults: .venv/dev-ready lab-packages ## let every fault happen in the lab and write docs/faults.md (root; two hours)
	@$(BIN)/python -m faults

.PHONY: chaos
chaos: .venv/dev-ready lab-packages ## kill everything at random under 1,000 durable runs, and write docs/faults.md (root)
	@$(BIN)/python -m chaos

.PHONY: odd-hosts
odd-hosts: .venv/dev-ready lab-packages ## set up and use odd hosts in the lab, and write docs/odd-hosts.md (root)
	@$(BIN)/python -m odd_hosts

# A folder of its own beside the environment: the fuzzer is made for Linux, and nothing else needs it.
.venv/fuzz-ready: .venv/dev-ready
	@echo "putting a coverage-guided fuzzer into .venv/fuzz"
	@$(PIP) --upgrade --target .venv/fuzz atheris
	@touch $@

SECONDS ?= 60
fuzz: .venv/fuzz-ready ## play hostile far ends against each reader, SECONDS=60 for each (Linux)
	@PYTHONPATH=.venv/fuzz $(BIN)/python -m fuzz --seconds $(SECONDS)

.venv/oldest-ready: pyproject.toml .venv/dev-ready
	@echo "making a virtual environment with the oldest supported Dask in .venv/oldest"
	@$(PYTHON) -m venv .venv/oldest
	@.venv/oldest/bin/pip install --quiet --disable-pip-version-check --editable '.[test]' dask==2026.1.2 distributed==2026.1.2
	@touch $@

oldest: .venv/oldest-ready ## test the cluster with the oldest supported release of Dask
	@.venv/oldest/bin/python -m pytest -m 'not lab' tests/test_remote_cluster.py tests/test_endings.py tests/unit/test_dashboard.py tests/local/test_workflows_running.py
