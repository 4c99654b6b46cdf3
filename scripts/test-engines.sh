#!/bin/bash
# Tests on engines of their own: what convoke asks of an engine, on a newer one than the machine's; and what it does
# when its engine is restarted, ends or crashes, which no test may do to the machine's.
# usage: test-engines.sh [26] [outage]     (both, if none is named)
#        test-engines.sh contract          the first and shortest part of 26, which is in `make test` too
#        test-engines.sh killed|restarts   one test alone, at KILLS or RESTARTS moments: parts of `make soak`
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=scripts/lib.sh
source "$here/lib.sh"
cd "$here/.."
need ps procps

# The process's number keeps two runs apart.
newer=t26-$$
outage=out-$$
trap '"$here/engine-26.sh" remove "$newer"; "$here/engine-private.sh" remove "$outage"' EXIT
trap 'exit 130' INT TERM

# start SCRIPT NAME: starts an engine with the test image on it; sets `host` and `netns`.
start() {
  local reached
  reached=$("$here/$1" start "$2")
  host=$(sed -n 's/^DOCKER_HOST=//p' <<<"$reached")
  netns=$(sed -n 's/^NETNS=//p' <<<"$reached")
  say "engine $(DOCKER_HOST=$host engine GET /version | sed 's/.*"Version":"\([^"]*\)","ApiVersion":"\([^"]*\)".*/\1, API \2/')"
  DOCKER_HOST=$host "$here/images.sh" probe-target
}

# tests TARGET [FILTER] [VARIABLE=VALUE…]: runs them where the engine's containers can be reached.
tests() {
  local target=$1 filter=${2:-}; shift; shift || true
  local -a runner=(cargo test)
  if command -v cargo-nextest >/dev/null; then runner=(cargo nextest run); fi
  # A folder that the engine sees too, though its root is another.
  local folder=${host#unix://}; folder=${folder%/sock}/tmp
  mkdir -p "$folder"
  # What it needs is built and there: no registry can be reached from inside.
  nsenter --net="$netns" env DOCKER_HOST="$host" TMPDIR="$folder" "$@" \
    "${runner[@]}" --locked --offline --test "$target" ${filter:+"$filter"}
}

on_contract() {
  start engine-26.sh "$newer"
  tests contract on_docker
}

on_26() {
  on_contract
  tests docker_engine
  tests cli start::
  tests engines killed:: RUST_TEST_THREADS=1 CONVOKE_OWN_ENGINE="engine-26.sh $newer"
}

on_outage() {
  start engine-private.sh "$outage"
  tests engines '' RUST_TEST_THREADS=1 CONVOKE_OWN_ENGINE="engine-private.sh $outage"
}

on_killed() {
  start engine-private.sh "$outage"
  tests engines killed:: RUST_TEST_THREADS=1 CONVOKE_OWN_ENGINE="engine-private.sh $outage" CONVOKE_KILLS="$KILLS" \
    NEXTEST_PROFILE=soak
}

on_restarts() {
  start engine-private.sh "$outage"
  tests engines restarted_at_any_moment RUST_TEST_THREADS=1 CONVOKE_OWN_ENGINE="engine-private.sh $outage" \
    CONVOKE_RESTARTS="$RESTARTS" NEXTEST_PROFILE=soak
}

if [[ $# == 0 ]]; then set -- 26 outage; fi
case $* in
  killed | restarts) export KILLS=${KILLS:-20} RESTARTS=${RESTARTS:-2} ;;
  *) cargo build --locked --tests --bins ;;
esac
if [[ $* != contract ]]; then cargo build --locked --test engines; fi
for part in "$@"; do
  case $part in
    26 | outage | contract | killed | restarts) "on_$part" ;;
    *) die "usage: $0 [26] [outage] | contract | killed | restarts" ;;
  esac
done
