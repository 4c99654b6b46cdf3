#!/bin/bash
# An engine of another Debian than the machine's, beside the machine's own. Not to be run: engine-26.sh and its like set
# the suite, and source it.
# start|stop|remove NAME      as engine-private.sh
# root      prints where its root file system is, which has the plugins docker compose and buildx too
# The root file system is made once, under target/engines or $CONVOKE_ENGINES, from the machine's own mirrors.
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=scripts/lib.sh
source "$here/lib.sh"
# shellcheck source=scripts/own-engine.sh
source "$here/own-engine.sh"

root=${CONVOKE_ENGINES:-$(dirname "$here")/target/engines}/${suite:?}

# The root file system, complete or not at all.
make_root() {
  [[ ! -e $root/usr/sbin/dockerd ]] || return 0
  need mmdebstrap mmdebstrap
  # The engine lists a container's processes with ps.
  say "making the root of Debian $suite with docker.io, docker-buildx and docker-compose"
  mkdir -p "$(dirname "$root")"
  local new mirror; new=$(mktemp --directory "$root.XXXX")
  mirror=$(debian_mirror)
  # A mirror that lags behind is no danger to tests.
  mmdebstrap --quiet --mode=root --variant=minbase \
    --include=docker.io,docker-buildx,docker-compose,iptables,ca-certificates,procps \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
    --aptopt='Acquire::Check-Valid-Until "false"' \
    "$suite" "$new" ${mirror:+"deb $mirror $suite main"} >&2
  chmod 0755 "$new"
  # Another run may have made it meanwhile.
  mv --no-target-directory "$new" "$root" 2>/dev/null || rm -rf "$new"
  [[ -e $root/usr/sbin/dockerd ]] || die "the root of Debian $suite can't be made at $root"
}

USAGE="usage: $0 start|stop|remove NAME, or $0 root"
if [[ $* == root ]]; then
  make_root
  echo "$root"
  exit
fi
[[ $# == 2 ]] || die "$USAGE"
own_engine "$2"
case $1 in
  start)
    make_root
    start_own_engine "$root"
    ;;
  stop) stop_own_engine ;;
  remove) remove_own_engine ;;
  *) die "$USAGE" ;;
esac
