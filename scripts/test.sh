#!/bin/bash
# Runs all tests. Without an engine, those that need one are left out, except in CI (CI=true), which then fails.
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=scripts/lib.sh
source "$here/lib.sh"
cd "$here/.."

if "$here/ensure-engine.sh"; then
  use_spare_engine
  "$here/images.sh"
elif [[ ${CI:-} == true ]]; then
  die "CI needs an engine"
else
  say "warning: no engine; the tests that need one are left out"
  export CONVOKE_SKIP_DOCKER=1
fi

if command -v cargo-nextest >/dev/null; then
  # nextest leaves the examples in the documentation to cargo.
  cargo test --locked --workspace --doc --quiet
  cargo nextest run --locked --workspace --no-run
  "${inside[@]}" cargo nextest run --locked --workspace
else
  cargo test --locked --workspace --no-run
  "${inside[@]}" cargo test --locked --workspace
fi
