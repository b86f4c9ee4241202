# On a machine with Python 3.11 to 3.13, make and git, each target sets up what it needs.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
PRESET ?= cuhk_small
LIGHT := click dvc psutil pydantic ruamel.yaml
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: help setup light reproduce cuhk push pull up test check lock ship picture seeds variants steps candidates cache \
	gpu-day rehearsal departures scoring use report scaling ready touched prepared labels baselines parallel engine slow sweep chaos choose study clean

help: ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 12

setup: $(READY) ## the environment, in .venv

$(READY): requirements.lock pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --require-hashes -r requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	touch $(READY)

light: .venv-light/.ready ## what `dbdflow ci plan` alone needs, in .venv-light: seconds, without PyTorch

.venv-light/.ready: requirements.lock
	$(PYTHON) -m venv .venv-light
	.venv-light/bin/python -m pip install --quiet --disable-pip-version-check uv
	.venv-light/bin/uv pip install --quiet --python .venv-light/bin/python --constraint requirements.lock $(LIGHT)
	touch .venv-light/.ready

reproduce: setup ## the whole DAG by params.yaml (as shipped: the miniature), up to data/report/index.html
	dbdflow reproduce
	@echo "report: $(CURDIR)/data/report/index.html"

cuhk: setup ## CUHK for real on two cores (1.5 hours): make cuhk CUHK=FOLDER ENCODER=FILE [DUT=FOLDER]; docs/cuhk.md
	@cmp -s presets/$(PRESET).yaml params.yaml || git diff --quiet HEAD -- params.yaml || \
		{ echo "error: params.yaml has changes that are not committed; commit or undo them, it becomes presets/$(PRESET).yaml"; exit 2; }
	@test -n "$(CUHK)" -o -d data/archives/cuhk || { echo "error: CUHK: not named and not imported before; say make cuhk CUHK=FOLDER ENCODER=FILE, docs/cuhk.md says what of"; exit 2; }
	$(if $(CUHK),dbdflow import cuhk $(CUHK))
	$(if $(ENCODER),dbdflow import mobilenetv2_100 $(ENCODER))
	$(if $(DUT),dbdflow import dut $(DUT) --partial)
	cp presets/$(PRESET).yaml params.yaml
	dbdflow reproduce
	@echo "report: $(CURDIR)/data/report/index.html"

study: setup ## the ten claims of docs/study.md with several seeds: make study ARGS="--seeds 5" [CUHK=FOLDER ENCODER=FILE]
	$(if $(CUHK),dbdflow import cuhk $(CUHK))
	$(if $(ENCODER),dbdflow import mobilenetv2_100 $(ENCODER))
	dbdflow study $(ARGS)

push: setup ## the outputs that dvc.lock records, to the DVC remote (docs/sharing.md says how to name one)
	dbdflow push

pull: setup ## the same from the remote, on another machine; nothing is run
	dbdflow pull

up: setup ## Prefect's and MLflow's servers and pages, and a worker; Ctrl-C ends all
	dbdflow up

ship: setup ## RUN=NAME, a trained run: dbdflow/weights/small.safetensors, which `dbdflow predict` uses, and its card's tables
	python -m pipelines.commands.ship $(RUN)

picture: setup ## docs/examples.png: data/examples with their maps by the weights that ship, and cut-outs
	dbdflow predict data/examples --out .dbdflow/examples --sheet docs/examples.png --overwrite

seeds: setup ## benchmarks/SEEDS.md: three seeds of the miniature, with the loss ablation (about 20 minutes)
	python benchmarks/seeds.py --seeds 0 1 2

variants: setup ## benchmarks/VARIANTS.md: bfloat16, and views of the teacher's cache, on the miniature (15 minutes)
	python benchmarks/variants.py --seeds 0 1 2

choose: setup ## benchmarks/choices.csv: DFFNet by the recipe best, scored on validation photographs; after make cuhk (40 minutes)
	python benchmarks/choose.py $(CHANGES)

