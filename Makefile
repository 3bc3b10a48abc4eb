# Two commands: `make demo` and `make test`. Each makes .venv from nothing (Python 3.11).
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
FILE ?=
# Tests wait for servers, subprocesses and disks about half of the time, so two workers for each processor.
WORKERS ?= $(shell $(PYTHON) -c "import os; print(min(2 * (os.cpu_count() or 1), 8))")
C4 ?= ../shared/data/c4
export DANDI_NO_ET := 1

.PHONY: demo test lint coverage docs bench bench-quick bench-accuracy bench-convert bench-streaming bench-processors soak fuzz mutation compat lock audit trial sbom clean

$(STAMP): pyproject.toml constraints.txt extensions/ndx-cell-type/pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -c constraints.txt -e extensions/ndx-cell-type -e ".[dev]"
	touch $@

# The main job on a small simulated session, or on a file of yours: make demo FILE=session.nwb
demo: $(STAMP)
	$(BIN)/python examples/demo.py $(if $(FILE),"$(FILE)")

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: lint
	$(BIN)/python -m pytest -q extensions/ndx-cell-type/tests
	$(BIN)/python -m pytest -q -n $(WORKERS) --dist loadscope --doctest-modules tests nwb_celltype

# Lines of the package that the tests run; at least 90 %.
coverage: $(STAMP)
	rm -rf .coverage && mkdir .coverage
	$(BIN)/coverage run -m pytest -q -n $(WORKERS) --dist loadscope --doctest-modules tests nwb_celltype
	$(BIN)/coverage combine -q
	$(BIN)/coverage report --fail-under 90

# The documentation, in site/. The variable silences a notice of the theme about its successor.
docs: $(STAMP)
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

# Accuracy on the C4 units beside classical baselines: C4=FOLDER (docs/model_cerebellum.md says where they are).
bench-accuracy: $(STAMP)
	$(BIN)/python benchmarks/accuracy.py --data-dir "$(C4)"

# Do other processors give the same answers? With --train, from training on.
bench-processors: $(STAMP)
	$(BIN)/python benchmarks/processors.py --data-dir "$(C4)" --train

# Everything beside its peers, in BENCH (about 20 GB): docs/performance.md. bench-quick only shows that all of it runs.
BENCH ?= bench
bench: $(STAMP)
	$(BIN)/python benchmarks/all.py --data-dir "$(BENCH)" --tenfold --json "$(BENCH)/all.json" $(if $(wildcard $(C4)),--accuracy "$(C4)")
bench-quick: $(STAMP)
	$(BIN)/python benchmarks/all.py --data-dir "$(BENCH)" --quick

# Conversion and mean waveforms beside NeuroConv and SpikeInterface, on data that they make in BENCH (about 15 GB).
bench-convert: $(STAMP)
	$(BIN)/python benchmarks/mean_waveforms.py --data-dir "$(BENCH)"
	$(BIN)/python benchmarks/convert.py --data-dir "$(BENCH)"

# Units of a remote file beside remfile and fsspec, on two files that it writes in BENCH (about 1.2 GB).
bench-streaming: $(STAMP)
	$(BIN)/python benchmarks/streaming.py --data-dir "$(BENCH)"

# Proofs that take long; make test has a short form of each (docs/reliability.md).
soak: $(STAMP)
	NWB_CELLTYPE_SOAK=1 $(BIN)/python -m pytest -q -s tests/hostile
	NWB_CELLTYPE_SOAK=1 $(BIN)/python -m pytest -q tests/features/test_exactness.py -k long
	NWB_CELLTYPE_SOAK=1 $(BIN)/python -m pytest -q -s --show-capture=no tests/batch/test_lost_workers.py -k befalls
	$(BIN)/python -m tests.hostile.flips --n 1000 --seed 1 --write-every 4
	$(BIN)/python -W ignore -m soak.kills
	$(BIN)/python -W ignore -m soak.long_run

fuzz: $(STAMP)
	-$(BIN)/python -m pip install --quiet atheris
	$(BIN)/python -m fuzz.run --seconds 600 --target all

# Do the tests notice changes of features, calibration and annotation? At least 80 % (docs/mutation.md).
mutation: $(STAMP)
	$(BIN)/python -m pip install --quiet -c constraints.txt cosmic-ray
	$(BIN)/python -m mutation.run --json mutation.json

# Files of the first version, and of older pynwb, in environments of their own.
compat: $(STAMP)
	$(BIN)/python -m tests.compat.environments
	$(BIN)/python -m pytest -q tests/compat

# What a release is built with: a lock with hashes, known vulnerabilities and licences, a bill of materials.
lock: $(STAMP)
	$(BIN)/python -m release.lock
audit: $(STAMP)
	$(BIN)/python -m release.licences
	$(BIN)/python -m release.audit
# Does the lock install, with all its hashes, and what was built with it work?
trial: $(STAMP)
	$(BIN)/python -m release.trial
sbom: $(STAMP)
	$(BIN)/python -m release.sbom dist/nwb-celltype.cdx.json

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache demo site
