# Two commands do everything on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.stamp
POSTGRES ?= /usr/lib/postgresql
SECONDS ?= 600
STEPS ?= 50000
SEEDS ?= 1000
# Tests wait for disks and other processes half of the time: two of them for each core.
WORKERS ?= $(shell $(PYTHON) -c 'import os; print(2 * os.cpu_count())')

.PHONY: setup postgres demo test check conformance-heat conformance-exosphere bench bench-exosphere grind simulate prove guards lock clean

setup: $(STAMP)

$(STAMP): pyproject.toml requirements/dev.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $(STAMP)

# The programs from which tests start databases of their own; nothing happens where they are there.
postgres:
	@.ci/postgres $(POSTGRES)

demo: setup
	$(BIN)/python examples/demo.py

test: setup postgres
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal --durations=20 tests

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# The published HEAT client, unmodified, against a real server; needs node, of the version that its package.json names.
conformance-heat: setup
	npm ci --prefix conformance/heat --no-progress
	$(BIN)/python -m pytest conformance/heat

# The published SDK of Exosphere, pinned, in an environment of its own (Python >= 3.12), as processes on real servers.
# SHORT=1: without what takes minutes.
conformance-exosphere: setup
	$(BIN)/python conformance/exosphere/environment.py
	$(BIN)/python -m pytest $(if $(SHORT),-m "not long") conformance/exosphere

bench: setup postgres
	$(BIN)/python bench/run.py

# What the published SDK of Exosphere gets out of a server, and what that costs it.
bench-exosphere: setup
	$(BIN)/python conformance/exosphere/environment.py
	$(BIN)/python bench/exosphere.py

# Random graphs while servers, runners and databases are killed, on both stores in turn, with seeds that are printed.
grind: setup postgres
	PYTHONPATH=tests $(BIN)/python -m e2e.grinding $(SECONDS)

# So many random stories in virtual time, in which everything breaks; `python -m testing.simulated N` tells one again.
simulate: setup
	STOKER_SIMULATED=$(SEEDS) $(BIN)/python -m pytest -n auto -x --timeout 0 tests/testing/test_simulated.py

# So many random steps of the whole engine, judged by an oracle; what fails is made small.
prove: setup postgres
	STOKER_STEPS=$(STEPS) STOKER_SHRINK=1 $(BIN)/python -m pytest -x --timeout 0 tests/proofs/test_machine.py

# Break each guard on purpose, in a copy of the sources, and see its test fail.
guards: setup postgres
	PYTHONPATH=tests $(BIN)/python -m proofs.guards

# Compile the pinned, hashed requirements anew (no index addresses are written).
lock:
	uv pip compile --universal --generate-hashes --no-emit-index-url --no-header --extra server --extra postgres --group dev --group build pyproject.toml -o requirements/dev.txt
	uv pip compile --universal --generate-hashes --no-emit-index-url --no-header pyproject.toml -o requirements/runner.txt
	uv pip compile --universal --python-version 3.12 --generate-hashes --no-emit-index-url --no-header requirements/exosphere.in -o requirements/exosphere.txt

clean:
	rm -rf $(VENV) .demo
