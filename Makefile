# Everything runs in a virtual environment of its own, made on first use. Needs make and Python 3.11 or later.
# `make` alone lists what there is.

VENV ?= .venv
PY := $(VENV)/bin/python
PIP := $(PY) -m pip --disable-pip-version-check --quiet
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help demo test soak interop check docs bench clean

help: ## list the targets
	@echo "voiceloop: make TARGET [ARGS=\"...\"]"
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1	\2/p' Makefile | expand -t 16

demo: $(VENV)/.demo ## hold a conversation offline and write its report; ARGS go to `voiceloop demo`
	@$(VENV)/bin/voiceloop demo $(ARGS)

test: $(VENV)/.test ## run the test suite; ARGS go to pytest
	@$(PY) -m pytest -q -n auto --dist loadfile -m "not real_time" $(ARGS) || test $$? -eq 5
	@$(PY) -m pytest -q -m real_time $(ARGS) || test $$? -eq 5

interop: $(VENV)/.test ## hold turns with SDKs and frameworks of others against the emulator (Python 3.12); ARGS name some
	@$(PY) tests/interop/run.py $(ARGS)

check: $(VENV)/.lint ## style, types, import order, and the README's commands
	@echo "ruff check";   $(VENV)/bin/ruff check --quiet .
	@echo "ruff format";  $(VENV)/bin/ruff format --quiet --check .
	@echo "mypy";         $(VENV)/bin/mypy --no-error-summary
	@echo "import order"; $(VENV)/bin/lint-imports --no-logo > $(VENV)/import-order.txt || { cat $(VENV)/import-order.txt; exit 1; }
	@echo "README";       $(PY) scripts/check_readme.py

docs: $(VENV)/.docs ## build the documentation into site/
	@NO_MKDOCS_2_WARNING=1 $(VENV)/bin/mkdocs build --strict --quiet && echo "docs: site/index.html"

bench: $(VENV)/.test ## run the benchmarks, fourteen minutes; ARGS go to them, such as "--quick sessions"
	@cd tests/benchmarks && "$(abspath $(PY))" run.py $(ARGS)

soak: $(VENV)/.test ## hold a call on Nova Sonic over real sockets; ARGS: for how many minutes, 5 unless told
	@VOICELOOP_SOAK=$(or $(ARGS),5) $(PY) -m pytest -q -s tests/aws/nova/test_nova_soak.py

clean: ## remove the virtual environment and everything built
	@rm -rf $(VENV) .interop site dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache voiceloop-demo
	@find src tests -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamps: each says that a set of packages is installed; a changed pyproject.toml makes them stale.

$(VENV)/.python:
	@set -e; \
	for name in $(PYTHON) python3.13 python3.12 python3.11 python3 python; do \
	  if "$$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then python="$$name"; break; fi; \
	done; \
	if [ -z "$$python" ]; then \
	  echo "voiceloop needs Python 3.11 or later, and none was found. Install it, or say where it is: make PYTHON=/path/to/python" >&2; exit 1; \
	fi; \
	if ! "$$python" -c 'import ensurepip, venv' 2>/dev/null; then \
	  echo "$$python cannot make virtual environments. On Debian or Ubuntu: apt-get install python3-venv" >&2; exit 1; \
	fi; \
	echo "setting up $(VENV) with $$("$$python" --version)"; \
	"$$python" -m venv $(VENV)
	@$(PIP) install --upgrade 'pip>=25.1'
	@touch $@

$(VENV)/.demo: $(VENV)/.python pyproject.toml
	@echo "installing voiceloop[demo]: once, about a minute"
	@$(PIP) install --editable '.[demo]'
	@touch $@

$(VENV)/.test: $(VENV)/.demo
	@echo "installing the test tools: once"
	@$(PIP) install --group test
	@touch $@

$(VENV)/.lint: $(VENV)/.test
	@echo "installing the checkers: once"
	@$(PIP) install --group lint
	@touch $@

$(VENV)/.docs: $(VENV)/.demo
	@echo "installing the documentation tools: once"
	@$(PIP) install --group docs
	@touch $@
