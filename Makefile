# What people run. `make nightly` and `make test` set everything up themselves on a machine with Python 3.11+ and make.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
export P20W_HOME ?= $(CURDIR)/state

.PHONY: setup nightly nightly-real test test-full bench-linkage bench-disclosure bench-loss bench-identity ui lock lint demo clean

setup: $(VENV)/.ready

# The lock is installed only when it, or the project file, changed.
$(VENV)/.ready: requirements.lock pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --disable-pip-version-check -q --require-hashes -r requirements.lock
	$(BIN)/pip install --disable-pip-version-check -q --no-deps -e .
	$(BIN)/p20w setup
	@touch $@

demo: setup            ## make the synthetic state's deliveries, once
	$(BIN)/p20w demo --if-missing

nightly: demo          ## the main job: from deliveries to a published release
	$(BIN)/p20w nightly
	@test -e $(P20W_HOME)/releases/current || { echo "No release was published: see 'p20w status' and $(P20W_HOME)/evidence."; exit 1; }

nightly-real: export P20W_HOME = $(CURDIR)/state-real
nightly-real: setup    ## the same job on real third-party files
	$(BIN)/p20w nightly --real
	@test -e $(P20W_HOME)/releases/current || { echo "No release was published from the real files."; exit 1; }

test: setup            ## the suite: no network, no secrets
	$(BIN)/python -m pytest

test-full: setup       ## the suite with its slow part
	$(BIN)/python -m pytest -m ""

bench-linkage: setup   ## the linkage engine beside others on published sets; writes build/bench/linkage.json
	$(BIN)/python tests/bench/bench_linkage.py

bench-identity: setup  ## what a night of identity costs at 1 and 10 million records; writes build/bench/identity.json
	$(BIN)/python tests/bench/bench_identity.py

bench-disclosure: setup ## protection of a table of counts at 0.14 to 7 million cells; writes build/bench/disclosure.json
	$(BIN)/python tests/bench/bench_disclosure.py

bench-loss: setup      ## how much protection hides beside other ways to choose; writes build/bench/loss.json
	$(BIN)/python tests/bench/bench_loss.py

lint: setup
	$(BIN)/ruff check . && $(BIN)/ruff format --check .

ui: setup              ## the orchestrator's own pages on this machine
	$(BIN)/p20w ui

lock:                  ## make requirements.lock from pyproject.toml; needs uv
	uv pip compile --universal --no-strip-extras --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-header --extra test pyproject.toml -o requirements.lock

clean:                 ## remove what can be made again; never a home
	rm -rf build .pytest_cache .ruff_cache dbt_project/target dbt_project/logs
