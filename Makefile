# The commands that the README names; `make` without a target lists them.

SHELL := /bin/bash
RECIPE ?=
export PATH := $(CURDIR)/.venv/bin:$(PATH)
READY := .venv/ready

help: ## list the commands
	@sed -n 's/^\([a-z-]*\):.*## /  make \1	/p' $(MAKEFILE_LIST)

install: $(READY) ## create .venv from the lock

run: $(READY) ## run the pipeline; RECIPE=oxford first writes params.yaml from that recipe
	@$(if $(RECIPE),petseg use $(RECIPE))
	@petseg check-params
	dvc repro
	dvc metrics show
	@echo "report: $(CURDIR)/reports/report.html"

test: $(READY) ## run the test suite
	python -m pytest --numprocesses logical --dist loadfile

lint: $(READY) ## check style and types
	ruff check .
	ruff format --check .
	mypy
	zizmor --offline --quiet --persona pedantic .github
	check-jsonschema --quiet --builtin-schema vendor.github-workflows .github/workflows/*.yml
	check-jsonschema --quiet --builtin-schema vendor.gitlab-ci docs/gitlab-ci.yml

picture: $(READY) ## make the README's pictures in docs/: the demo's overview, and the page of `petseg try`
	@grep -qx 'recipe: demo' params.yaml || { echo "only the demo's pictures may be published: petseg use demo" >&2; exit 1; }
	dvc repro
	mkdir -p docs
	install -m 644 reports/figures/overview.png docs/demo.png
	python -m tests.picture docs/try.webp

lock: ## write requirements.txt again from pyproject.toml, with hashes
	python3 -m venv .venv-lock && .venv-lock/bin/pip install --quiet uv
	.venv-lock/bin/uv pip compile pyproject.toml --extra web --extra pipeline --extra dev --universal --python-version 3.11 \
		--fork-strategy fewest --generate-hashes --no-emit-index-url --no-header --quiet -o requirements.txt
	rm -rf .venv-lock

# `venv --clear` empties the folder that a linked .venv leads to, which may be somebody's environment.
$(READY): requirements.txt pyproject.toml
	@test ! -L .venv || { echo ".venv is a link to $$(readlink .venv), which may not be replaced: remove the link with 'rm .venv' and run make again" >&2; exit 1; }
	@for python in $(PYTHON) python3 python3.13 python3.12 python3.11; do \
		$$python -c 'import sys, venv; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null && break; python=; \
	done; \
	test -n "$$python" || { echo "Python 3.11, 3.12 or 3.13 with venv is needed; set PYTHON=/path/to/it" >&2; exit 1; }; \
	echo "creating .venv with $$($$python --version); this takes a few minutes once" && \
	$$python -m venv --clear .venv
	.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.txt
	.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

.PHONY: help install run test lint picture lock
