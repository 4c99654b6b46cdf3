#!/bin/bash
# A second engine, of the machine's own dockerd, for tests that stop, restart or fill an engine.
# usage: engine-private.sh start|bounce|stop|remove NAME
#   start   starts it, or finds it running; prints DOCKER_HOST=… and NETNS=…
#   bounce  ends it and starts it anew beside its containers, which go on (live-restore)
#   stop    ends it and its containers; a later start finds images, volumes and containers as they were
#   remove  stops it and removes all of it
# Its containers' addresses are reached from its network namespace only: nsenter --net=$NETNS PROGRAM
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=scripts/lib.sh
source "$here/lib.sh"
# shellcheck source=scripts/own-engine.sh
source "$here/own-engine.sh"

[[ $# == 2 ]] || die "usage: $0 start|bounce|stop|remove NAME"
own_engine "$2"
case $1 in
  start)
    need dockerd docker.io
    start_own_engine /
    ;;
  bounce) bounce_own_engine ;;
  stop) stop_own_engine ;;
  remove) remove_own_engine ;;
  *) die "usage: $0 start|bounce|stop|remove NAME" ;;
esac
