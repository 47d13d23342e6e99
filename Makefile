# `make run`, `check` and `test` need only Python 3.11 or later (with venv), git and make.
PYTHON ?= $(firstword $(wildcard .venv/bin/python) $(shell for p in python3.11 python3.12 python3.13 python3.14 python3; do \
	$$p -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done))
BIN := .venv/bin
UV := $(BIN)/python requirements/uv
# The bundled plugins and the Python scripts are discovered; they are listed nowhere else.
PLUGINS := $(patsubst %/pyproject.toml,%,$(wildcard plugins/*/pyproject.toml))
SCRIPTS = $(shell grep -rlE '^\#!/usr/bin/env python' deploy docs requirements)
# The environment that `make editable` installs into; tox passes its own for other Pythons.
TARGET := $(BIN)/python
COMPILE := $(UV) pip compile --universal --generate-hashes --python-version 3.11 --no-emit-index-url \
	--no-emit-find-links --no-emit-package aliaport --custom-compile-command 'make lock' --quiet
PYTEST := $(BIN)/python -m pytest -q
# Tests of one file run on one worker because they share servers; tests/support/order.py starts long files first.
PARALLEL := -n 2 --dist loadfile --no-loadscope-reorder
# Modules whose branches must all be covered: the API for plugin authors, and code that must not be wrong.
FULLY_COVERED := aliaport/plugin.py aliaport/apps.py aliaport/commands.py aliaport/cgroup.py aliaport/errors.py aliaport/healthcheck.py \
	aliaport/postgres/* aliaport/testing/* aliaport/settings/* */redaction.py */report.py
OTHER_PYTHONS := 3.12 3.13
# pg_dump of the newest version, and all that it loads.
CURRENT_CLIENTS := postgresql-client-18 libpq5 libc6 libssl3t64 zlib1g liblz4-1 libzstd1 libgssapi-krb5-2 libkrb5-3 libk5crypto3 \
	libcom-err2 libkrb5support0 libkeyutils1 libldap2 libsasl2-2 libgnutls30t64
# pyenv's programs work only for selected versions, so select all that are installed.
pythons: export PYENV_VERSION ?= $(shell command -v pyenv >/dev/null && pyenv versions --bare | grep -E '^3\.(11|12|13)\.' | paste -sd:)
comma := ,
# Cache compiled modules even where an image sets this variable: the tests start Python hundreds of times.
export PYTHONDONTWRITEBYTECODE :=
export MYPYPATH := $(subst $() $(),:,$(wildcard plugins/*/src))

.PHONY: help setup run check test lint typing format unit packages docs tests alone computing pythons coverage editable lock \
	system-deps alerts-current kubernetes-current compose-current matrix containers abuse bench image

help:  ## Show this list
	@sed -n 's/^\([a-z-]*\):.*  ## /\1\t/p' Makefile | expand -t 22

setup: .venv/setup.stamp  ## Create the virtual environment .venv with all dependencies

.venv/uv.stamp: requirements/uv.txt
	@test -n "$(PYTHON)" || { echo 'Aliaport needs Python 3.11 or later with its venv module; set PYTHON=/path/to/python' >&2; exit 1; }
	$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt
	@touch $@

.venv/dependencies.stamp: .venv/uv.stamp requirements/dev.txt requirements/uv
	$(UV) pip install --quiet --python $(TARGET) --require-hashes -r requirements/dev.txt
	@touch $@

.venv/setup.stamp: .venv/dependencies.stamp aliaport/__init__.py pyproject.toml $(PLUGINS:=/pyproject.toml)
	@$(MAKE) --no-print-directory editable
	@touch $@

editable:
	$(UV) pip install --quiet --python $(TARGET) --no-build-isolation --no-deps --offline --reinstall \
		$(foreach folder,. $(PLUGINS),-e ./$(folder))

run: setup  ## Start the service with defaults and an embedded database: http://127.0.0.1:8000/
	@exec $(BIN)/aliaport serve

check: setup  ## Run the quick checks (a minute): lint, typing, tests without child processes
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=target lint unit

test: setup  ## Run everything: lint, typing, packages, docs, tests, end to end, other Pythons
	@$(MAKE) --no-print-directory --jobs=3 --output-sync=target static-then-tests pythons
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=target alone computing

# The other Pythons use what these two leave idle.
static-then-tests: setup
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=target lint packages docs
	@$(MAKE) --no-print-directory --output-sync=none tests

lint: setup  ## Run the hooks of .pre-commit-config.yaml on all files, typing included
	@$(BIN)/pre-commit run --all-files

typing: setup  ## Run mypy, strict
	@$(BIN)/mypy
	@for script in $(SCRIPTS); do $(BIN)/mypy --scripts-are-modules $$script || exit 1; done

format: setup  ## Fix and format the code with ruff
	@$(BIN)/pre-commit run --all-files --hook-stage manual

unit: setup  ## Run the tests without child processes
	@$(PYTEST) $(PARALLEL) -m 'not service'

# One more than two: they wait half of the time.
tests: setup  ## Run the tests with services and other programs that can run in parallel
	@$(PYTEST) $(PARALLEL) -n 3 -m 'service and not computes and not alone'

alone: setup  ## Run the tests that few others may run beside: end to end, and the attack
	@$(PYTEST) $(PARALLEL) -m alone --ignore=tests/abuse
	@$(PYTEST) tests/abuse

# At low priority, because the time-sensitive tests of `alone` run beside them.
computing: setup  ## Run the tests that only compute: alert rules, OpenAPI, typing, and those without child processes
	@nice -n 19 $(PYTEST) $(PARALLEL) -m 'not service or computes'

pythons: $(OTHER_PYTHONS:%=python-%)  ## Run the tests without child processes on other installed Pythons

python-%: setup
	@if python$* -c '' 2>/dev/null; then nice -n 19 $(BIN)/tox run -q -e py$(subst .,,$*); \
	else echo "NOT RUN: the tests on Python $*, which is not installed"; fi

packages: setup  ## Build the distributions and check them: contents, metadata, dependencies
	@rm -rf build/dist
	@$(UV) build --all-packages --no-build-isolation --offline --quiet --python $(TARGET) --out-dir build/dist
	@$(BIN)/twine check --strict build/dist/*
	@$(BIN)/check-wheel-contents build/dist/*.whl
	@$(BIN)/deptry aliaport
	@for plugin in $(PLUGINS); do (cd $$plugin && $(CURDIR)/$(BIN)/deptry src) || exit 1; done

# Not with --quiet, which hides warnings from --strict too.
docs: setup  ## Build the documentation site into build/docs; a warning is an error
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

coverage: setup  ## Measure the branch coverage of the tests, child processes included
	@rm -f .coverage .coverage.*
	@$(BIN)/coverage run -m pytest -q $(PARALLEL) -m 'not alone' $(TESTS)
	@$(BIN)/coverage combine --quiet
	@$(BIN)/coverage report
	@$(BIN)/coverage report --fail-under=100 --include="$(subst $() $(),$(comma),$(FULLY_COVERED))"

# Debian's npm pulls in hundreds of packages, so install it only if npm is missing.
system-deps:  ## Install the programs that some tests need (Debian, as root)
	apt-get -q update
	DEBIAN_FRONTEND=noninteractive apt-get -q install -y --no-install-recommends \
		apache2 curl e2fsprogs fuse3 haproxy iproute2 nginx-light openssl pgbouncer postgresql prometheus prometheus-alertmanager \
		prometheus-blackbox-exporter prometheus-node-exporter prometheus-postgres-exporter util-linux varnish
	command -v npm >/dev/null || DEBIAN_FRONTEND=noninteractive apt-get -q install -y --no-install-recommends nodejs npm
	npm ci --prefix tests/elk/types --no-audit --no-fund
	npm ci --prefix tests/grafana/types --no-audit --no-fund

lock: setup  ## Regenerate the hash-pinned requirements files
	$(COMPILE) pyproject.toml $(PLUGINS:=/pyproject.toml) --extra embedded --group dev -o requirements/dev.txt
	$(COMPILE) pyproject.toml $(PLUGINS:=/pyproject.toml) -o requirements/runtime.txt
	$(COMPILE) --group build -o requirements/build.txt
	$(COMPILE) --group installer -c requirements/dev.txt -o requirements/uv.txt

alerts-current: setup  ## Test the alert rules and Alertmanager's configuration with Debian's newest versions
	tests/support/unpack-current .current prometheus promtool prometheus-alertmanager
	PATH="$(CURDIR)/.current/root/usr/bin:$$PATH" $(BIN)/python -m pytest -q tests/alerts/test_rules.py tests/alerts/test_alertmanager_*.py tests/doctor/test_watchers.py

kubernetes-current: setup  ## Build the Kubernetes overlays with Debian's newest Kustomize and test the result
	tests/support/unpack-current .current kustomize
	ALIAPORT_KUSTOMIZE="$(CURDIR)/.current/root/usr/bin/kustomize" $(BIN)/python -m pytest -q tests/kubernetes

compose-current: setup  ## Check the compose files with Debian's newest Docker Compose
	tests/support/unpack-current .current docker-compose
	PATH="$(CURDIR)/.current/root/usr/libexec/docker/cli-plugins:$$PATH" $(BIN)/python -m pytest -q -o python_files='check_*.py' tests/compose

matrix: setup  ## Test the service on PostgreSQL 13 to 18, directly and behind PgBouncer (Debian on x86-64)
	npm ci --prefix tests/matrix/servers --no-audit --no-fund
	tests/support/unpack-current .current $(CURRENT_CLIENTS)
	ALIAPORT_MATRIX=1 $(BIN)/python -m pytest -q tests/matrix

containers: setup  ## Build the image and start the compose files in real containers (Debian 12, root)
	tests/containers/run

abuse: setup  ## Attack the service for five minutes under tight limits, and print what happened (root)
	$(BIN)/python -m tests.abuse

bench: setup  ## Run the benchmarks against comparable tools (a few minutes)
	$(BIN)/python -m tests.benchmarks

image:  ## Build the container image
	docker build -t aliaport:$$(sed -n 's/^__version__ = "\(.*\)"/\1/p' aliaport/__init__.py) .
