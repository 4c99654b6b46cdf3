#!/bin/bash
# Makes sure that an engine answers: installs and starts Debian's where this is root on Debian, else says how.
# An engine that answers is left alone, and so is a DOCKER_HOST that somebody has set.
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=scripts/lib.sh
source "$here/lib.sh"

# Time that a new engine may take, in seconds.
PATIENCE=60
LOG=/var/log/dockerd-convoke.log

need curl curl ca-certificates
if engine_answers && ! engine_is_stuck; then
  say "an engine answers at ${DOCKER_HOST:-unix:///var/run/docker.sock}"
  exit 0
fi
if [[ -f $SPARE ]]; then
  # The one that was started in its place is gone: look at the machine's again.
  rm "$SPARE"
  unset DOCKER_HOST
  exec "$0"
fi
if engine_answers; then
  say "the engine at ${DOCKER_HOST:-unix:///var/run/docker.sock} answers, but hangs when asked for its networks: it is stuck"
  [[ -z ${DOCKER_HOST:-} ]] || die "restart it, or unset DOCKER_HOST"
  is_root || die "restart it (sudo systemctl restart docker)"
  say "starting one of our own instead; the stuck one is left alone"
  mkdir -p "$(dirname "$SPARE")"
  need slirp4netns slirp4netns
  "$here/engine-private.sh" start spare >"$SPARE.new"
  # Builds in it install packages: a way out, in user space, that changes nothing on this machine.
  setsid --fork slirp4netns --configure --mtu=1500 --netns-type=path /run/netns/convoke-spare tap0 >/dev/null 2>&1 </dev/null
  # Whole or not at all: the scripts read it from here on.
  mv "$SPARE.new" "$SPARE"
  exit 0
fi
[[ -z ${DOCKER_HOST:-} ]] || die "no engine answers at DOCKER_HOST=$DOCKER_HOST; correct it or unset it"
if [[ -S /var/run/docker.sock ]] && ! is_root; then
  die "the engine's socket is there but this user may not use it; join its group: sudo usermod -aG docker $USER"
fi
is_root || die "no engine answers; install Docker Engine (on Debian: sudo apt-get install docker.io) and start it"

need dockerd docker.io
need iptables iptables
if [[ -d /run/systemd/system ]]; then
  systemctl start docker
else
  say "starting dockerd in the background; its log is $LOG"
  setsid --fork dockerd >>"$LOG" 2>&1 </dev/null
fi
for ((n = 0; n < PATIENCE * 5; n++)); do
  if engine_answers; then
    say "the engine is there"
    exit 0
  fi
  sleep 0.2
done
tail -n 20 "$LOG" >&2 2>/dev/null || true
die "the engine was started but doesn't answer after $PATIENCE s"
