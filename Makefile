# make demo | test | bench | env | style | format | clean   (make help says more)

# The environment and the Python to make it with: make env VENV=/path PYTHON=python3.12
VENV ?= .venv
PYTHON ?= python3

IN_ENV = tools/in_env.sh "$(VENV)"
SOURCES = espnet_fsqdiff benchmarks egs test tools setup.py

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help env flite demo test bench style format clean

help:
	@echo "make demo    set up, make a small corpus, run every recipe stage on it"
	@echo "make test    set up, run the test suite"
	@echo "make bench   set up, time the sampler, a language model and training here"
	@echo "make env     set up torch, ESPnet and this package in VENV ($(VENV)),"
	@echo "             made with PYTHON ($(PYTHON)) if it is not there"
	@echo "make style   set up, check the style: black, isort, flake8"
	@echo "make format  set up, let black and isort put the style right"
	@echo "make clean   remove what builds and tests left (not recipe outputs, not VENV)"

env:
	@tools/setup_env.sh --venv "$(VENV)" --base-python "$(PYTHON)"
	@tools/setup_system.sh

# What the mini recipe cannot do without.
flite:
	@tools/setup_system.sh --require

demo: env flite
	$(IN_ENV) bash -c "cd egs/mini/tts1 && ./run.sh --preset demo"

# A process for each core; the tests of a file stay together, the recipes (few tests,
# long) come before the end.
test: env flite
	$(IN_ENV) env OMP_NUM_THREADS=1 python -m pytest -q --numprocesses auto \
	    --dist loadfile --no-loadscope-reorder test

# BENCH="--quick --parts sampler" shortens it; python -m benchmarks.sampling --help
bench: env
	@$(IN_ENV) python -c "import transformers" 2>/dev/null || \
	    $(IN_ENV) python -m pip install --quiet --editable ".[benchmarks]"
	@$(IN_ENV) python -m benchmarks.sampling $(BENCH)

style: env
	$(IN_ENV) black --check $(SOURCES)
	$(IN_ENV) isort --check --quiet $(SOURCES)
	$(IN_ENV) flake8 $(SOURCES)

format: env
	$(IN_ENV) isort --quiet $(SOURCES)
	$(IN_ENV) black --quiet $(SOURCES)

clean:
	rm -rf build dist *.egg-info .pytest_cache .hypothesis
	find $(SOURCES) -name __pycache__ -type d -prune -exec rm -rf {} +
