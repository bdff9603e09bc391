# make repro: everything, on all cores. make benchmarks: the study over data sets. make systems: the literature's systems.
# make preset NAME=cub-hypvit: settings of the literature. make test, make check: before a commit. make install: the environment.
SHELL := bash
.SHELLFLAGS := -eo pipefail -c
PYTHON ?= python3
VENV ?= .venv
# One cell for each GPU, else for each core.
GPUS := $(shell (nvidia-smi --list-gpus 2>/dev/null || true) | wc -l)
JOBS ?= $(if $(filter 0,$(GPUS)),$(shell env -u OMP_NUM_THREADS nproc),$(GPUS))
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)

.PHONY: install repro benchmarks systems preset test check

install: $(VENV)/installed

$(VENV)/installed: requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13) and "make: found Python %d.%d, expected 3.11 or 3.12 (make PYTHON=...)" % sys.version_info[:2])'
	$(PYTHON) -m venv $(VENV)
	pip install --quiet --disable-pip-version-check --requirement requirements.txt
	touch $@

# Cells take one thread each: small models gain nothing from a second. Three to a call of dvc save its start.
LIST = dvc stage list --name-only $(FLOW) | grep -E
CELLS = $(LIST) '(^|:)(train|sweep|baselines)([_@]|$$)'
PIN = $(if $(filter-out 0,$(GPUS)),export CUDA_VISIBLE_DEVICES=$$((SLOT % $(GPUS)));)
EACH = OMP_NUM_THREADS=1 xargs -P $(JOBS) --process-slot-var=SLOT sh -c '$(PIN) exec dvc --wait-for-lock repro -q -s "$$@" 2>&1' sh
PREPARE = $(LIST) '(^|:)preprocess(@|$$)' | xargs dvc repro check
define RUN
	$(PREPARE)
	$(CELLS) | $(EACH:xargs=xargs -n 3) | { of=$$($(CELLS) -c); while read -r line; do echo "[$$((++n))/$$of] $$line"; done; }
	$(LIST) '(^|:)evaluate_' | $(EACH:xargs=xargs -n 1) | cat
	dvc repro $(FLOW)
endef

repro: FLOW = dvc.yaml
repro: install
	$(RUN)
	@sed '/^## /,$$d' reports/README.md
	@echo "Open reports/README.md"

benchmarks: FLOW = studies/benchmarks/dvc.yaml
benchmarks: install
	$(RUN)
	@for page in reports/benchmarks/*/README.md; do sed '/^## /,$$d' "$$page"; done
	@echo "Open reports/benchmarks/<dataset>/README.md"

systems: FLOW = studies/systems/dvc.yaml
systems: PREPARE = dvc repro check preprocess evaluate_baselines
systems: install
	$(RUN)
	@sed '/^## /,$$d' reports/systems.md
	@echo "Open reports/systems.md"

preset: install
	python -m stages.preset $(NAME)

test: install
	pytest --numprocesses 2 --dist loadfile

check: install
	ruff check .
	ruff format --check .
	mypy
