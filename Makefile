# Python 3.11 or later (with venv), git and make are all that `make run` and `make test` need.
PYTHON ?= $(firstword $(wildcard .venv/bin/python) $(shell for p in python3.11 python3.12 python3.13 python3.14 python3; do \
	$$p -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done))
BIN := .venv/bin
PLUGINS := $(patsubst %/pyproject.toml,%,$(wildcard plugins/*/pyproject.toml))
EDITABLE := $(foreach folder,. $(PLUGINS),-e $(folder))
COMPILE := $(BIN)/uv pip compile --universal --generate-hashes --python-version 3.11 --no-emit-index-url \
	--no-emit-find-links --custom-compile-command 'make lock' --quiet

.PHONY: help setup run test lock system-deps alerts-current kubernetes-current compose-current containers bench image

help:  ## Show this list
	@sed -n 's/^\([a-z-]*\):.*  ## /\1\t/p' Makefile | expand -t 14

setup: .venv/setup.stamp  ## Make the virtual environment .venv with everything in it

.venv/dependencies.stamp: requirements/dev.txt
	@test -n "$(PYTHON)" || { echo 'Aliaport needs Python 3.11 or later with its venv module; set PYTHON=/path/to/python' >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@touch $@

.venv/setup.stamp: .venv/dependencies.stamp pyproject.toml $(wildcard plugins/*/pyproject.toml)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps --no-index $(EDITABLE)
	@touch $@

run: setup  ## Start the service on its embedded defaults: http://127.0.0.1:8000/
	@exec $(BIN)/aliaport serve

test: setup  ## Run everything: lint, typing, tests, end to end, other Pythons
	@$(BIN)/tox run

# Debian's npm brings hundreds of packages: it is installed only where there is none.
system-deps:  ## Install the programs that some tests need (Debian, as root)
	apt-get -q update
	DEBIAN_FRONTEND=noninteractive apt-get -q install -y --no-install-recommends \
		e2fsprogs fuse3 haproxy iproute2 openssl postgresql prometheus prometheus-alertmanager \
		prometheus-blackbox-exporter prometheus-node-exporter prometheus-postgres-exporter util-linux
	command -v npm >/dev/null || DEBIAN_FRONTEND=noninteractive apt-get -q install -y --no-install-recommends nodejs npm
	npm ci --prefix tests/elk/types --no-audit --no-fund
	npm ci --prefix tests/grafana/types --no-audit --no-fund

lock:  ## Write the hash-pinned requirements files anew
	$(COMPILE) pyproject.toml requirements/plugins.in -o requirements/runtime.txt
	$(COMPILE) --group build -o requirements/build.txt
	$(COMPILE) pyproject.toml requirements/plugins.in --extra embedded --group dev -o requirements/dev.txt

alerts-current: setup  ## Test rules and Alertmanager's configuration with Debian's newest versions
	tests/support/unpack-current .current prometheus promtool prometheus-alertmanager
	PATH="$(CURDIR)/.current/root/usr/bin:$$PATH" $(BIN)/python -m pytest -q tests/alerts/test_rules.py tests/alerts/test_alertmanager_*.py tests/doctor/test_watchers.py

kubernetes-current: setup  ## Build the Kubernetes overlays with Debian's newest Kustomize and test the result
	tests/support/unpack-current .current kustomize
	ALIAPORT_KUSTOMIZE="$(CURDIR)/.current/root/usr/bin/kustomize" $(BIN)/python -m pytest -q tests/kubernetes

compose-current: setup  ## Check the compose files with Debian's newest Docker Compose
	tests/support/unpack-current .current docker-compose
	PATH="$(CURDIR)/.current/root/usr/libexec/docker/cli-plugins:$$PATH" $(BIN)/python -m pytest -q -o python_files='check_*.py' tests/compose

containers: setup  ## Build the image and start the compose files in real containers (Debian 12, root)
	tests/containers/run

bench: setup  ## Measure speed against named rivals (a few minutes)
	$(BIN)/python -m tests.benchmarks

image:  ## Build the container image
	docker build -t aliaport:$$(sed -n 's/^__version__ = "\(.*\)"/\1/p' aliaport/__init__.py) .
