# Every target does its own set-up and may be repeated. `make help` lists them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SETUP := $(PYTHON) .ci/environment.py
COMPILE = $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --no-annotate --no-emit-index-url \
	--python-version 3.11 $(UPGRADE)

.DEFAULT_GOAL := help
.PHONY: help demo test lint format docs cast bench curves lock api clean

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 14

demo: ## the main job on embedded chains: create keys, receive, review, approve, sign, send, confirm
	@$(SETUP) runtime
	@$(BIN)/bursar demo $(DEMO)

test: ## the tests, on the oldest and the newest CPython found (CI=true: a missing component is a failure)
	@$(PYTHON) .ci/suite.py $(TESTS)

lint: ## formatting, lint, types
	@$(SETUP) dev
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/pyright --pythonpath $(BIN)/python

format: ## rewrite the source in the house style
	@$(SETUP) dev
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

docs: ## the documentation, warnings are errors; result in docs/_build/html
	@$(SETUP) dev
	$(BIN)/sphinx-build -n -W --keep-going -q -b html docs docs/_build/html
	@echo "docs/_build/html/index.html"

cast: ## draw the README's picture again from a run of the demonstration
	@$(SETUP) runtime
	@$(BIN)/python docs/cast.py >/dev/null
	@echo docs/_static/demo.svg

bench: ## ratios to a C program and to other libraries, measured in pairs on this machine
	@$(SETUP) bench
	@$(BIN)/python benchmarks/run.py $(BENCH)

api: ## write the public names and the commands down again, after a deliberate change of them
	@$(SETUP) dev
	$(BIN)/python tests/house/public_api.py --write
	$(BIN)/python tests/house/command_pages.py --write
	$(BIN)/python tests/house/checklist_page.py --write

curves: ## how cost grows with inputs, addresses and coins; drawn into docs/_static
	@$(SETUP) bench
	@$(BIN)/python benchmarks/curves.py $(CURVES)

lock: ## resolve the dependencies again, write requirements/*.txt (UPGRADE=--upgrade for newer releases)
	@$(SETUP) runtime
	$(COMPILE) requirements/uv.in -o requirements/uv.txt
	$(COMPILE) pyproject.toml --all-extras $(foreach g,build test lint docs,--group $(g)) -o requirements/dev.txt
	$(COMPILE) pyproject.toml --all-extras --group test -c requirements/dev.txt -o requirements/test.txt
	$(COMPILE) pyproject.toml --all-extras --group test --group bench -c requirements/dev.txt -o requirements/bench.txt
	$(COMPILE) pyproject.toml --extra sandbox --extra trezor --extra ledger -c requirements/dev.txt -o requirements/runtime.txt
	$(COMPILE) --group build -c requirements/dev.txt -o requirements/build.txt

clean: ## remove everything the targets made
	rm -rf $(VENV) .cache .coverage .coverage.* .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache \
		build dist docs/_build benchmarks/build
	find src tests examples benchmarks devices docs -name __pycache__ -type d -prune -exec rm -rf {} +
