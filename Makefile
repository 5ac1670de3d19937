# `make run` and `make test` need git, make and Python 3.11 to 3.13 with venv; everything else is built here.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/python -m uv
UV_VERSION := 0.13.9
# Each process has an app, an Argilla and a browser of its own; how many, and which files begin: tests/conftest.py.
SIDE_BY_SIDE := --maxprocesses 5 --dist loadfile --no-loadscope-reorder

# Unit tests write many small ledgers: to memory, where it has room for them, for a disk is waited for.
IN_MEMORY := $(shell [ "$$(df -Pm /dev/shm 2>/dev/null | awk 'NR == 2 {print $$4}')" -gt 1000 ] 2>/dev/null && \
	echo TMPDIR=/dev/shm)

.PHONY: run test test-full check unit coverage engines bench picture lock audit clean deploy

run: $(VENV)/.app
	$(BIN)/python app.py $(ARGS)

test: $(VENV)/.dev check
	$(BIN)/python -m tests.prepare
	$(BIN)/python -m pytest -m "not matrix" --numprocesses auto $(SIDE_BY_SIDE)

test-full: $(VENV)/.dev check
	$(BIN)/python -m tests.prepare
	$(BIN)/python -m pytest --numprocesses auto $(SIDE_BY_SIDE)

unit: $(VENV)/.dev
	$(IN_MEMORY) $(BIN)/python -m pytest -m "not matrix" -o tmp_path_retention_policy=failed \
		--numprocesses logical $(SIDE_BY_SIDE) tests/unit tests/handlers

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy app.py
	$(BIN)/lint-imports

# Without a browser: most of what ui/ does is said by handlers, which are functions.
coverage: $(VENV)/.dev
	$(BIN)/python -m tests.prepare
	rm -rf .coverage
	-$(BIN)/python -m coverage run -m pytest -m "not matrix" --numprocesses auto $(SIDE_BY_SIDE) \
		tests/unit tests/handlers tests/integration
	$(BIN)/python -m coverage combine --quiet
	$(BIN)/python -m coverage report --include "pipeline/*" | tail -1
	$(BIN)/python -m coverage report --include "ui/*" | tail -1

engines: $(VENV)/.app
	$(BIN)/python -m pipeline.base.install

# make deploy SPACE=user/name; options into ARGS, --yes for scripts.
deploy: $(VENV)/.app
	@$(BIN)/python -m pipeline deploy $(SPACE) $(ARGS)

picture: $(VENV)/.dev
	$(BIN)/python -m bench.picture

bench: $(VENV)/.dev
	$(BIN)/python -m bench

$(BIN)/uv:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' || \
		{ echo "Align Studio needs Python 3.11, 3.12 or 3.13: make PYTHON=python3.12 …"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
		{ echo "Python's venv is missing: apt-get install python3-venv, or brew install python@3.12"; exit 1; }
	$(BIN)/python -m pip install --quiet uv==$(UV_VERSION)

$(VENV)/.app: requirements.lock | $(BIN)/uv
	VIRTUAL_ENV=$(VENV) $(UV) pip install --quiet --require-hashes -r requirements.lock
	@touch $@

$(VENV)/.dev: requirements-dev.lock | $(BIN)/uv
	VIRTUAL_ENV=$(VENV) $(UV) pip install --quiet --require-hashes -r requirements-dev.lock
	@touch $(VENV)/.app $@

COMPILE := $(abspath $(BIN))/python -m uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-annotate --no-header

lock: $(BIN)/uv
	$(COMPILE) requirements.txt -o requirements.lock
	$(COMPILE) requirements-dev.txt -o requirements-dev.lock
	cd pipeline/engines/argilla_server && $(COMPILE) requirements.in --overrides overrides.txt --excludes excludes.txt \
		-o lock.txt
	cd pipeline/engines/lighteval && $(COMPILE) requirements.in --overrides overrides.txt --excludes excludes.txt -o lock.txt
	cd pipeline/engines/autotrain && $(COMPILE) requirements.in --excludes excludes.txt > lock.txt
	cd pipeline/engines/autotrain && $(COMPILE) autotrain.in --no-deps >> lock.txt  # its own needs are not wanted

# Published holes of what the locks hold: which remain, and why they do not reach us.
audit: $(VENV)/.dev
	$(BIN)/python -m audit $(ARGS)

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache
