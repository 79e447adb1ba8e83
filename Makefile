# Two commands do everything, set-up included: `make run` and `make test`.
.DEFAULT_GOAL := help
.PHONY: help setup run test test-slow test-all check docs audit sbom bench bench-dlt bench-table bench-guard torture soak failover failover-long streams-long format reference clean

UV_VERSION := 0.13.9
PIP_AUDIT_VERSION := 2.9.0
DLT_VERSION := 1.31.0
UV := .tools/bin/uv
BIN := .venv/bin
PYTHON ?= python3
export UV_PROJECT_ENVIRONMENT := .venv
export UV_LINK_MODE := copy
export UV_COMPILE_BYTECODE := 1
export UV_PYTHON_DOWNLOADS := never
# Byte code is kept, whatever the shell says: tests start thousands of processes, each would compile all of src again, and
# each worker of pytest rewrite every assertion.
export PYTHONDONTWRITEBYTECODE :=

help: ## List the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

$(UV):
	@$(PYTHON) -m pip --version >/dev/null 2>&1 || { echo "installing pip"; apt-get update -qq && apt-get install -y -qq --no-install-recommends python3-pip >/dev/null; }
	@$(PYTHON) -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --target .tools uv==$(UV_VERSION)

.venv/.ready: pyproject.toml uv.lock | $(UV)
	@$(UV) sync --quiet --frozen --all-extras --all-groups --python $(PYTHON)
	@touch $@

setup: .venv/.ready ## Make the environment in .venv

run: setup ## The daemon at work: a demo casino in SQLite, the sandbox API, the status page
	@exec $(BIN)/sync demo

servers: setup
	@tests/servers/provision

# Some tests wait for a server or a clock; every worker imports all tests and starts servers of its own.
CORES := $(shell nproc 2>/dev/null || echo 2)
WORKERS ?= $(shell expr $(CORES) \* 3 / 2)

# A busy machine can keep a test from its server for longer than it waits. What failed among others goes once more, alone, and
# is named by both summaries; what fails again fails the run. Any other end (exit code above 1) is final.
ALONE := { [ $$? -eq 1 ] || exit 2; echo "once more, alone: what failed among others"; \
	SYNC_TEST_REQUIRE= $(BIN)/python -m pytest --last-failed --last-failed-no-failures none --randomly-seed=last -m

test: servers ## The tests, on a real PostgreSQL (installed by apt when it is missing)
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -m "not slow" || $(ALONE) "not slow"; }

test-slow: setup ## The slow tests, and those on stand-ins of about 2 GB, which it installs in .servers and keeps
	@tests/servers/provision all
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -m slow || $(ALONE) slow; }

test-all: test test-slow ## Every test, on every database that can be had

check: setup ## The gates: style, types, import rules, generated references, links of the documentation
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m smartico_sync.config.reference
	$(BIN)/python -m smartico_sync.cli.manual
	$(BIN)/sphinx-build $(SITE)

SITE := --quiet --fresh-env --write-all --fail-on-warning --keep-going --doctree-dir .sphinx docs site

docs: setup ## The documentation as a site, in site/: open site/index.html
	$(BIN)/sphinx-build $(SITE)

# What an installation consists of: every dependency of every extra, at the version and with the hashes of uv.lock.
EXPORT := $(UV) export --quiet --frozen --no-dev --all-extras --no-emit-project

audit: $(UV) ## Known vulnerabilities of what we install, as the package index tells them
	@mkdir -p dist
	$(EXPORT) --output-file dist/requirements.txt
	$(UV) tool run pip-audit==$(PIP_AUDIT_VERSION) --disable-pip --require-hashes --requirement dist/requirements.txt

sbom: $(UV) ## What an installation consists of, as CycloneDX in dist/sbom.json
	@mkdir -p dist
	$(EXPORT) --format cyclonedx1.5 --output-file dist/sbom.json

# dlt pins what we do not, and is no part of the project: an environment of its own.
.bench-dlt/.ready: | $(UV)
	@$(UV) venv --quiet --clear --python $(PYTHON) .bench-dlt
	@$(UV) pip install --quiet --python .bench-dlt/bin/python "dlt[sql_database]==$(DLT_VERSION)" "psycopg[binary]" pyarrow httpx orjson cryptography
	@touch $@

bench-dlt: .bench-dlt/.ready ## The environment in which make bench runs dlt beside the daemon

bench: setup bench-dlt ## Everything against loops that people write, in one run; ends with the table of what we aim at
	@tests/servers/provision all
	PYTHONPATH=tests $(BIN)/python -m bench.suite all

bench-table: servers bench-dlt ## Less than 25 minutes of it: that table alone, of fewer runs
	PYTHONPATH=tests $(BIN)/python -m bench.suite table

bench-guard: servers ## Two minutes of it: fails where the daemon costs more CPU than it may, against a loop
	BENCH_ROWS=200000 BENCH_PROFILES=80000 BENCH_RUNS=3 PYTHONPATH=tests $(BIN)/python -m bench guard

torture: servers ## Rows lost by every way to poll, on a replica under writers that do their worst
	PYTHONPATH=tests $(BIN)/python -m bench.torture

soak: servers ## Ten minutes at 2,000 events a second while a fifth of the API's answers are faulty
	PYTHONPATH=tests $(BIN)/python -m bench.soak

failover: servers ## Two members under load, and everything between them fails in turn; how long each takeover lasts
	PYTHONPATH=tests $(BIN)/python -m bench.failover

failover-long: servers ## The same at a lease of 2 s: 50 kills and 100 stops, then the rest; half an hour
	PYTHONPATH=tests $(BIN)/python -m bench.failover --lease 2 --rounds 50 --only killed stopped stopped
	PYTHONPATH=tests $(BIN)/python -m bench.failover --rounds 6

streams-long: servers ## 50 kills on each broker, members that come and go for two minutes; a quarter of an hour
	SYNC_TEST_KILLS=50 SYNC_TEST_TURNS=24 $(BIN)/python -m pytest -m slow --timeout 1800 -k "kill or come_and_go" \
		tests/daemon/test_kafka_crashes.py tests/daemon/test_kafka_members.py tests/daemon/test_rabbitmq.py

format: setup ## Format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

reference: setup ## Write the schema, the references and the manual page again from the models and commands
	$(BIN)/python -m smartico_sync.config.reference --write
	$(BIN)/python -m smartico_sync.cli.manual --write

clean: ## Remove what the targets made
	rm -rf .venv .bench .bench-dlt .tools .sphinx site .mypy_cache .ruff_cache .pytest_cache .hypothesis
