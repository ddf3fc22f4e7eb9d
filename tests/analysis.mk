# Analysers of the contracts. Each has its own environment below .tools; all comes from npm and PyPI.
# forge's npm package holds one binary; here the one for Linux on x86-64.

FORGE_VERSION := 1.7.1
export PATH := $(CURDIR)/.tools/forge/node_modules/@foundry-rs/forge-linux-amd64/bin:$(PATH)

.PHONY: coverage slither proofs

.tools/forge/.installed: node_modules/.installed
	npm install --silent --no-save --prefix .tools/forge @foundry-rs/forge-linux-amd64@$(FORGE_VERSION)
	@touch $@

.tools/slither/.installed:
	$(PYTHON) -m venv .tools/slither
	.tools/slither/bin/pip install --quiet slither-analyzer==0.11.6
	@touch $@

slither: .tools/forge/.installed .tools/slither/.installed ## static analysis: every finding must be explained
	rm -rf .tools/out/slither .tools/cache/slither
	SYNTAX_ONLY=1 forge build --quiet
	python tests/slither/check.py .tools/slither/bin/slither

.tools/halmos/.installed: tests/proofs/requirements.txt
	$(PYTHON) -m venv .tools/halmos
	.tools/halmos/bin/pip install --quiet --requirement tests/proofs/requirements.txt
	@touch $@

proofs: .tools/forge/.installed .tools/halmos/.installed ## prove money and signature rules with halmos, refute planted bugs
	python -m tests.proofs.run .tools/halmos

coverage: node_modules/.installed ## branch coverage of the contracts by the Solidity tests (ten minutes)
	python -m tests.coverage
