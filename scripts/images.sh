#!/bin/bash
# Makes the images that the templates and the tests use, each only if it isn't there or out of date.
# usage: images.sh [base] [busybox] [etcd] [postgres] [neon-sim] [probe-target]     (all, if none is named)
#        images.sh control-plane     which convoke makes by itself when it is needed
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(dirname "$here")
# shellcheck source=scripts/lib.sh
source "$here/lib.sh"

BASE=debian:bookworm-slim
PLATFORM=$(uname -m)-unknown-linux-gnu

base() { "$root/images/base/build.sh" "$BASE"; }

# from_base TAG DIRECTORY: built once; the label says from which sources, so that a change builds it again.
from_base() {
  local tag=$1 dir=$2 sources
  sources=$(cd "$dir" && find . -type f -print0 | sort -z | xargs -0 sha256sum | sha256sum | cut -c1-16)
  if engine GET "/images/$tag/json" 2>/dev/null | grep -q "\"convoke.sources\":\"$sources\""; then
    say "image $tag is there"
    return
  fi
  base
  say "building $tag"
  build_image "$tag" "$dir" "BASE=$BASE" "SOURCES=$sources"
}

busybox() { from_base convoke-test/busybox:latest "$root/images/busybox"; }
etcd() { from_base convoke/etcd:3.4 "$root/images/etcd"; }
postgres() { from_base convoke/postgres:15 "$root/images/postgres"; }

# static_image PACKAGE REPOSITORY: a program of the workspace, linked statically and packed by its own archive.sh.
static_image() {
  local package=$1 repository=$2 out="$root/target/images" binary="$root/target/$PLATFORM/image/$1"
  mkdir -p "$out"
  # With --target, the flag is for the program alone and not for the macros that run while building.
  (cd "$root" && RUSTFLAGS='-C target-feature=+crt-static' \
    cargo build --quiet --profile image --package "$package" --target "$PLATFORM")
  "$root/images/$package/archive.sh" "$binary" "$out/$package.tar"
  local there=yes tags=0 config tag
  while read -r config tag || [[ -n $config ]]; do
    tags=$((tags + 1))
    [[ $(image_id "$tag") == "sha256:$config" ]] || there=no
  done < <(tar --extract --to-stdout --file "$out/$package.tar" ./manifest.json | tr '{' '\n' |
    sed -n 's/.*"Config":"\([0-9a-f]*\).*"RepoTags":\["\([^"]*\)".*/\1 \2/p')
  ((tags > 0)) || die "$out/$package.tar names no image"
  if [[ $there == yes ]]; then
    say "image $repository is there"
    return
  fi
  say "loading $repository"
  load_archive "$out/$package.tar"
  # The tags have moved: what they were on before is of no use to anyone.
  engine POST "/images/prune?filters=$(urlencode "{\"dangling\":[\"true\"],\"label\":[\"convoke.image=$package\"]}")" >/dev/null
}

probe-target() { static_image probe-target convoke-test/probe-target; }
neon-sim() {
  need busybox busybox-static
  static_image neon-sim convoke/neon-sim
}

# The program that `make build`, the tests and the demo have. It packs and loads itself.
control-plane() {
  (cd "$root" && cargo build --quiet --locked --bin convoke)
  say "image $("${inside[@]}" "$root/target/debug/convoke" neon image) is there"
}

need curl curl ca-certificates
engine_answers || die "no engine answers at ${DOCKER_HOST:-unix:///var/run/docker.sock}; make engine helps"
if [[ $# == 0 ]]; then set -- probe-target base busybox etcd postgres neon-sim; fi
for image in "$@"; do
  case $image in
    base | busybox | etcd | postgres | neon-sim | control-plane | probe-target) "$image" ;;
    *) die "no image $image; there are base, busybox, etcd, postgres, neon-sim, control-plane and probe-target" ;;
  esac
done
