PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV ?= .venv
BIN := $(VENV)/bin
DEMO_OUT ?= runs/demo

.PHONY: demo test check slow coverage dist-check oldest clean
.DELETE_ON_ERROR:

demo: $(VENV)/.installed  ## the main job on scikit-learn's digits: a table, a picture, a Parquet store
	$(BIN)/ntkcpl compare --data digits --schedule 10x10 --seeds 3 --out $(DEMO_OUT) \
	    --strategies random,typiclust,badge,coreset_self,ntkcpl_self,ntkcpl_al

test: $(VENV)/.installed  ## all tests but the slow ones
	$(BIN)/pytest

slow: $(VENV)/.installed  ## the tests that take minutes
	$(BIN)/pytest -m slow

check: $(VENV)/.installed  ## style, types, layers
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

coverage: $(VENV)/.installed  ## share of lines that their own tests run; numba's loops run uncompiled where they are tested so
	$(BIN)/pytest tests/strategies tests/analysis --cov=strategies --cov=analysis --cov-fail-under=90 --cov-report=term-missing:skip-covered

dist-check: $(VENV)/.installed  ## wheel and sdist, built, and used from an empty environment
	$(BIN)/pytest -m slow tests/test_distribution.py

oldest:  ## the lowest versions that pyproject.toml allows; several GB, and some warnings of old interpreters left out
	$(PYTHON) -m venv $(VENV)-oldest
	$(VENV)-oldest/bin/pip install --quiet -c constraints-oldest.txt -e '.[features,testing]' hypothesis pytest-cov pytest-timeout
	$(VENV)-oldest/bin/pytest tests/strategies tests/analysis tests/harness tests/studies -k 'not fused'

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet -c constraints.txt -e '.[dev]'
	touch $@

clean:
	rm -rf $(VENV)
