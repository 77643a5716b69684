# Every target sets up what it needs by itself; see tests/lab/bootstrap.sh.

.DEFAULT_GOAL := help
.PHONY: help images setup check test e2e vm-test soak demo bench lab-up lab-shell lab-down docs pictures clean lint
MAKEFLAGS += --no-print-directory

BOOTSTRAP := tests/lab/bootstrap.sh
PYTHON := .venv/bin/python
# in CI a test that skips is a test that did not run: it counts as failed
NO_SKIPS := $(if $(CI),TUNEGATE_NO_SKIPS=1)
# the kernel of the guest in tests/vm, for every target that boots it
ifdef KERNEL
export TUNEGATE_VM_KERNEL := $(KERNEL)
endif

help: ## print this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## install what the tests and the demo need (root; minutes once, then a second)
	@$(BOOTSTRAP) all

lint:
	@.venv/bin/ruff format --check --quiet . || { .venv/bin/ruff format --diff .; exit 1; }
	@.venv/bin/ruff check --quiet .
	@.venv/bin/mypy --no-error-summary .

check: ## format, lint, types, unit and property tests (no root needed, two minutes)
	@$(BOOTSTRAP) dev
	@$(MAKE) lint
	@.venv/bin/pytest -q $(wildcard tests/unit tests/property tests/golden)

test: ## everything: `make check`, and all tests on the real parts (root)
	@$(BOOTSTRAP) all
	@$(MAKE) lint
	@$(PYTHON) -m tests.lab.images >/dev/null
	@$(NO_SKIPS) .venv/bin/pytest

e2e: ## the chart on a real cluster: two kubelets with containerd, the real images (root)
	@$(BOOTSTRAP) all
	@$(PYTHON) -m tests.lab.images >/dev/null
	@$(NO_SKIPS) .venv/bin/pytest tests/cluster

vm-test: ## what the agent does to real NFS mounts, in a guest (root; KERNEL=6.1 for the older one)
	@$(BOOTSTRAP) all
	@$(NO_SKIPS) .venv/bin/pytest tests/vm

soak: ## half an hour of faults of every kind; the agent must stay well and not grow (root)
	@$(BOOTSTRAP) all
	@$(PYTHON) -m tests.soak

demo: ## watch a GPU node being tuned, proven and opened, end to end (root)
	@$(BOOTSTRAP) demo
	@$(PYTHON) -m tests.lab.demo

bench: ## measure speed and cost of agent and webhook against other ways (root)
	@$(BOOTSTRAP) all
	@$(PYTHON) -m tests.bench

lab-up: ## start the lab and leave it running (root)
	@$(BOOTSTRAP) all
	@$(PYTHON) -m tests.lab up

lab-shell: ## open a shell inside the running lab (root)
	@$(PYTHON) -m tests.lab shell

lab-down: ## end the lab and remove what it left (root)
	@$(PYTHON) -m tests.lab down

# on another base: make images PYTHON_IMAGE=docker.io/library/python:3.13-slim-trixie
images: ## the images as archives with their bills of materials in dist/images; what they weigh (root)
	@$(BOOTSTRAP) all
	@TUNEGATE_PYTHON_IMAGE=$(PYTHON_IMAGE) TUNEGATE_REVISION=$$(git describe --always --abbrev=40 --dirty) \
		$(PYTHON) -m tests.lab.image_release dist/images

docs: ## write the tables of the pages in docs/ from the code
	@$(BOOTSTRAP) dev
	@$(PYTHON) -m docs.generate

pictures: ## draw the dashboards' pictures in docs/ from a real Prometheus (root, ten minutes)
	@$(BOOTSTRAP) all
	@$(PYTHON) -m tests.monitoring.pictures

clean: ## remove what builds and tests left in the repository (not the environment, not the cache)
	@rm -rf .mypy_cache .pytest_cache .ruff_cache .hypothesis dist
	@find . -path ./.venv -prune -o -type d -name __pycache__ -exec rm -rf {} +
