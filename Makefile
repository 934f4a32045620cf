# Every target sets up what it needs: a fresh clone and one command are enough.
PYTHON ?= python3
BIN = .venv/bin
TORCH_THREADS ?= 1

.PHONY: help setup demo test verify check format docs clean

help: ## print this list
	@grep -E '^[a-z]+:.*## ' Makefile | sed -E 's/:[^#]*## /\t/' | expand -t 10

.venv/installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade "pip>=24"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[offline-agent,map,dev]"
	touch $@

setup: .venv/installed ## make a virtual environment with everything that demo, test and check need

demo: setup ## run the whole pipeline on the built-in synthetic world; writes runs/demo/report.html
	$(BIN)/roadstill demo

# Files run in the order of their names: xdist would leave those with few, long tests to the end.
test: setup ## run all tests but those marked slow
	OMP_NUM_THREADS=$(TORCH_THREADS) $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

# Hours, beyond the suite; FUZZ_SECONDS is for each target of fuzzing.
FUZZ_SECONDS ?= 1200
verify: setup ## run the long tests: those marked slow, every command killed at ten moments, fuzzing
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[fuzz]"
	OMP_NUM_THREADS=$(TORCH_THREADS) $(BIN)/python -m pytest -m slow
	rm -rf runs/verify && mkdir -p runs/verify
	OMP_NUM_THREADS=1 $(BIN)/python tests/helpers/kill_cases.py runs/verify/kills --json runs/verify/kills.json
	OMP_NUM_THREADS=1 $(BIN)/python tests/helpers/kill_processes.py runs/verify/processes
	OMP_NUM_THREADS=1 $(BIN)/python tests/fuzz/run.py $(FUZZ_SECONDS)

check: setup ## check format, lint, types and floors
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup ## format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: setup ## build the documentation as a web site under site/
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[docs]"
	$(BIN)/mkdocs build --strict

clean: ## remove the environment and all runs
	rm -rf .venv runs site
