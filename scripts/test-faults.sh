#!/bin/bash
# Restarts Neon's storage plane (simulated) with each fault and every two at a time, which takes too long for make test.
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=scripts/lib.sh
source "$here/lib.sh"
cd "$here/.."

if command -v cargo-nextest >/dev/null; then
  "${inside[@]}" cargo nextest run --locked --test cli --run-ignored only --no-capture -E 'test(/^neon::(faults|starts)::/)'
else
  "${inside[@]}" cargo test --locked --test cli -- --ignored --nocapture neon::faults:: neon::starts::
fi
