# redis-tutor on Linux, macOS and WSL: needs only Python 3.11 or newer with venv, and make.

ifeq ($(OS),Windows_NT)
$(error redis-tutor runs on Linux, on macOS and in WSL (the Windows Subsystem for Linux), not on Windows)
endif

VENV := .venv
BIN := $(VENV)/bin
MESSAGES := $(VENV)/pip.log

# The Python that you name (make PYTHON=python3.13), or the first one in PATH that is new enough.
ASKED := $(filter command environment,$(firstword $(origin PYTHON)))
NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
ifeq ($(ASKED),)
PYTHON := $(shell for each in python3 python3.14 python3.13 python3.12 python3.11; do \
    $$each -c '$(NEW_ENOUGH)' 2>/dev/null && echo $$each && break; done)
endif
VERSION := import sys; print(sys.version_info[:2])
# Two tests at a time for each processor: many wait for real servers.
WORKERS := $(shell python3 -c 'import os; print(2 * (os.cpu_count() or 1))' 2>/dev/null || echo auto)

.PHONY: tutor test test-compiled lint types verify bench wheel pictures clean FORCE

tutor: $(VENV)/ready
	@$(BIN)/python -m tutor

test: $(VENV)/ready-to-test
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

# The tests of replies and histories on the compiled modules: what runs from its source must do the same.
test-compiled: $(VENV)/ready-to-test
	$(BIN)/python hatch_build.py build/compiled
	cd build/compiled && $(abspath $(BIN))/python -m pytest -n $(WORKERS) --dist worksteal $(COMPILED_TESTS)

COMPILED_TESTS := tests/differential tests/simulation tests/commands tests/keyspace tests/protocol tests/values

wheel: $(VENV)/ready-to-test
	HATCH_BUILD_HOOKS_ENABLE=1 $(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir dist .
	@ls dist/*.whl

lint: $(VENV)/ready-to-test
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .

types: $(VENV)/ready-to-test
	$(BIN)/python -m mypy

verify: $(VENV)/ready
	$(BIN)/python -m tutor verify

bench: $(VENV)/ready-to-test
	$(BIN)/python -m tests.benchmarks

pictures: $(VENV)/ready-to-test
	$(BIN)/python -m tests.screens.pictures

$(VENV)/ready: $(VENV)/made pyproject.toml requirements.lock
	$(call install,requirements.lock)
	@touch $@

$(VENV)/ready-to-test: $(VENV)/made pyproject.toml requirements-test.lock
	$(call install,requirements-test.lock)
	@touch $(VENV)/ready $@

define install
	@echo "redis-tutor: installing $(1) into $(VENV)"
	@{ $(BIN)/python -m pip install --quiet --disable-pip-version-check -r $(1) && \
	   $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -e .; } >$(MESSAGES) 2>&1 || \
	{ echo "redis-tutor: pip could not install them. Is the network reachable? See $(MESSAGES)." >&2; exit 1; }
endef

# Made again when its Python is gone, or is another version than the one that you name.
$(VENV)/made: FORCE
	@now=$$($(BIN)/python -c 'import pip; $(VERSION)' 2>/dev/null); \
	if [ -n "$$now" ] && { [ -z "$(ASKED)" ] || [ "$$now" = "$$("$(PYTHON)" -c '$(VERSION)' 2>/dev/null)" ]; }; \
	    then [ -e $@ ] || touch $@; exit 0; fi; \
	"$(PYTHON)" -c '$(NEW_ENOUGH)' 2>/dev/null || \
	    { echo "redis-tutor needs Python 3.11 or newer$(if $(ASKED),: $(PYTHON) is not,, and PATH has none)." >&2; exit 1; }; \
	"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || \
	    { echo "redis-tutor needs the venv module, which $(PYTHON) lacks. On Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }; \
	"$(PYTHON)" -m venv --clear $(VENV) && touch $@

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis

