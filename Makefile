# make repro: everything, on all cores. make test, make check: before a commit. make install: the environment alone.
SHELL := bash
.SHELLFLAGS := -eo pipefail -c
PYTHON ?= python3
VENV ?= .venv
# One cell for each GPU, else for each core.
JOBS ?= $(or $(filter-out 0,$(shell (nvidia-smi --list-gpus 2>/dev/null || true) | wc -l)),$(shell nproc))
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)

.PHONY: install repro test check

install: $(VENV)/installed

$(VENV)/installed: requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "make: found Python %d.%d, expected 3.11 or 3.12 (make PYTHON=...)" % sys.version_info[:2])'
	$(PYTHON) -m venv $(VENV)
	pip install --quiet --disable-pip-version-check --requirement requirements.txt
	touch $@

# Cells take one thread each: small models gain nothing from a second. Through a pipe they show no bar but a line each.
CELLS = grep -E '^(train_|sweep_|baselines)'
EACH = OMP_NUM_THREADS=1 xargs -P $(JOBS) --process-slot-var=CUDA_VISIBLE_DEVICES -I{} dvc --wait-for-lock repro -q -s {} 2>&1

repro: install
	dvc repro check preprocess
	dvc stage list --name-only | $(CELLS) | $(EACH) | awk -v of=$$(dvc stage list --name-only | $(CELLS) -c) '{ print "[" NR "/" of "] " $$0; fflush() }'
	dvc stage list --name-only | grep -E '^evaluate_' | $(EACH) | cat
	dvc repro
	@sed '/^## /,$$d' reports/README.md
	@echo "Open reports/README.md"

test: install
	pytest

check: install
	ruff check .
	ruff format --check .
	mypy
