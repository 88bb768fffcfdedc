# make demo    a real Airflow runs jobs in four emulated AWS services, on this machine
# make test    everything: lint, types, unit tests, live tests with real Airflow processes
# make chaos   ten minutes of jobs, kills, clears and faults at random
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.DELETE_ON_ERROR:
.PHONY: help install check lint types unit live matrix pages docs test chaos bench bench-tasks soak demo screenshots dist format clean

help:
	@sed -nE 's/^([a-z-]+):.*## /make \1\t/p' Makefile

install: .venv/installed ## make .venv with all that development needs

.venv/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null || \
	  { echo "Python 3.10 or newer is needed, and '$(PYTHON)' is none; name another one: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -m venv .venv || { echo "$(PYTHON) cannot make a virtual environment; on Debian: apt install python3-venv"; exit 1; }
	@echo "Installing Airflow and this provider into .venv (about a minute, once) ..."
	@# dependency groups need a recent pip
	@{ $(PIP) install -c constraints.txt 'pip>=25.1' && $(PIP) install -c constraints.txt --group dev -e '.[testing]'; } \
	  || { echo "The packages could not be installed: see above; is the package index reachable?"; exit 1; }
	@touch $@

check: lint types unit ## lint, types, unit tests: six minutes

lint: install
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: install
	$(BIN)/mypy

unit: install
	$(BIN)/python -m pytest -q -n 4 --ignore tests/live

live: install ## real Airflow processes against the emulated AWS; the kill matrix thinned out
	$(BIN)/python -m pytest -q tests/live --dealt

matrix: install ## the live tests with the whole kill matrix, and what was seen into its tables
	$(BIN)/python -m pytest -q tests/live --write-matrix

pages: install ## write what the documentation has that is made of code: policies, tables of failures
	@$(BIN)/python -m tests.blocks

docs: install ## the documentation as a site, in site/; a broken link or anchor fails
	@# not --quiet: it would not count the warnings either
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build
	@echo "The documentation is in site/index.html; with search: $(BIN)/python -m http.server --directory site --bind 127.0.0.1"

test: check live ## everything

chaos: install ## a longer storm of kills, clears and faults, and its counts (SECONDS=600, SEED=7)
	@$(BIN)/python -m tests.live.chaos --seconds $(or $(SECONDS),600) --seed $(or $(SEED),7)

bench: install ## many waits in one process beside the amazon provider's, an hour (QUICK=1: under three minutes)
	@$(BIN)/python -m benchmarks $(if $(QUICK),--quick)

bench-tasks: install ## what a task costs a whole Airflow, way by way: half an hour
	@$(BIN)/python -m benchmarks.tasks

soak: install ## an hour of waits, twenty times as fast: nothing may be left, nothing may grow (five minutes)
	@$(BIN)/python -W ignore -m benchmarks.soak

demo: install ## see it work (KEEP=1 keeps Airflow up, PORT=8080 sets its port)
	@$(BIN)/python -m demo

screenshots: .venv/screenshots ## take the documentation's pictures anew, of a real Airflow in Chromium (two minutes)
	@$(BIN)/python -W ignore -m screenshots

.venv/screenshots: .venv/installed
	@$(PIP) install -c constraints.txt --group screenshots \
	  || { echo "The packages could not be installed: see above; is the package index reachable?"; exit 1; }
	@touch $@

dist: install ## the wheel and the source distribution, in dist/
	rm -rf dist
	$(BIN)/python -m build --no-isolation --outdir dist

format: install ## format and sort
	$(BIN)/ruff check --fix-only
	$(BIN)/ruff format

clean: ## remove .venv, caches, dist and site
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache dist site
