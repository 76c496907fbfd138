# Everything a newcomer needs: `make run` and `make test` set themselves up (Python >= 3.11 with venv, make >= 3.81).
SHELL  := /bin/sh
VENV   := .venv
PY     := $(VENV)/bin/python
# The newest suitable interpreter; override with `make run PYTHON=/path/to/python3.12`.
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3 python3.14 python; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && { echo "$$p"; break; }; done)

# `make run` fronts your own app and sends to TikTok with these (all optional):
UPSTREAM  ?=
PIXEL     ?=
TOKEN     ?=
TEST_CODE ?=
export UPSTREAM PIXEL TOKEN TEST_CODE

.PHONY: help run test lint format bench compiled test-compiled snippet snippet-check manifests lock clean python-ok
help: ## what can be made
	@grep -E '^[a-z-]+: .*##|^[a-z-]+: ##' $(MAKEFILE_LIST) | sed -E 's/:.*## */\t/' | expand -t 12

python-ok:
	@if [ -z "$(PYTHON)" ]; then \
	  echo "ttgateway needs Python 3.11 or newer, and none was found on PATH."; \
	  echo "  Debian/Ubuntu: apt-get install python3 python3-venv     macOS: brew install python"; \
	  echo "  or name one:   make $(MAKECMDGOALS) PYTHON=/path/to/python3"; exit 1; fi
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
	  echo "$(PYTHON) has no venv module. Debian/Ubuntu: apt-get install python3-venv"; exit 1; }

$(PY): | python-ok
	@echo "Setting up $(VENV) with $$($(PYTHON) --version) ..."
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.run-stamp: requirements.lock requirements-install.lock pyproject.toml | $(PY)
	@echo "Installing what the gateway needs (pinned by hash) ..."
	@$(PY) -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock -r requirements-install.lock
	@$(PY) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.dev-stamp: requirements-dev.lock pyproject.toml | $(PY)
	@echo "Installing what tests, lint and benchmarks need (pinned by hash) ..."
	@$(PY) -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@$(PY) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@ $(VENV)/.run-stamp

run: $(VENV)/.run-stamp  ## the gateway in front of a demo shop (or your app), TikTok sandbox behind it
	@exec $(PY) -m gateway demo

# Files side by side, three also on two cores: most tests wait for processes. ARGS="-n 0" runs one test after the other.
SIDE_BY_SIDE := -n 3 --dist loadfile
test: $(VENV)/.dev-stamp  ## the whole test suite
	@$(PY) -m pytest $(SIDE_BY_SIDE) $(ARGS)

lint: $(VENV)/.dev-stamp  ## ruff, mypy --strict, import contracts
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	$(VENV)/bin/lint-imports --no-cache

format: $(VENV)/.dev-stamp  ## let ruff format and fix
	$(PY) -m ruff format .
	$(PY) -m ruff check --fix .

# Compiled from a copy: the extension modules must not lie beside the sources, which they would shadow.
COMPILED := .venv-compiled
dist/.compiled-stamp: $(shell find gateway -name '*.py') pyproject.toml | $(VENV)/.dev-stamp
	@echo "Compiling the data path (about a minute) ..."
	@rm -rf build/compiled && mkdir -p build/compiled dist && cp -r gateway pyproject.toml README.md LICENSE build/compiled/
	@cd build/compiled && HATCH_BUILD_HOOK_ENABLE_MYPYC=1 ../../$(PY) -m pip wheel --quiet --disable-pip-version-check \
	  --no-deps --no-build-isolation -w wheel .
	@rm -f dist/*.whl && cp build/compiled/wheel/*.whl dist/ && rm -rf build/compiled && touch $@

compiled: dist/.compiled-stamp  ## a wheel of the same sources with the data path compiled, in dist/ (needs a C compiler)
	@ls dist/*.whl

$(COMPILED)/.stamp: dist/.compiled-stamp requirements.lock
	@$(PYTHON) -m venv $(COMPILED)
	@$(COMPILED)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(COMPILED)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --force-reinstall dist/*.whl
	@touch $@

test-compiled: $(VENV)/.dev-stamp $(COMPILED)/.stamp  ## the data path's tests against the compiled build
	@PYTHONSAFEPATH=1 PYTHONPATH=$$(echo $(CURDIR)/$(COMPILED)/lib/python3*/site-packages) $(VENV)/bin/pytest -q $(SIDE_BY_SIDE) tests/unit/event tests/unit/identity \
	  tests/unit/consent tests/unit/mapping tests/unit/edge tests/unit/spool tests/unit/delivery tests/unit/catalog \
	  tests/integration/edge tests/integration/test_run.py tests/integration/test_whole_way.py tests/integration/test_delivery.py tests/integration/test_kill.py $(ARGS)

# Measured is what a container runs: the compiled build, where a C compiler is there to make it. PURE=1 measures the interpreted one.
BENCHED := $(if $(PURE),,$(shell command -v $${CC:-cc} >/dev/null 2>&1 && echo $(COMPILED)))
bench: $(VENV)/.dev-stamp $(if $(BENCHED),$(COMPILED)/.stamp)  ## the benchmark table; QUICK=1 for a short version, PURE=1 without compiling, KEEP=1 as the new reference
	@$(PY) -m benchmarks $(if $(QUICK),--quick) $(if $(KEEP),--keep) $(if $(BENCHED),--python $(COMPILED)/bin/python) $(ARGS)

SNIPPET := gateway/snippet/source
$(SNIPPET)/node_modules/.stamp: $(SNIPPET)/package-lock.json
	@cd $(SNIPPET) && npm ci --silent && touch node_modules/.stamp

snippet: $(SNIPPET)/node_modules/.stamp  ## the client script, built anew (needs node and npm); commit what changes
	@cd $(SNIPPET) && node build.mjs

snippet-check: $(SNIPPET)/node_modules/.stamp
	@cd $(SNIPPET) && node build.mjs --check

MANIFESTS := .venv-manifests
$(MANIFESTS)/.stamp: requirements-manifests.lock deploy/checks/package-lock.json | python-ok
	@$(PYTHON) -m venv $(MANIFESTS)
	@$(MANIFESTS)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-manifests.lock
	@$(MANIFESTS)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@cd deploy/checks && npm ci --silent --ignore-scripts && touch $(CURDIR)/$@

manifests: $(MANIFESTS)/.stamp  ## judge k8s/ and deploy/ (needs npm, promtool of Debian's prometheus, bubblewrap)
	@$(MANIFESTS)/bin/python deploy/generate.py --check
	@$(MANIFESTS)/bin/python -m pytest -q deploy/checks $(ARGS)

lock:  ## renew the lock files (needs uv)
	uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate \
	  --custom-compile-command "make lock" -q -o requirements.lock
	uv pip compile pyproject.toml --group dev --group bench --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-annotate --custom-compile-command "make lock" -q -o requirements-dev.lock
	uv pip compile pyproject.toml --group dev --group manifests -c requirements-dev.lock --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-annotate --custom-compile-command "make lock" -q -o requirements-manifests.lock
	uv pip compile pyproject.toml --extra jetstream -c requirements-dev.lock --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-annotate --custom-compile-command "make lock" -q -o requirements-jetstream.lock
	uv pip compile --group pyproject.toml:install -c requirements-dev.lock --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-annotate --custom-compile-command "make lock" -q -o requirements-install.lock
	uv pip compile --group pyproject.toml:image -c requirements-dev.lock --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-annotate --custom-compile-command "make lock" -q -o requirements-image.lock

clean:  ## remove the environment, caches and the demo's state
	rm -rf $(VENV) $(COMPILED) $(MANIFESTS) .run .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
