PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV ?= .venv
BIN := $(VENV)/bin
DEMO_OUT ?= runs/demo
BASE ?= HEAD~1

.PHONY: demo test check slow bench coverage dist-check oldest docs audit clean
.DELETE_ON_ERROR:

demo: $(VENV)/.installed  ## the main job on scikit-learn's digits: a table, a picture, a Parquet store
	$(BIN)/ntkcpl compare --data digits --schedule 10x10 --seeds 3 --out $(DEMO_OUT) \
	    --strategies recommended

test: $(VENV)/.installed  ## all tests but the slow ones, in two processes, since many of them wait for others
	$(BIN)/pytest -n 2 --dist worksteal

slow: $(VENV)/.installed  ## the tests that take minutes
	$(BIN)/pytest -m slow

bench: $(VENV)/.installed  ## has the look-ahead become slower since the commit BASE? On idle cores, some minutes
	$(BIN)/python benchmarks/guard.py --base $(BASE)

check: $(VENV)/.installed  ## style, types, layers
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(VENV)/.installed  ## the documentation as a site, in site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

audit: $(VENV)/.installed  ## known vulnerabilities of the pinned versions, from the package index
	$(BIN)/pip install --quiet -c constraints.txt pip-audit
	$(BIN)/pip-audit --strict --no-deps --disable-pip --requirement constraints.txt

coverage: $(VENV)/.installed  ## lines of strategies/ and analysis/ that their own tests run; first numba's loops, uncompiled
	NUMBA_DISABLE_JIT=1 $(BIN)/pytest tests/strategies/test_counting.py tests/strategies/test_ntk.py \
	    -W ignore::RuntimeWarning --cov=strategies --cov-report=
	$(BIN)/pytest tests/strategies tests/analysis --cov=strategies --cov=analysis --cov-append \
	    --cov-report=term-missing:skip-covered --cov-fail-under=90

dist-check: $(VENV)/.installed  ## wheel and sdist, built, and used from an empty environment
	$(BIN)/pytest -m slow tests/test_distribution.py

oldest:  ## tests on the lowest versions that pyproject.toml allows (several GB); Triton's old interpreter warns, so not on it
	$(PYTHON) -m venv $(VENV)-oldest
	$(VENV)-oldest/bin/pip install --quiet -c constraints-oldest.txt -e '.[features,testing]' hypothesis 'moto[server]' pytest-cov pytest-timeout
	$(VENV)-oldest/bin/pytest tests/strategies tests/analysis tests/harness tests/studies -k 'not test_fused'

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet -c constraints.txt -e '.[dev]'
	touch $@

clean:
	rm -rf $(VENV)
