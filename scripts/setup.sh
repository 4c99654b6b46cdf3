#!/bin/bash
# Checks for what building convoke needs, and installs Debian's part of it where it may.
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=scripts/lib.sh
source "$here/lib.sh"

wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$here/../Cargo.toml")
command -v cargo >/dev/null || die "no cargo; install Rust $wanted or later with rustup, and run this again"
has=$(rustc --version | cut -d' ' -f2)
oldest=$(printf '%s\n' "$wanted" "$has" | sort --version-sort | head -n 1)
[[ $oldest == "$wanted" ]] || die "rustc $has is older than $wanted; rustup update brings a newer one"

need cc gcc libc6-dev
need curl curl ca-certificates
need tar tar
# The tests of images/neon-sim run a Postgres each, from files of their own.
postgres_server
say "rustc $has and the tools for building are there"
