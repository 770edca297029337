# Two commands for a newcomer:
#   make demo    a synthetic study, analysed; says where the report is
#   make test    lints, type-checks, builds the wheel, installs that wheel, and tests it
# Both make the virtual environments they need. PYTHON=/path/to/python3 chooses the interpreter (3.11 or later).

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo picture test lint dev wheel clean
SHELL := /bin/bash

PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo "$$p"; break; }; done)
PYTEST_ARGS ?=

ENV := .venv
TEST_ENV := .venv-test
WHEEL_DIR := build/wheel
CONSTRAINTS := constraints/test.txt
PACKAGE_FILES := $(shell find src -type f -not -path '*/__pycache__/*') pyproject.toml README.md LICENSE NOTICE
# pip saying nothing but errors; bytecode is written at first import, for the modules that are used
PIP_INSTALL := -m pip install -qq --disable-pip-version-check --no-compile

define new_env
	@test -n "$(PYTHON)" || { echo "cmrseg needs Python 3.11 or later: install it, or name it with PYTHON=/path/to/python3" >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "$(PYTHON) is not Python 3.11 or later: name another with PYTHON=/path/to/python3" >&2; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null \
		|| { echo "$(PYTHON) lacks venv or ensurepip: install them (on Debian and Ubuntu, the package python3-venv)" >&2; exit 1; }
	@echo "Making the virtual environment $(1) ..."
	@"$(PYTHON)" -m venv --clear $(1)
endef

help: ## this list
	@grep -E '^[a-z]+:.*## ' $(firstword $(MAKEFILE_LIST)) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 16

demo: $(ENV)/.ready ## analyse a synthetic study and say where the report is
	@$(ENV)/bin/cmrseg demo --output demo

picture: $(TEST_ENV)/.ready ## take the picture of the report that README.md shows, from the demo
	@$(TEST_ENV)/bin/python benchmarks/report_picture.py

$(ENV)/.ready: pyproject.toml
	$(call new_env,$(ENV))
	@echo "Installing cmrseg and what it needs, which may take some minutes:"
	@set -o pipefail; $(ENV)/bin/python -m pip install --disable-pip-version-check --no-compile --progress-bar off --editable . \
		| sed -u -n -E 's/^Collecting ([A-Za-z0-9_.-]+).*/  \1/p; s/^Installing collected packages.*/  unpacking .../p'
	@touch $@

dev: $(ENV)/.ready ## the same environment with everything for development, and the commit hooks
	@$(ENV)/bin/python $(PIP_INSTALL) --constraint $(CONSTRAINTS) torch
	@$(ENV)/bin/python $(PIP_INSTALL) --constraint $(CONSTRAINTS) --editable '.[dev]'
	@$(ENV)/bin/pre-commit install

wheel: $(WHEEL_DIR)/.built ## build the wheel into build/wheel

$(WHEEL_DIR)/.built: $(PACKAGE_FILES) $(TEST_ENV)/.new
	@echo "Building the wheel ..."
	@rm -rf $(WHEEL_DIR) && mkdir -p $(WHEEL_DIR)
	@$(TEST_ENV)/bin/python -m pip wheel -qq --disable-pip-version-check --no-deps --wheel-dir $(WHEEL_DIR) .
	@touch $@

$(TEST_ENV)/.new: pyproject.toml $(CONSTRAINTS)
	$(call new_env,$(TEST_ENV))
	@touch $@

$(TEST_ENV)/.ready: $(WHEEL_DIR)/.built
	@echo "Installing the wheel with what training and testing need ..."
	@$(TEST_ENV)/bin/python $(PIP_INSTALL) --constraint $(CONSTRAINTS) torch
	@$(TEST_ENV)/bin/python $(PIP_INSTALL) --constraint $(CONSTRAINTS) "$$(echo $(WHEEL_DIR)/*.whl)[train,tune,tensorboard,figures,hdf5,parquet,jpeg,test,lint]"
	@$(TEST_ENV)/bin/python $(PIP_INSTALL) --no-deps --force-reinstall $(WHEEL_DIR)/*.whl
	@touch $@

lint: $(TEST_ENV)/.ready ## ruff and mypy
	@$(TEST_ENV)/bin/ruff check .
	@$(TEST_ENV)/bin/ruff format --check .
	@$(TEST_ENV)/bin/mypy

test: lint ## lint, then test the installed wheel; PYTEST_ARGS="-k volumes" narrows it
	@$(TEST_ENV)/bin/python -I -c 'import cmrseg, sys; sys.exit(not cmrseg.__file__.startswith(sys.prefix) and "cmrseg is not the wheel")'
	@$(TEST_ENV)/bin/pytest $(PYTEST_ARGS)

clean: ## remove what the targets above have made
	@rm -rf $(ENV) $(TEST_ENV) build dist demo
