# Every target works in a clean clone: the virtual environment is made on first use from pinned versions.
PYTHON ?= python3
VENV   ?= .venv
BIN     = $(VENV)/bin
STAMP   = $(VENV)/.installed
PIP     = $(BIN)/python -m pip install --quiet --disable-pip-version-check
# one file goes to one worker: its fixtures are made once
PYTEST  = $(BIN)/python -m pytest -n 2 --dist loadfile
# compiled once, not by every process that tests start; an environment may say otherwise
export PYTHONDONTWRITEBYTECODE =

.PHONY: help demo test check lint types bench slow docs contracts clean

help:  ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 10

$(STAMP): requirements.txt pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) -r requirements.txt
	$(PIP) --no-deps -e .
	touch $(STAMP)

demo: $(STAMP)  ## one winter evening on a real street, three times; leaves a report
	$(BIN)/twin run scenarios/winter_evening.yaml --out runs/winter_evening --replace

test: $(STAMP)  ## all quick tests
	$(PYTEST) -m "not slow"

lint: $(STAMP)  ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)  ## mypy, strict
	$(BIN)/mypy

check: lint types test  ## lint, types and tests: what must hold before a commit

slow: $(STAMP)  ## real components: a browser, long fuzzing, the README's commands (exit 5: no such test)
	$(PYTEST) -m slow --timeout 900 || test $$? -eq 5

bench: $(STAMP)  ## milliseconds per interval against mosaik-pandapower-2
	$(BIN)/python -m benchmarks

docs: $(STAMP)  ## rewrite the generated part of docs/reference
	$(BIN)/python docs/generate.py

contracts:  ## compile the contracts anew (development only: needs npm; what they compile to is shipped)
	cd adapters/chain/contracts && npm install --no-package-lock --silent && node build.js

clean:  ## remove the environment, runs and caches
	rm -rf $(VENV) runs build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
