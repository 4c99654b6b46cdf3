#!/bin/bash
# What takes too long for `make test`: the proofs with their full counts, and mutation testing.
# usage: soak.sh [simulate] [killed] [restarts] [overlap] [supervised] [events] [mutants]     all, if none is named
# Counts, for shorter pieces: SEEDS KILLS RESTARTS ROUNDS EVENTS; of the mutants one part, such as SHARD=0/8, and JOBS at a time.
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=scripts/lib.sh
source "$here/lib.sh"
cd "$here/.."

# The pure parts: what is decided, and when.
MUTATED=(src/plan/gates.rs src/plan/diff.rs src/plan/addresses/subnets.rs src/plan/addresses/hosts.rs
  src/drive/pace.rs src/drive/retry.rs src/drive/advance.rs src/drive/exits.rs src/drive/verdict.rs)
MUTANTS_VERSION=27.1.0
PARTS=(simulate killed restarts overlap supervised events mutants)

on_simulate() { "$here/simulate.sh" "${SEEDS:-10000}"; }

# A mutant is an edit that a test should notice. Each is built and tried against the unit tests of the parts above, in a
# copy of this folder; those that nobody notices are listed in target/mutants.out/missed.txt.
on_mutants() {
  local tools=target/tools/bin
  if [[ ! -x $tools/cargo-mutants ]]; then
    cargo install --quiet --locked --root target/tools --version "$MUTANTS_VERSION" cargo-mutants
  fi
  local -a files=()
  local file
  for file in "${MUTATED[@]}"; do files+=(--file "$file"); done
  # With nextest the first test that notices ends it, the quick ones first (.config/nextest.toml).
  local -a tests=(--test-tool cargo -- --locked --lib -- plan:: drive::)
  if command -v cargo-nextest >/dev/null; then
    tests=(--test-tool nextest -- --locked --lib -E 'test(/^(plan|drive)::/)')
  fi
  # Fewer seeds: a mutant that they notice is noticed early. 2 and 3 mean that some were missed or took too long.
  CONVOKE_SEEDS=${MUTANT_SEEDS:-100} NEXTEST_PROFILE=mutants PATH=$PWD/$tools:$PATH \
    cargo mutants "${files[@]}" ${SHARD:+--shard "$SHARD"} --output target --jobs "${JOBS:-1}" --timeout 300 --build-timeout 900 \
    --profile mutants --cap-lints true --no-shuffle "${tests[@]}" || [[ $? == [23] ]]
  say "missed:"
  cat target/mutants.out/missed.txt target/mutants.out/timeout.txt >&2
}

# The tests below run against what is built here; images are loaded by `make images`.
on_killed() { KILLS=${KILLS:-100} "$here/test-engines.sh" killed; }
on_restarts() { RESTARTS=${RESTARTS:-20} "$here/test-engines.sh" restarts; }

on_overlap() {
  if [[ -z ${COMPOSE_BIN:-} ]] && may_run_engines; then
    COMPOSE_BIN=$("$here/engine-26.sh" root)/usr/libexec/docker/cli-plugins/docker-compose
    export COMPOSE_BIN
  fi
  use_spare_engine
  CONVOKE_ROUNDS=${ROUNDS:-20} cli --test-threads 1 overlap::
}

on_supervised() {
  use_spare_engine
  cli --include-ignored --test-threads 1 neon::supervised::
}

on_events() {
  use_spare_engine
  CONVOKE_EVENTS=${EVENTS:-100000} cli flood::
}

# cli ARGUMENT…: whole-program tests, with what they say.
cli() { "${inside[@]}" cargo test --locked --test cli -- --nocapture "$@"; }

if [[ $# == 0 ]]; then set -- "${PARTS[@]}"; fi
for part in "$@"; do
  case $part in
    simulate | killed | restarts | overlap | supervised | events | mutants)
      say "$part, from $(date --utc +%H:%M:%S)"
      "on_$part"
      ;;
    *) die "usage: $0 [PART…], of: ${PARTS[*]}" ;;
  esac
done
say "done at $(date --utc +%H:%M:%S)"
