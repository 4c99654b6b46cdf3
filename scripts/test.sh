#!/bin/bash
# Runs all tests. Without an engine, those that need one are left out, except in CI (CI=true), which then fails.
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=scripts/lib.sh
source "$here/lib.sh"
cd "$here/.."

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

if command -v cargo-nextest >/dev/null; then
  # nextest leaves the examples in the documentation to cargo.
  cargo test --locked --workspace --doc --quiet
  cargo nextest run --locked "${which[@]}" --no-run
  "${inside[@]}" cargo nextest run --locked "${which[@]}"
else
  cargo test --locked "${which[@]}" --no-run
  "${inside[@]}" cargo test --locked "${which[@]}"
fi
