# Needs python3 (3.11 or newer), its venv part and make; `make setup` brings the rest into .venv.
# PYTHON=python3.12 takes another interpreter, EXTRAS=mqtt,openvino installs more.

PYTHON ?= python3
EXTRAS ?=
BIN := .venv/bin
WORKERS ?= 3

# Tests and benchmarks start the command hundreds of times: it may keep its compiled code, whatever
# the shell says; without, each start takes half a second more.
export PYTHONDONTWRITEBYTECODE :=

# The rooms whose branches `make check` counts, from their own unit tests.
COVERED := contract bundle trust errors _fs

# What runs once more on the hot path in C.
NATIVE_TESTS := tests/unit/serve tests/unit/transports tests/e2e/test_serve.py \
	tests/e2e/test_serve_grpc.py tests/e2e/test_serve_observed.py tests/e2e/test_edgeinfer.py \
	tests/e2e/test_bad_input.py tests/long/test_serving_fuzz.py

# What runs a third time where a byte too far ends the process. Children would inherit the sanitizers,
# so no test that starts one; leaks are counted by test_native.py.
SANITIZED_TESTS := tests/unit/serve/test_native.py tests/unit/serve/test_lane.py \
	tests/unit/serve/test_passes.py tests/unit/serve/test_letting_go.py \
	tests/unit/transports/test_http1_server.py tests/long/test_serving_fuzz.py
SANITIZERS := -fsanitize=address,undefined -fno-sanitize-recover=undefined

TFLM_MAKEFILE := tensorflow/lite/micro/tools/make/Makefile

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup demo test check test-long test-arm64 test-tflm prove pins clean \
	native test-native format lint types layers dependencies dead-code spelling coverage

help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "make %-12s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

setup: ## make .venv and install the project with its everyday extras (EXTRAS=... for more)
	@$(PYTHON) tools/setup_venv.py --extras "$(EXTRAS)"

demo: setup ## run the whole chain on this machine, in a few minutes
	@$(BIN)/edgewright demo

test: setup ## all default tests
	@$(BIN)/python -m pytest -n $(WORKERS) -m "not long and not alone and not arm64"
	@$(BIN)/python -m pytest -n 0 -m "alone and not long"

check: format lint types layers dependencies dead-code spelling coverage ## all checks below

format: setup ## the code is formatted
	@$(BIN)/ruff format --check --quiet || { echo "run: $(BIN)/ruff format"; exit 1; }

lint: setup ## the wide rule set of ruff
	@$(BIN)/ruff check --quiet

types: setup ## mypy, strict
	@$(BIN)/mypy

layers: setup ## imports go down only
	@$(BIN)/lint-imports

dependencies: setup ## what is imported is declared, what is declared is imported
	@$(BIN)/deptry src

dead-code: setup ## nothing is left unused
	@$(BIN)/vulture

spelling: setup ## no common misspellings
	@$(BIN)/codespell

coverage: setup ## branches of the rooms that everything stands on
	@$(BIN)/python tools/branch_coverage.py $(COVERED)

test-long: setup ## a slice of every long harness, chosen by the commit
	@export EDGEWRIGHT_SLICE="$${EDGEWRIGHT_SLICE:-$$(git rev-parse HEAD 2>/dev/null || echo none)}"; \
	echo "slice $$EDGEWRIGHT_SLICE"; $(BIN)/python -m pytest -n $(WORKERS) -m "long and not alone and not arm64" && \
	$(BIN)/python -m pytest -n 0 -m "long and alone"

native: setup ## the server's hot path in C, into build/native (needs a C compiler)
	@$(BIN)/python -m pip install --quiet --no-deps --upgrade --target build/native ./native

test-native: native ## the server's tests once more, on its hot path in C, also under sanitizers
	@PYTHONPATH="$(abspath build/native)" EDGEWRIGHT_HOT_PATH=native $(BIN)/python -m pytest \
		-n $(WORKERS) -m "not alone" $(NATIVE_TESTS)
	@CFLAGS="-O1 -g $(SANITIZERS)" $(BIN)/python -m pip install --quiet --no-deps --upgrade \
		--target build/native-sanitized ./native
	@LD_PRELOAD="$$(gcc -print-file-name=libasan.so) $$(gcc -print-file-name=libubsan.so)" \
		ASAN_OPTIONS=detect_leaks=0 PYTHONMALLOC=malloc \
		PYTHONPATH="$(abspath build/native-sanitized)" EDGEWRIGHT_HOT_PATH=native \
		$(BIN)/python -m pytest -n 0 $(SANITIZED_TESTS)

test-arm64: setup ## the device package on an emulated arm64, tests of its rooms included
	@$(BIN)/python tools/arm64_rootfs.py
	@$(BIN)/python -m pytest -n 2 -m arm64 tests/arm64

test-tflm: setup ## the C projects of tflm-c on a host build of TFLM_DIR=<a clone of tflite-micro>
	@test -f "$(TFLM_DIR)/$(TFLM_MAKEFILE)" || { echo "name a clone of tflite-micro: make test-tflm TFLM_DIR=..."; exit 2; }
	@PATH="$(abspath $(BIN)):$$PATH" $(MAKE) -s -C "$(TFLM_DIR)" -f $(TFLM_MAKEFILE) microlite
	@EDGEWRIGHT_TFLM_DIR="$(abspath $(TFLM_DIR))" $(BIN)/python -m pytest -n 0 -rP tests/unit/workbench/convert/test_micro_host.py

prove: setup ## one harness at full size, SUITE=name; writes bench/results/name.json
	@test -n "$(SUITE)" || { echo "name one: make prove SUITE=..., there are:" \
		$(patsubst bench/%.py,%,$(wildcard bench/[a-z]*.py)); exit 2; }
	@test -f "bench/$(SUITE).py" || { echo "there is no bench/$(SUITE).py"; exit 2; }
	@$(BIN)/python "bench/$(SUITE).py"

# litert-convert stays out: its pins hold others back, it gets an environment of its own.
pins: setup ## add what pyproject.toml and pins.in name to constraints.txt (UPGRADE=1 raises every version)
	@env -u UV_FIND_LINKS $(BIN)/uv pip compile pyproject.toml --universal --quiet $(if $(UPGRADE),--upgrade) \
		--extra all --extra ray --extra tvm --constraint pins.in --no-emit-index-url \
		--no-emit-find-links --no-header --no-annotate --output-file constraints.txt

clean: ## remove .venv and everything that tools left behind
	@rm -rf .venv build dist demo-out .coverage .coverage.* .mypy_cache .ruff_cache .pytest_cache \
		.hypothesis .import_linter_cache
	@find src tests bench tools -name __pycache__ -type d -prune -exec rm -rf {} +
