#!/bin/bash
# Restarts Neon's storage plane (simulated) with every two faults at a time, which takes too long for make test.
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=scripts/lib.sh
source "$here/lib.sh"
cd "$here/.."

test=neon::faults::faults_of_every_two_components
if command -v cargo-nextest >/dev/null; then
  "${inside[@]}" cargo nextest run --locked --test cli --run-ignored only --no-capture -E "test(=$test)"
else
  "${inside[@]}" cargo test --locked --test cli -- --ignored --exact --nocapture "$test"
fi
