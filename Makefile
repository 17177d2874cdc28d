# Two commands need nothing but Python 3.10+ and make:
#   make demo   indexes real text and answers questions
#   make test   runs the tests (without PyTorch; make test-training installs it and runs the rest)

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
QUIET_PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

# PyTorch is pinned and installed first, so that one build serves everywhere.
TORCH := torch==2.13.0
TORCH_TESTS := $(wildcard tests/training tests/encoders)

.PHONY: demo test test-training lint docs clean

demo: $(VENV)/.core
	$(BIN)/sparsearch demo

test: $(VENV)/.dev
	$(BIN)/python -m pytest -n 2 --dist worksteal

test-training: $(VENV)/.train
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal $(TORCH_TESTS)

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/hadolint deploy/Dockerfile

docs: $(VENV)/.dev
	$(BIN)/python docs/generate_cli_reference.py

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 14))' \
	  || { echo "sparsearch needs Python 3.10 to 3.13: make PYTHON=/path/to/python3"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.core: pyproject.toml $(VENV)/bin/python
	$(QUIET_PIP) --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.core
	$(QUIET_PIP) --editable '.[dev]'
	@touch $@

$(VENV)/.train: $(VENV)/.dev
	$(QUIET_PIP) $(TORCH)
	$(QUIET_PIP) --editable '.[train]'
	@touch $@
