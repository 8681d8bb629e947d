# Every target makes the environment it needs. `make help` lists them.
.DEFAULT_GOAL := help
.PHONY: help setup demo analyse bench bench-gpu bench-memory bench-scaling reproduce reproduce-fig1 reproduce-fig2 reproduce-fig3 review plan-fig1 plan-fig2 plan-fig3 test lint unit tools slow clean

VENV ?= .venv
BIN := $(VENV)/bin
# The first Python here that the package supports; make setup PYTHON=python3.12 chooses another
PYTHON ?= $(shell for p in python3.12 python3.11 python3.13 python3; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2>/dev/null && echo $$p && break; done)
# For the reproduce and plan targets: make reproduce-fig2 DATA_ROOT=~/data SEEDS=0,1,2 EXTRA='device=cuda:1'
DATA_ROOT ?=
SEEDS ?=
EXTRA ?=
# For the analyse target: the study whose networks are measured
FOLDER ?= outputs/demo
# For the review target: reference results to compare with
REFERENCE ?= docs/results/stl10-paper
# Four workers on two cores, for many tests wait for processes; a file's tests run in one worker, the longest files first
PYTEST = OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 4 --dist loadscope --no-loadscope-reorder
STUDY = $(BIN)/python -m pdenet_repro -m $(if $(DATA_ROOT),'data.root=$(DATA_ROOT)') $(if $(SEEDS),seed=$(SEEDS)) $(EXTRA)

help: ## show this list
	@grep -hE '^[a-z][a-z0-9 -]*:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | awk -F'\t' '{sub(/ .*/, "", $$1); printf "  make %-15s %s\n", $$1, $$2}'

setup: $(VENV)/installed ## create .venv with the pinned versions (about 6 GB with PyTorch's GPU libraries)

$(VENV)/installed: pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "needs Python 3.11, 3.12 or 3.13; none was found (name one with PYTHON=...)" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,cluster]'
	@touch $@

demo: setup ## a small study on the built-in images: figures and report in outputs/demo (minutes)
	$(BIN)/python -m pdenet_repro -m study=demo

analyse: setup ## what the theory promises, measured on trained networks (after make demo; or FOLDER=outputs/stl10-paper)
	$(if $(filter outputs/demo,$(FOLDER)),$(BIN)/python -m pdenet_repro -m study=demo dynamic=resnet data.fraction=0.2) # the control
	$(BIN)/python -m pdenet_repro.analysis all '$(FOLDER)'

reproduce-fig1 reproduce-fig2 reproduce-fig3: reproduce-%: setup ## Figure 1 of the paper, on STL-10 (and -fig2, -fig3)
	$(STUDY) study=$*

reproduce: setup ## Figures 1 to 3 on STL-10 (DATA_ROOT=FOLDER SEEDS=0,1,2 EXTRA='key=value ...')
	$(STUDY) study=all

plan-fig1 plan-fig2 plan-fig3: plan-%: setup ## what Figure 1 still needs, how long that takes here; starts nothing (-fig2, -fig3)
	$(STUDY) study=$* --plan

review: setup ## a reviewer's two hours: three networks on a tenth of STL-10, compared with the reference (DATA_ROOT=FOLDER)
	@find '$(REFERENCE)' -path '*/fraction-0.10/seed-0/summary.json' | grep -q . || { echo "$(REFERENCE): holds no reference run on a tenth of STL-10; name the folder of the published study with REFERENCE=FOLDER" >&2; exit 2; }
	$(STUDY) dynamic=parabolic,hamiltonian,second_order data.fraction=0.1 precision=bfloat16 name=review
	$(BIN)/python -m pdenet_repro.report outputs/review --compare '$(REFERENCE)'

bench: setup ## speed of training on the CPU: a plain loop, this package, the bound (about 40 minutes)
	$(BIN)/python scripts/benchmark_training.py

bench-gpu: setup ## the same on a GPU, with tf32 and bfloat16 (minutes)
	$(BIN)/python scripts/benchmark_training.py --device cuda --batches 128 --steps 10 --output outputs/benchmarks/training-gpu.json

$(VENV)/bench-installed: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[bench]'
	@touch $@

bench-memory: setup $(VENV)/bench-installed ## memory and time of backpropagation, against MemCNN and RevTorch (minutes)
	$(BIN)/python scripts/benchmark_memory.py --plot

bench-scaling: setup ## how time and memory grow with batch, steps, width, resolution, images (minutes)
	$(BIN)/python scripts/benchmark_scaling.py --plot

lint: setup ## ruff and mypy --strict
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

unit: setup ## the tests that take seconds
	$(PYTEST) -m "not slow"

tools: ## as root, with apt: a browser and SLURM, which some tests start (otherwise those tests are skipped)
	@scripts/install_test_tools.sh

slow: setup tools ## the tests that train, start processes, a browser or a one-node SLURM
	$(PYTEST) -m slow

test: lint tools ## lint, types, all tests (as root it runs tools; PDENET_DATA_ROOT=FOLDER adds the real images)
	$(PYTEST)

clean: ## remove the environment and caches, keep outputs
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache
	find src tests scripts -name __pycache__ -prune -exec rm -rf {} +
