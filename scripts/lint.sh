#!/bin/bash
# Everything that is checked without running the program.
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=scripts/lib.sh
source "$here/lib.sh"
cd "$here/.."

cargo fmt --all --check
cargo clippy --locked --workspace --all-targets -- -D warnings
RUSTDOCFLAGS='-D warnings' cargo doc --locked --workspace --no-deps --document-private-items
# In CI it has to be there; elsewhere it is left out where it can't be had.
if [[ ${CI:-} == true ]]; then need shellcheck shellcheck
else (need shellcheck shellcheck) 2>/dev/null || true
fi
if command -v shellcheck >/dev/null; then
  shellcheck --external-sources scripts/*.sh images/*/*.sh .ci/run
else
  say "shellcheck isn't installed: the scripts aren't checked"
fi
if command -v cargo-deny >/dev/null; then
  # Advisories need a network: the workflow on the forge checks them.
  cargo deny --workspace --offline check bans licenses sources
else
  say "cargo-deny isn't installed: licences and duplicates of dependencies aren't checked"
fi
