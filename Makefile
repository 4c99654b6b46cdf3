# What can be done here; `make help` lists it.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help setup engine images build demo test lint fmt bench install clean

help: ## List the targets
	@sed -n 's/^\([a-z][a-z-]*\):[^#]*## /\1\t/p' $(MAKEFILE_LIST) | while IFS=$$'\t' read -r name text; do \
	  printf '  %-10s %s\n' "$$name" "$$text"; done

setup: ## Check the tools for building; install what Debian has
	@scripts/setup.sh

engine: ## Make sure that a container engine answers; installs and starts Debian's as root
	@scripts/ensure-engine.sh

images: setup engine ## Make the images of the templates and the tests
	@scripts/images.sh

build: setup ## Build convoke
	cargo build --locked

demo: build engine ## Start three etcd members that need each other, look at them, remove them
	@scripts/images.sh etcd
	@scripts/demo.sh target/debug/convoke

test: setup ## Run all tests, those on a real engine included
	@scripts/test.sh

lint: setup ## Check format, lints, documentation, shell scripts and dependencies
	@scripts/lint.sh

fmt: ## Format the code
	cargo fmt --all

bench: images ## Measure against docker compose and the engine's own limit
	cargo bench --locked

install: setup ## Install convoke into cargo's folder of programs
	cargo install --locked --path .

clean: ## Remove what was built (images stay in the engine)
	cargo clean
