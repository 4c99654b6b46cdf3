#!/bin/bash
# Tests on engines of their own: what convoke asks of an engine, on newer ones than the machine's (26.1 and 28.5); and
# what it does when its engine is restarted, ends or crashes, which no test may do to the machine's.
# usage: test-engines.sh [26] [28] [outage]     (all, if none is named)
#        test-engines.sh contract          the first and shortest part of 26, which is in `make test` too
#        test-engines.sh killed|restarts   one test alone, at KILLS or RESTARTS moments: parts of `make soak`
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=scripts/lib.sh
source "$here/lib.sh"
cd "$here/.."
need ps procps

# start SCRIPT: starts an engine with the test image on it, in place of the one before; sets `host`, `netns`, and `own` to
# its script and name.
own=()
start() {
  local reached
  remove
  # The process's number keeps two runs apart.
  own=("$1" "t-$$")
  reached=$("$here/$1" start "${own[1]}")
  host=$(sed -n 's/^DOCKER_HOST=//p' <<<"$reached")
  netns=$(sed -n 's/^NETNS=//p' <<<"$reached")
  say "engine $(DOCKER_HOST=$host engine GET /version | sed 's/.*"Version":"\([^"]*\)","ApiVersion":"\([^"]*\)".*/\1, API \2/')"
  DOCKER_HOST=$host "$here/images.sh" probe-target
}

remove() {
  if ((${#own[@]})); then "$here/${own[0]}" remove "${own[1]}"; fi
  own=()
}
trap remove EXIT
trap 'exit 130' INT TERM

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

# ending [FILTER] [VARIABLE=VALUE…]: tests that end their engine.
ending() {
  local filter=${1:-}; shift || true
  tests engines "$filter" RUST_TEST_THREADS=1 CONVOKE_OWN_ENGINE="${own[*]}" "$@"
}

on_contract() {
  start engine-26.sh
  tests contract on_docker
}

newer() {
  start "$1"
  tests contract on_docker
  tests docker_engine
  tests cli start::
  tests cli newer_engines::
  ending killed::
}
on_26() { newer engine-26.sh; }
on_28() { newer engine-28.sh; }

on_outage() {
  start engine-private.sh
  ending
}

on_killed() {
  start engine-private.sh
  ending killed:: CONVOKE_KILLS="$KILLS" NEXTEST_PROFILE=soak
}

on_restarts() {
  start engine-private.sh
  ending restarted_at_any_moment CONVOKE_RESTARTS="$RESTARTS" NEXTEST_PROFILE=soak
}

if [[ $# == 0 ]]; then set -- 26 28 outage; fi
case $* in
  killed | restarts) export KILLS=${KILLS:-20} RESTARTS=${RESTARTS:-2} ;;
  *) cargo build --locked --tests --bins ;;
esac
if [[ $* != contract ]]; then cargo build --locked --test engines; fi
for part in "$@"; do
  case $part in
    26 | 28 | outage | contract | killed | restarts) "on_$part" ;;
    *) die "usage: $0 [26] [28] [outage] | contract | killed | restarts" ;;
  esac
done
