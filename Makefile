# All commands of the project. `make help` lists them.
# The first call builds .venv; needed before: python3 (3.11 or newer, with venv), make, gcc, git, bash.

PYTHON ?= python3
VENV ?= .venv

# Where torch is taken from, beside the default index. Empty: the default index alone, whose Linux build brings CUDA.
# A machine without a GPU saves gigabytes with TORCH_INDEX=https://download.pytorch.org/whl/cpu
TORCH_INDEX ?=

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup lint test test-gpu test-all demo demo-all clean

BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

# Two threads that sleep while they wait: on two cores, spinning threads of several processes block each other.
export OMP_NUM_THREADS ?= 2
export OMP_WAIT_POLICY ?= PASSIVE
export NO_ALBUMENTATIONS_UPDATE := 1

help:  ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP)  ## build the virtual environment (again only if a dependency changed)

# torch first and alone, so that nothing else decides which build of it is taken.
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) -c constraints.txt torch
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[demo,dev,examples,gguf,lora]'
	@touch $@

lint: setup  ## style and types
	time $(BIN)/ruff check .
	$(BIN)/ruff format --check .
	time $(BIN)/mypy

# Two processes of one thread, as in `make demo`; --dist worksteal: none waits while the other has a long list left.
test: export OMP_NUM_THREADS = 1
test: lint  ## style, types and the tests that take seconds
	time $(BIN)/python -m pytest -q -m 'not slow and not gpu' -n 2 --dist worksteal

test-gpu: setup  ## the tests that need a CUDA device
	time $(BIN)/python -m pytest -q -m gpu

test-all: lint  ## the same with the tests that take minutes
	time $(BIN)/python -m pytest -q --timeout 3600

# Two processes of one thread do twice the steps of one process of two threads: the model's matrices are small.
PAIR := --trainer.devices 2 --trainer.strategy ddp

demo: export OMP_NUM_THREADS = 1
demo: setup  ## make the world, train the tiny model in three stages, test it (CPU, minutes)
	time $(BIN)/python main.py fit --config stage1.yaml $(PAIR)
	time $(BIN)/python main.py fit --config stage2.yaml --config tiny_several.yaml $(PAIR)
	time $(BIN)/python main.py fit --config stage2.yaml --config tiny_refresh.yaml --name refresh $(PAIR)
	time $(BIN)/python main.py test --data.scoring.max_test 256 --data.scoring.unseen_prompts 64

ALL := --config tiny_all.yaml
demo-all: export OMP_NUM_THREADS = 1
demo-all: setup  ## the same with all tasks
	time $(BIN)/python main.py fit --config stage1.yaml $(ALL) --name all_stage1 $(PAIR)
	time $(BIN)/python main.py fit --config stage2.yaml $(ALL) --config tiny_stage2.yaml --name all_stage2 \
		--model.init_from all_stage1 $(PAIR)
	time $(BIN)/python main.py test --data.scoring.max_test 200 --data.scoring.unseen_prompts 50

clean:  ## remove builds and caches; runs/ and data/ stay
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
