# Everything a person types at the project's root. `make run` and `make test` prepare .venv themselves.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input -qq
STATE ?= var
NAME ?= orders
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help venv run test lint format lock bench clean

help:
	@echo "make run     start mbtd with the synthetic market (state in ./$(STATE))"
	@echo "make test    ruff, mypy and the whole test suite"
	@echo "make lint    ruff and mypy alone        make format  let ruff rewrite"
	@echo "make bench NAME=orders ARGS='--clients 4'"
	@echo "make lock    renew requirements.lock    make clean   remove what was built (never ./$(STATE))"

# One stamp for the locked packages, one for the editable install: a second `make` has nothing to do.
$(VENV)/.locked: requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "mbtd needs Python 3.11 or newer; set PYTHON=/path/to/python3.11" >&2; exit 2; }
	@echo "preparing $(VENV) ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || \
	  { echo "no venv module: install your system's package python3.11-venv" >&2; exit 2; }
	@$(PIP) install --require-hashes --only-binary :all: -r requirements.lock
	@touch $@

$(VENV)/.installed: $(VENV)/.locked pyproject.toml
	@$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

venv: $(VENV)/.installed

run: venv
	@BIN=$(BIN) STATE=$(STATE) .ci/try $(ARGS)

lint: venv
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: venv
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

test: lint
	$(BIN)/python -m pytest $(ARGS)

# Exact versions with the hashes of every published file, so that the lock fits any Linux machine.
lock: venv
	$(BIN)/pip-compile -q --extra dev --generate-hashes --allow-unsafe --strip-extras --no-header --no-annotate \
	  --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-emit-options $(ARGS) \
	  -o requirements.lock pyproject.toml

bench: venv
	$(BIN)/python -m tests.bench $(NAME) $(ARGS)

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
