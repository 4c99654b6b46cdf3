#!/bin/bash
# Plays seeds of the simulation: the whole driver against a simulated engine, each seed a random cluster on a random day.
# usage: simulate.sh [NUMBER]       so many seeds (1000), and what they covered
#        simulate.sh seed SEED      one alone, with its story
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=scripts/lib.sh
source "$here/lib.sh"
cd "$here/.."

case ${1:-1000} in
  seed) export CONVOKE_SEED=${2:?which seed?} ;;
  *[!0-9]*) die "usage: $0 [NUMBER] | seed SEED" ;;
  *) export CONVOKE_SEEDS=${1:-1000} ;;
esac
# Many seeds are worth an optimised build.
profile=()
if [[ ${CONVOKE_SEEDS:-0} -gt 2000 ]]; then profile=(--release); fi
# What a seed that fails says is enough to replay it.
export RUST_BACKTRACE=${RUST_BACKTRACE:-0}
exec cargo test --locked "${profile[@]}" --lib -- --exact --nocapture drive::tests::random::any_cluster_converges_on_a_bad_day
