# `make demo` and `make test` need Python 3.11 or newer with pip, and nothing else: they set up .venv themselves.

PYTHON ?= python3.11 python3
VENV := .venv
PY := $(VENV)/bin/python
READY := $(VENV)/.ready
# first, and pinned: what pip would choose by itself may bring gigabytes of CUDA libraries
TORCH ?= torch==2.13.0

# how long `make soak` may take
MINUTES ?= 60

# `make gpu-bundle` gathers wheels for the Python and the CUDA of the machine with the GPU
GPU_PYTHON_VERSION ?= 3.12
GPU_CUDA ?= 13

# `make test-newest` wants this Python, with what PyPI has newest for it, and no torch
NEWEST_PYTHON ?= python3.13
NEWEST := .venv-newest

.PHONY: help venv demo test test-slow test-mpi test-peers test-newest test-gpu gpu-bundle lint docs docs-check \
        tables dist soak mutants coverage bench bench-bilevel experiments-learned experiments-generative experiments-diffusion \
        experiments-equivariance clean distclean
.DEFAULT_GOAL := help

help:
	@echo "make demo       CT, a measured sinogram, fan beam, PET, MRI, deblurring, learning; pictures in build/"
	@echo "make test       all tests but the slow ones: on NumPy, then on the stand-in for CuPy"
	@echo "make test-slow  all tests"
	@echo "make test-mpi   what several ranks of MPI share, on 1, 2 and 4 of them"
	@echo "make test-peers beside deepinv, CUQIpy, ODL and xarray, in the environment of make bench"
	@echo "make test-newest files, operators, functionals, contracts on Python 3.13, the newest NumPy and SciPy; no torch"
	@echo "make test-gpu   the device tests and a short benchmark on a GPU, without a network, in 8 minutes"
	@echo "make gpu-bundle what that needs beside CuPy, in one file; GPU_PYTHON_VERSION=3.12 GPU_CUDA=13"
	@echo "make soak       kills, damaged files, full disks, load; MINUTES=60"
	@echo "make mutants    how many of 300 seeded faults the tests find (hours); make coverage: lines and branches"
	@echo "make docs       the site, with the tutorials as its gallery, in build/site; make docs-check: in a browser"
	@echo "make tables     fill the tables of README.md and docs/ with what their commands print"
	@echo "make dist       wheels and a source archive, installed in a fresh environment without torch and tried"
	@echo "make lint       ruff"
	@echo "make bench      ipbox against its peers, in an environment of their own; build/bench.json"
	@echo "make bench-bilevel  the required figures of bilevel learning, beside the measured ones"
	@echo "make experiments-learned  those of learned methods, from stored results; RECOMPUTE=1 trains again"
	@echo "make experiments-generative  those of generative priors; experiments-equivariance: of equivariant networks"
	@echo "make experiments-diffusion  those of score-based sampling"
	@echo "make clean      remove build/ and caches; make distclean: the environments too"

venv: $(READY)

# The stamp comes last: an interrupted installation starts again from an empty environment.
$(READY): setup.cfg pyproject.toml
	@set -e; python=; \
	for p in $(PYTHON); do \
	    if $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then python=$$p; break; fi; \
	done; \
	if [ -z "$$python" ]; then \
	    echo "ipbox needs Python 3.11 or newer; tried: $(PYTHON). Name yours with: make PYTHON=/path/to/python" >&2; \
	    exit 1; \
	fi; \
	if [ ! -f $@ ] || ! $(PY) -c pass 2>/dev/null; then \
	    rm -f $@; echo "setting up $(VENV) (once, about a minute)"; $$python -m venv --clear $(VENV); \
	else \
	    echo "bringing $(VENV) up to date"; \
	fi
	@$(PY) -m pip install --disable-pip-version-check '$(TORCH)'
	@$(PY) -m pip install --disable-pip-version-check --editable '.[dev,learned]'
	@touch $@

demo: $(READY)
	@mkdir -p build
	$(PY) -m ipbox demo ct
	$(PY) -m ipbox demo tomography-measured
	$(PY) -m ipbox demo fan
	$(PY) -m ipbox demo pet
	$(PY) -m ipbox demo mri
	$(PY) -m ipbox demo blur
	$(PY) -m ipbox demo bilevel
	$(PY) -m ipbox demo learned --slices 1
	$(PY) -m ipbox demo generative --slices 1
	$(PY) -m ipbox demo equivariance --methods fbp tv symmetric-tv post-processing unrolled

test: $(READY)
	$(PY) -m pytest -n auto --dist worksteal
	NUMBA_ENABLE_CUDASIM=1 $(PY) -m pytest -n auto --dist worksteal --device=standin tests

