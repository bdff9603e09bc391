# make repro: the default flow, on all cores. make tune: geometries tuned, and their winners. make datasets: the same on others.
# make lineage: the same on hierarchies. make trial: the same on the features of a frozen backbone, in minutes.
# make adopt GEOMETRY=dot: a winner's settings into params.yaml.
# make further: tau with curvature, dimensions, number of negatives. make kernel: photographs. make systems: the literature's systems.
# make preset NAME=cub-hypvit: settings of the literature. make test, make check: before a commit. make install: the environment.
SHELL := bash
.SHELLFLAGS := -eo pipefail -c
PYTHON ?= python3
VENV ?= .venv
# One group of cells for each GPU, else for each core.
GPUS := $(shell (nvidia-smi --list-gpus 2>/dev/null || true) | wc -l)
JOBS ?= $(if $(filter 0,$(GPUS)),$(shell env -u OMP_NUM_THREADS nproc),$(GPUS))
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)

.PHONY: install repro tune datasets lineage trial kernel further systems adopt preset test check

install: $(VENV)/installed

$(VENV)/installed: requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13) and "make: found Python %d.%d, expected 3.11 or 3.12 (make PYTHON=...)" % sys.version_info[:2])'
	$(PYTHON) -m venv $(VENV)
	pip install --quiet --disable-pip-version-check --requirement requirements.txt
	pip install --quiet --disable-pip-version-check --no-deps --editable .
	touch $@

# Cells take one thread each: small models gain nothing from a second. What several of them need is made first.
LIST = dvc stage list --name-only $(FLOW) | grep -E
CELLS = $(LIST) '(^|:)(baselines|$(STUDIES))(@|$$)'
STUDIES = train
PIN = $(if $(filter-out 0,$(GPUS)),export CUDA_VISIBLE_DEVICES=$$((SLOT % $(GPUS)));)
EACH = OMP_NUM_THREADS=1 xargs -n 1 -P $(JOBS) --process-slot-var=SLOT sh -c '$(PIN) exec dvc --wait-for-lock repro -q -s "$$@" 2>&1' sh
# EACH without its exec, so that a line can follow when a cell ends: stages.count counts these.
EACH_CELL = $(subst exec dvc,dvc,$(subst 2>&1,2>&1; code=$$?; echo "ended $$1 $$code"; exit $$code,$(EACH)))
define RUN
	python -m stages.mend
	dvc repro $(FIRST)
	@cells=$$(python -m stages.plan --jobs $(JOBS) $$($(CELLS))); \
	[ -z "$$cells" ] || $(EACH_CELL) <<< "$$cells" | python -m stages.count $$(wc -l <<< "$$cells")
	$(LIST) '(^|:)evaluate' | $(EACH) | cat
	dvc repro $(FLOW)
endef
# Tuning: each geometry of a data set is a chain of stages, named set@geometry, and chains run side by side. A chain begins
# where it was stopped. A data set has a folder with its name, its lock and a copy of the flow; OWN makes and renews them.
# Winners are evaluated one data set after the other, because each takes all cores.
CHAIN = propose_1@ trials@-1 propose_2@ trials@-2 propose_3@ trials@-3 choose@ winners@
NAMES = $(foreach set,$(SETS),$(addprefix $(set)@,$(call PARAM,*v['tune']['geometries'])))
# Of its stages those that train.
TRAINED = $(foreach set,$(SETS),$(foreach one,$(call PARAM,*v['tune']['geometries']),\
	$(addprefix flows/tune/$(set)/dvc.yaml:,trials@$(one)-1 trials@$(one)-2 trials@$(one)-3 winners@$(one))))
AT = $(foreach set,$(SETS),$(addprefix flows/tune/$(set)/dvc.yaml:,$(1)))
OWN = for set in $(SETS); do at=flows/tune/$$set; mkdir -p $$at; \
	echo "set: $$set" > $$at/set.yaml; cp flows/tune/flow.yaml $$at/dvc.yaml; done
# Nothing is made of a data set without a budget; without any, DVC would run the default flow.
KNOWN = for set in $(filter-out $(call PARAM,*v['tune']['of']['sets']),$(or $(SETS),nothing)); do \
	echo "make $@: found $$set, expected data sets of tune.of.sets" >&2; exit 1; done
define TUNE
	python -m stages.mend
	@$(KNOWN)
	@$(OWN)
	dvc repro check $(addprefix flows/data/dvc.yaml:page@,$(OF) $(SETS))
	dvc repro $(call AT,divide baselines)
	@cells=$$(python -m stages.plan --jobs $(words $(wordlist 1,$(JOBS),$(NAMES))) $(TRAINED)); export cells; \
	printf '%s\n' $(NAMES) | xargs -n 1 -P $(JOBS) --process-slot-var=SLOT bash -c '$(PIN) export OMP_NUM_THREADS=1; \
		set=$${1%@*} geometry=$${1#*@}; for stage in $(CHAIN); do name=flows/tune/$$set/dvc.yaml:$${stage/@/@$$geometry}; \
			dvc --wait-for-lock repro -q -s "$$name" 2>&1; code=$$?; \
			if grep -qxF "$$name" <<< "$$cells"; then echo "ended $$name $$code"; fi; \
			[ $$code = 0 ] || exit; done' bash | python -m stages.count $$(grep -c . <<< "$$cells")
	printf '%s\n' $(call AT,evaluate_baselines) | $(EACH)
	dvc repro -q -s $(call AT,evaluate)
	dvc repro $(ALONE) $(call AT,page_search page verdict)
	$(FRONT)
