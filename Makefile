# make repro: everything, on all cores. make preset NAME=cub-hypvit: settings of the literature. make test, make check: before a commit. make install: the environment alone.
SHELL := bash
.SHELLFLAGS := -eo pipefail -c
PYTHON ?= python3
VENV ?= .venv
# One cell for each GPU, else for each core.
GPUS := $(shell (nvidia-smi --list-gpus 2>/dev/null || true) | wc -l)
JOBS ?= $(if $(filter 0,$(GPUS)),$(shell env -u OMP_NUM_THREADS nproc),$(GPUS))
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)

.PHONY: install repro preset test check

install: $(VENV)/installed

$(VENV)/installed: requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13) and "make: found Python %d.%d, expected 3.11 or 3.12 (make PYTHON=...)" % sys.version_info[:2])'
	$(PYTHON) -m venv $(VENV)
	pip install --quiet --disable-pip-version-check --requirement requirements.txt
	touch $@

# Cells take one thread each: small models gain nothing from a second. Three to a call of dvc save its start.
CELLS = dvc stage list --name-only | grep -E '^(train_|sweep_|baselines)'
STUDIES = dvc stage list --name-only | grep -E '^evaluate_'
PIN = $(if $(filter-out 0,$(GPUS)),export CUDA_VISIBLE_DEVICES=$$((SLOT % $(GPUS)));)
EACH = OMP_NUM_THREADS=1 xargs -P $(JOBS) --process-slot-var=SLOT sh -c '$(PIN) exec dvc --wait-for-lock repro -q -s "$$@" 2>&1' sh

repro: install
	dvc repro check preprocess
	$(CELLS) | $(EACH:xargs=xargs -n 3) | { of=$$($(CELLS) -c); while read -r line; do echo "[$$((++n))/$$of] $$line"; done; }
	$(STUDIES) | $(EACH:xargs=xargs -n 1) | cat
	dvc repro
	@sed '/^## /,$$d' reports/README.md
	@echo "Open reports/README.md"

preset: install
	python -m stages.preset $(NAME)

test: install
	pytest --numprocesses 2 --dist loadfile

check: install
	ruff check .
	ruff format --check .
	mypy
