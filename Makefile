PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV ?= .venv
BIN := $(VENV)/bin
DEMO_OUT ?= runs/demo

.PHONY: demo test check slow docs clean
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

docs: $(VENV)/.installed  ## the documentation as a site, in site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet -c constraints.txt -e '.[dev]'
	touch $@

clean:
	rm -rf $(VENV)
