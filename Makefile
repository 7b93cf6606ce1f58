# make demo   sets everything up and outlines a real lesion on a real CT
# make test   sets everything up and passes the tests
# make help   lists the other commands

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ifeq ($(OS),Windows_NT)
BIN := $(VENV)/Scripts
endif
RUN := $(BIN)/python
# the import path of whoever calls must not shadow what is tested
unexport PYTHONPATH

DEMO ?= sts_003_ct

.PHONY: help venv demo test test-all test-slicer bench-slicer check unit format wheel clean
.DEFAULT_GOAL := help

help: ## list the commands
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1\t\2/p' Makefile | expand -t 16

venv: ## create or update .venv; ends at once when nothing changed
	@$(PYTHON) scripts/bootstrap.py $(VENV)

demo: venv ## outline a lesion on a real CT; the files go to out/
	@mkdir -p out
	$(BIN)/edgeflow-med segment sample_data/$(DEMO)/series --prompts sample_data/$(DEMO).clicks.json --propagate \
		--output out/lesion.dcm --output out/lesion.nii.gz --report out/report.json --picture out/lesion.png

test: venv test-deps check test-slicer ## style, types, import contracts, the fast tests, the wheel in a fresh environment
	$(RUN) -m pytest -m "not slow and not gpu"

test-all: venv test-deps check test-slicer ## the same with the slow tests
	$(RUN) -m pytest

bench-slicer: venv test-deps ## how fast the 3D Slicer module is; writes benchmarks/results/slicer.json
	$(RUN) scripts/slicer_environment.py && $(SLICER_RUN) -m benchmarks.slicer

# The module's tests run on 3D Slicer's own libraries, in an environment of their own.
SLICER_RUN := $(VENV)-slicer/$(notdir $(BIN))/python
test-slicer: venv test-deps ## the tests of the 3D Slicer module alone
	@if $(RUN) scripts/slicer_environment.py; then $(SLICER_RUN) -m pytest -m "not slow and not gpu" tests/slicer/l1 tests/slicer/l2; fi

.PHONY: screenshots
screenshots: venv test-deps ## take the pictures of the 3D Slicer module anew, into docs/images/slicer
	$(RUN) scripts/slicer_environment.py
	EDGEFLOW_SCREENSHOTS=1 $(SLICER_RUN) -m pytest tests/slicer/l2/test_screenshots.py

# Debian packages that some tests need: installed only for root on Debian, elsewhere those tests skip and name the command.
.PHONY: test-deps
test-deps:
	@if [ -f /etc/debian_version ] && [ "$$(id -u)" = 0 ]; then scripts/test-deps || echo "Without them some tests skip."; fi

.PHONY: fuzz
fuzz: venv ## spoil 10,000 files of each format and read them, and files made to do harm; about 20 minutes
	-$(RUN) -m pip install --quiet -c constraints.txt -e ".[fuzz]"
	nice -n 10 $(RUN) -W ignore -m tests.io.fuzz --count 10000 --guided 60 --output benchmarks/results/fuzz.json

.PHONY: accept-seg accept-save bench-seg
accept-seg: venv ## have five readers and validators judge our DICOM-SEG files
	@if [ -f /etc/debian_version ] && [ "$$(id -u)" = 0 ]; then scripts/test-deps accept; fi
	scripts/ohif-reader
	$(RUN) -m benchmarks.seg.accept_seg

accept-save: venv ## kill a saving process 200 times, and see that nothing is lost
	$(RUN) -m benchmarks.seg.accept_save

bench-seg: venv ## time and memory of writing a large DICOM-SEG, beside highdicom alone
	$(RUN) -m benchmarks.seg.speed

.PHONY: accept-session bench-session
accept-session: venv ## kill a session at 200 random moments, fill its disk, take its folder away; about 3 minutes
	$(RUN) -m benchmarks.accept_session

bench-session: venv ## memory and milliseconds of 1,000 steps of a session on 512 x 512 x 600; about 3 minutes
	$(RUN) -m benchmarks.session

.PHONY: bench-propagation calibrate-brakes
bench-propagation: venv ## propagation against contour interpolation and copying, and the order of review; about 15 minutes
	$(RUN) -m pip install --quiet -c constraints.txt -e ".[benchmarks]"
	$(RUN) -m benchmarks.propagation $(if $(MODEL),--model $(MODEL))

calibrate-brakes: venv ## find out when propagation should stop with a model (MODEL=...), and write it into its metadata
	$(RUN) -m benchmarks.propagation_calibration --write $(if $(MODEL),--model $(MODEL))

.PHONY: field-report
field-report: venv test-deps ## every method side by side, with pictures; FIELD=--quick goes through it once; goes on where it was
	$(RUN) -m pip install --quiet -c $(VENV)/edgeflow-med.constraints.txt -e ".[benchmarks]"
	-$(RUN) scripts/slicer_environment.py
	-$(RUN) -m benchmarks.quality.install all
	$(RUN) -m benchmarks.field $(FIELD)

check: venv ## style, types and import contracts alone
	$(RUN) -m ruff check
	$(RUN) -m ruff format --check
	$(RUN) -m mypy
	$(BIN)/lint-imports --no-logo

format: venv ## put all Python files into the project's form
	$(RUN) -m ruff format
	$(RUN) -m ruff check --fix

wheel: venv ## build the wheel into dist/
	$(RUN) -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist .

clean: ## remove what the commands made, except .venv
	rm -rf out dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