endef
# The first page, over all verdicts.
define FRONT
	dvc repro -s flows/front/dvc.yaml:front
	@sed '/^## /,$$d' reports/README.md
	@echo "Open reports/README.md"
endef
# What is wrong with params.yaml is said by the first line of a recipe, not here.
PARAM = $(shell $(VENV)/bin/python -c "from ruamel.yaml import YAML; from pathlib import Path; v = YAML(typ='safe').load(Path('params.yaml')); print($(1))" 2>/dev/null)

repro: FLOW = dvc.yaml
repro: FIRST = check flows/data/dvc.yaml:page@$(call PARAM,v['dataset']) \
	$(addprefix flows/data/dvc.yaml:preprocess@,$(call PARAM,*v['control']['of']['sets']))
repro: STUDIES = $(call PARAM,'|'.join(v['study']))|control
repro: install
	$(RUN)
	@sed '/^## /,$$d' reports/$(call PARAM,v['dataset'])/README.md
	@echo "Open reports/$(call PARAM,v['dataset'])/README.md"

# tune: the data set of the default flow; lineage: those whose relevance is lineage; datasets: all others.
tune: SETS = $(call PARAM,v['dataset'])
datasets: SETS = $(call PARAM,*(s for s in v['tune']['of']['sets'] if s not in (v['dataset'], 'features') and v['tune']['own'][s].get('relevance') != 'lineage'))
lineage: SETS = $(call PARAM,*(s for s in v['tune']['of']['sets'] if s != 'features' and v['tune']['own'][s].get('relevance') == 'lineage'))
tune datasets lineage: install
	$(TUNE)

# Features, and the data set that they are of. The calibration is the committed one: pages are run without what is upstream.
trial: SETS = features
trial: OF = $(call PARAM,v['features']['dataset'])
trial: ALONE = -s
trial: install
	$(TUNE)
	dvc repro -s flows/trial/dvc.yaml:trial
	@sed '/^## /,$$d' reports/features/trial/README.md
	@echo "Open reports/features/trial/README.md"

kernel: FLOW = flows/kernel/dvc.yaml
kernel: FIRST = check $(addprefix flows/data/dvc.yaml:page@,$(call PARAM,*v['kernel']['of']['sets']))
kernel: install
	$(RUN)
	@for page in reports/*/kernel/README.md; do sed '/^## /,$$d' "$$page"; done
	@echo "Open reports/<dataset>/kernel/README.md"

further: FLOW = flows/further/dvc.yaml
further: FIRST = check evaluate_baselines
further: STUDIES = $(call PARAM,'|'.join(v['further']))
further: install
	$(RUN)
	@echo "Open reports/<dataset>/tau_curvature/README.md and dimension/README.md beside it"

# Each tuned system is a chain of stages; published rows are cells of their own. Both run side by side, what costs most first.
SYSTEMS = flows/systems/dvc.yaml
systems: FLOW = $(SYSTEMS)
systems: STUDIES = train|train_tuned
systems: install
	python -m stages.mend
	dvc repro check evaluate_baselines $(SYSTEMS):settle
	@{ printf '%s\n' $(addprefix $(SYSTEMS):trials@,$(call PARAM,*v['systems']['tuned']['names'])); $(CELLS); } | \
		xargs python -m stages.plan --jobs $(JOBS) > /dev/null
	{ printf '%s\n' $(call PARAM,*v['systems']['tuned']['names']) | \
		sed 's|.*|$(SYSTEMS):trials@& $(SYSTEMS):choose@& $(SYSTEMS):winners@&|'; \
		$(CELLS); } | xargs -L 1 -P $(JOBS) --process-slot-var=SLOT bash -c '$(PIN) export OMP_NUM_THREADS=1; \
		for stage in "$$@"; do dvc --wait-for-lock repro -q -s "$$stage" 2>&1 || exit; done' bash
	dvc repro $(FLOW)
	@sed '/^## /,$$d' reports/$(call PARAM,v['dataset'])/systems/README.md
	@echo "Open reports/<dataset>/systems/README.md"

adopt: install
	python -m stages.adopt --geometry $(GEOMETRY) $(addprefix --dataset ,$(DATASET))

preset: install
	python -m stages.preset $(NAME)

test: install
	python -m stages.mend
	pytest --numprocesses 2 --dist loadfile

check: install
	ruff check .
	ruff format --check .
	mypy
