# What can be done here; `make help` lists it.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PREFIX ?= /usr/local
.PHONY: help setup engine images build demo demo-etcd test simulate test-faults test-engines soak lint fmt bench install clean

help: ## List the targets
	@sed -n 's/^\([a-z][a-z-]*\):[^#]*## /\1\t/p' $(MAKEFILE_LIST) | while IFS=$$'\t' read -r name text; do \
	  printf '  %-13s %s\n' "$$name" "$$text"; done

setup: ## Check the tools for building; install what Debian has
	@scripts/setup.sh

engine: ## Make sure that a container engine answers; installs and starts Debian's as root
	@scripts/ensure-engine.sh

images: setup engine ## Make the images of the templates and the tests
	@scripts/images.sh

build: setup ## Build convoke
	cargo build --locked --bin convoke

demo: build engine ## Start Neon at once (simulated), restart it, compare with a start in order
	@scripts/images.sh postgres neon-sim
	@scripts/demo.sh target/debug/convoke

demo-etcd: build engine ## Start three etcd members that need each other, look at them, remove them
	@scripts/images.sh etcd
	@scripts/demo-etcd.sh target/debug/convoke

test: setup ## Run all tests, those on a real engine included
	@scripts/test.sh

simulate: setup ## Play the driver against a simulated engine on random bad days: SEEDS=10000 of them, or SEED=n alone
	@scripts/simulate.sh $(if $(SEED),seed $(SEED),$(SEEDS))

test-faults: setup images ## Restart Neon's storage plane with every two faults at a time (twenty minutes)
	@scripts/test-faults.sh

soak: setup images ## The proofs of docs/reliability.md with their full counts, and mutation testing (hours); PARTS="killed overlap" picks some
	@scripts/soak.sh $(PARTS)

test-engines: setup ## Run tests on engines of their own: newer ones (26.1, 28.5), and one that goes away (root, Debian)
	@scripts/test-engines.sh

lint: setup ## Check format, lints, documentation, shell scripts and dependencies
	@scripts/lint.sh

fmt: ## Format the code
	cargo fmt --all

bench: images ## Measure against docker compose and the engine's own limit; CASES="up-5 down" picks some
	cargo bench --locked --bench cluster -- $(CASES)

install: setup ## Install convoke, its completions and manual page below PREFIX (/usr/local)
	cargo build --locked --release --package convoke
	install -D target/release/convoke $(DESTDIR)$(PREFIX)/bin/convoke
	install -d $(DESTDIR)$(PREFIX)/share/{man/man1,bash-completion/completions,zsh/site-functions,fish/vendor_completions.d}
	target/release/convoke man $(DESTDIR)$(PREFIX)/share/man/man1
	target/release/convoke completions bash >$(DESTDIR)$(PREFIX)/share/bash-completion/completions/convoke
	target/release/convoke completions zsh >$(DESTDIR)$(PREFIX)/share/zsh/site-functions/_convoke
	target/release/convoke completions fish >$(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/convoke.fish

clean: ## Remove what was built (images stay in the engine)
	cargo clean