steps: setup ## benchmarks/RESULTS.md: a training step at the paper's sizes, as published and ours (10 minutes on 2 cores)
	python benchmarks/steps.py

candidates: setup ## benchmarks/CANDIDATES.md: what was tried to make a step faster (10 minutes on 2 cores)
	python benchmarks/candidates.py

gpu-day: setup ## benchmarks/GPU.md: a GPU's day in 8 minutes; ARGS=--dry: every line of it on the CPU (docs/gpu_day.md)
	python benchmarks/gpu_day.py $(ARGS)

rehearsal: setup ## benchmarks/REHEARSAL.md: the paper's preset at full size on few photographs, local server (CPU, 20 GB)
	python benchmarks/rehearsal.py

departures: setup ## benchmarks/DEPARTURES.md: what bfloat16 and one cached view cost on CUHK-TE-1: STUDY=FOLDER (20 minutes)
	python benchmarks/departures_cuhk.py $(STUDY)

cache: setup ## benchmarks/CACHE.md: what the teacher's cache costs beside the teacher, and smaller numbers
	python benchmarks/cache.py

scoring: setup ## benchmarks/SCORING.md: one histogram pass against a sweep of thresholds; EBD at its full size
	python benchmarks/scoring.py

use: setup ## benchmarks/USE.md: what ships against its exported files and classical methods: make use CUHK=FOLDER (30 minutes)
	@test -n "$(CUHK)" || { echo "error: CUHK: not named; say make use CUHK=FOLDER, with image/ and gt/"; exit 2; }
	python benchmarks/use.py $(CUHK)

report: setup ## benchmarks/REPORT.md: the report at 3000 photographs, page size, first paint, DVC (5 minutes)
	python benchmarks/report.py

scaling: setup ## benchmarks/SCALING.md: what an image costs to prepare, cache and score, by how many there are
	python benchmarks/scaling.py

ready: setup ## benchmarks/READY.md: from nothing to prepared sets at the published counts, local server (10 minutes)
	python benchmarks/ready.py

touched: setup ## which stages an edit of each folder of components/ reruns, by DVC; needs a finished reproduction (1 minute)
	python benchmarks/touched.py

prepared: setup ## benchmarks/PREPARE.md: EBD at its published size and count (15 minutes)
	python benchmarks/prepare.py

labels: setup ## benchmarks/LABELS.md: label proposals against rendered pairs with a known label
	python benchmarks/labels.py

baselines: setup ## benchmarks/BASELINES.md: what the classical methods cost, and how they do on CUHK-TE-1 (15 minutes)
	python benchmarks/baselines.py

parallel: setup ## benchmarks/PARALLEL.md: what `dbdflow reproduce` gains and costs (35 minutes)
	python benchmarks/parallel.py

engine: setup ## benchmarks/ENGINE.md: what Dask costs and gains, two machines with only a store between them (40 minutes, root)
	python benchmarks/engine.py $(ARGS)

sweep: setup ## benchmarks/SWEEP.md: a sweep of the miniature, killed once, against nine separate runs (30 minutes)
	python benchmarks/sweep.py

chaos: setup ## benchmarks/CHAOS.md: 30 reproductions, each with a process killed at random (50 minutes)
	python benchmarks/chaos.py

slow: setup ## the tests that `make test` leaves out: Prefect and MLflow on a Postgres of Debian's, a whole log, a kill (5 minutes)
	pytest -m slow

test: setup ## all tests but the slow ones
	pytest --numprocesses 3 --dist loadfile

check: setup ## lint, format, types
	ruff check
	ruff format --check
	mypy

lock: setup ## requirements.lock from pyproject.toml
	uv pip compile pyproject.toml --extra cluster --extra dev --extra export --extra pipeline --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-header --no-annotate --quiet --output-file requirements.lock

clean: ## the environment and the tools' caches; data/ stays
	rm -rf .venv .venv-light .mypy_cache .ruff_cache .pytest_cache
