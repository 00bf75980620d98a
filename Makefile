# make quickstart: install and train a first student (minutes). make test: the test suite. make check: ruff and mypy.

PYTHON ?= python3
BIN = .venv/bin

.PHONY: install quickstart test slow check clean

install: .venv/installed

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[quickstart,dev]"
	touch $@

quickstart: install
	$(BIN)/distill run recipes/quickstart.yaml --resume

test: install
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist worksteal -m "not slow"

slow: install
	$(BIN)/python -m pytest -m slow

check: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean:
	rm -rf .venv build dist
