#!/bin/bash
# Runs all tests. Without an engine, those that need one are left out, except in CI (CI=true), which then fails.
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=scripts/lib.sh
source "$here/lib.sh"
cd "$here/.."
# Tests send signals with its kill, and the engine lists processes with its ps.
need ps procps

# Which tests; all, unless there is no engine.
which=(--workspace)
if "$here/ensure-engine.sh"; then
  use_spare_engine
  "$here/images.sh"
elif [[ ${CI:-} == true ]]; then
  die "CI needs an engine"
else
  say "warning: no engine; the tests that need one are left out"
  export CONVOKE_SKIP_DOCKER=1
  which=(--workspace --lib --bins --test layers --test contract --test wire_storage --test wire_controller)
fi

# A newer engine, and with it docker compose v2. First, so that the summary of the other tests closes the output.
on_newer_engine() {
  "$here/test-engines.sh" contract
  [[ -z ${COMPOSE_BIN:-} ]] || return 0
  COMPOSE_BIN=$("$here/engine-26.sh" root)/usr/libexec/docker/cli-plugins/docker-compose
  export COMPOSE_BIN
}
if [[ -n ${CONVOKE_SKIP_DOCKER:-} ]]; then :
elif may_run_engines; then on_newer_engine
else say "warning: this isn't root on Debian: the contract isn't tested on Docker 26.1"
fi
if [[ -z ${CONVOKE_SKIP_DOCKER:-}${COMPOSE_BIN:-} ]] && ! docker compose version >/dev/null 2>&1; then
  say "warning: no docker compose v2: what it makes of our clusters isn't tested (COMPOSE_BIN=PROGRAM names one)"
fi

if command -v cargo-nextest >/dev/null; then
  # nextest leaves the examples in the documentation to cargo.
  cargo test --locked --workspace --doc --quiet
  cargo nextest run --locked "${which[@]}" --no-run
  "${inside[@]}" cargo nextest run --locked "${which[@]}"
else
  cargo test --locked "${which[@]}" --no-run
  "${inside[@]}" cargo test --locked "${which[@]}"
fi