test-slow: $(READY)
	$(PY) -m pytest -n auto -m "not mpi and not peers"
	NUMBA_ENABLE_CUDASIM=1 $(PY) -m pytest -n auto -m "not mpi and not peers" --device=standin tests

test-mpi: $(READY)
	@$(PY) -m pip install --disable-pip-version-check --quiet --editable '.[dev,learned,mpi]'
	OMP_NUM_THREADS=1 $(PY) -m pytest -m mpi tests/distributed tests/soak/test_load.py

# ODL brings a plugin that pytest 9 does not load
test-peers: $(READY)
	PYTHON=$(PY) sh tests/bench/setup_peers.sh .venv-peers
	@.venv-peers/bin/python -m pip install --disable-pip-version-check --quiet --editable '.[dev,learned]'
	OMP_NUM_THREADS=1 .venv-peers/bin/python -m pytest -p no:odl_plugins -n auto -m peers tests/interop

test-newest:
	@$(NEWEST_PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 13))' 2>/dev/null || { \
	    echo "this needs Python 3.13 or newer; tried: $(NEWEST_PYTHON). Name yours with: make test-newest" \
	        "NEWEST_PYTHON=/path/to/python3.13" >&2; exit 1; }
	@[ -x $(NEWEST)/bin/python ] || $(NEWEST_PYTHON) -m venv $(NEWEST)
	@$(NEWEST)/bin/python -m pip install --disable-pip-version-check --quiet --upgrade --upgrade-strategy eager \
	    --editable '.[dev]'
	$(NEWEST)/bin/python -m pip list --disable-pip-version-check | grep -iE '^(numpy|scipy|numba|pylops|pyproximal) '
	$(NEWEST)/bin/python -m pytest -n auto -m "not exhaustive and not bench and not peers" \
	    tests/io tests/operators tests/functionals tests/contracts

# runs on a machine with a GPU, with its own Python: no .venv, no network
test-gpu:
	@set -e; for p in $(PYTHON) python3; do if $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; \
	then exec $$p -m tests.gpu; fi; done; echo "ipbox needs Python 3.11 or newer; tried: $(PYTHON)" >&2; exit 1

gpu-bundle: $(READY)
	$(PY) -m tests.gpu_bundle --python-version $(GPU_PYTHON_VERSION) --cuda $(GPU_CUDA)

# GALLERY=--no-gallery shows the tutorials without running them
docs: $(READY)
	@$(PY) -m pip install --disable-pip-version-check --quiet --editable '.[dev,learned,docs]'
	OMP_NUM_THREADS=1 $(PY) -m tests.site $(GALLERY)

docs-check: $(READY)
	$(PY) -m tests.site.check $(BROWSER) build/site

tables: $(READY)
	$(PY) -m tests.docs

dist: $(READY)
	@$(PY) -m pip install --disable-pip-version-check --quiet build
	$(PY) -m tests.dist

soak: $(READY)
	OMP_NUM_THREADS=1 $(PY) -m tests.soak --minutes $(MINUTES)

mutants: $(READY)
	@$(PY) -m pip install --disable-pip-version-check --quiet --editable '.[dev,learned,mutants]'
	$(PY) -m tests.mutants

coverage: $(READY)
	@$(PY) -m pip install --disable-pip-version-check --quiet --editable '.[dev,learned,mutants]'
	$(PY) -m pytest -n auto --cov=ipbox --cov-branch --cov-report=term:skip-covered --cov-report=json:build/coverage.json

lint: $(READY)
	$(PY) -m ruff check .

bench: $(READY)
	@mkdir -p build
	PYTHON=$(PY) sh tests/bench/setup_peers.sh .venv-peers
	$(PY) -m tests.bench

bench-bilevel: $(READY)
	@mkdir -p build
	PYTHON=$(PY) sh tests/bench/setup_peers.sh .venv-peers
	PEERS_PYTHON=.venv-peers/bin/python $(PY) -m tests.bench.bilevel

# RECOMPUTE=1 trains everything again: hours
experiments-learned: $(READY)
	$(PY) -m tests.bench.learned

experiments-generative: $(READY)
	$(PY) -m tests.bench.generative

experiments-diffusion: $(READY)
	$(PY) -m tests.bench.diffusion

experiments-equivariance: $(READY)
	$(PY) -m tests.bench.equivariance

clean:
	rm -rf build .pytest_cache .ruff_cache .hypothesis
	find ipbox tests -type d -name __pycache__ -prune -exec rm -rf {} +

distclean: clean
	rm -rf $(VENV) $(NEWEST) .venv-peers .venv-gpu .gpu-bundle.tar.xz ipbox.egg-info dist data/*.egg-info data/build
