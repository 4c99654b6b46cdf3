# Engines of our own, for tests: each with its own network and mount namespace, folder and socket, so that the
# machine's engine never notices and nothing stays mounted when the last process has ended. Source it after lib.sh.
# shellcheck shell=bash

# Time that an engine may take to start or stop, in seconds.
PATIENCE=40

# own_engine NAME: sets `dir`, which holds all that the engine writes, and `ns`, the name of its network namespace.
own_engine() {
  [[ $1 =~ ^[a-z0-9][a-z0-9-]{0,20}$ ]] || die "an engine's name has up to 21 lower-case letters, digits and dashes"
  is_root || die "an engine of one's own needs root"
  # Short on purpose: the kernel limits a socket's path to 107 bytes, and containerd adds to it.
  dir=/tmp/convoke-engine-$1
  ns=convoke-$1
}

# start_own_engine ROOT: starts the dockerd of a root file system, / for the machine's; prints how to reach it.
start_own_engine() {
  need ip iproute2
  need iptables iptables
  mkdir -p "$dir"
  ip netns list | grep -qw "$ns" || ip netns add "$ns"
  # Loopback is all that containers and tests on this machine need.
  ip -n "$ns" link set lo up
  if ! answers; then
    end_processes
    # A new engine would take these for a sign that the processes live.
    rm -f "$dir/pid" "$dir/sock" "$dir/exec/containerd/"*.{pid,sock,ttrpc}
    # The machine's own settings aren't ours.
    echo '{}' >"$dir/daemon.json"
    nsenter --net="/run/netns/$ns" unshare --mount --propagation private \
      setsid bash -c "$(declare -f inside daemon); inside \"\$@\"" inside "$dir" "$1" >>"$dir/log" 2>&1 </dev/null &
    await_engine $!
  fi
  # Its networks are reached from inside its namespace only: nsenter --net=FILE PROGRAM.
  echo "DOCKER_HOST=unix://$dir/sock"
  echo "NETNS=/run/netns/$ns"
}

# await_engine PID: until it answers, or has ended.
await_engine() {
  local n
  for ((n = 0; n < PATIENCE * 10; n++)); do
    if answers; then return; fi
    [[ -d /proc/$1 ]] || break
    sleep 0.1
  done
  tail -n 20 "$dir/log" >&2
  die "the engine doesn't answer at $dir/sock"
}

answers() { [[ -S $dir/sock && $(DOCKER_HOST=unix://$dir/sock engine GET /_ping --max-time 2 2>/dev/null) == OK ]]; }

# inside DIR ROOT: becomes the engine. Runs in the namespaces; every mount here ends with them.
inside() {
  set -euo pipefail
  local dir=$1 root=$2
  if [[ $root != / ]]; then
    mount --bind "$root" "$root"
    mount -t proc proc "$root/proc"
    mount --rbind /sys "$root/sys"
    mount --rbind /dev "$root/dev"
    mount -t tmpfs tmpfs "$root/run"
    mount -t tmpfs tmpfs "$root/tmp"
    mkdir -p "$root$dir" "$root/run/old"
    mount --bind "$dir" "$root$dir"
    cd "$root"
    pivot_root . run/old
    umount --lazy /run/old
    cd /
  elif [[ -d /run/containerd ]]; then
    # Where containerd's shims have their sockets, whichever engine they belong to.
    mount -t tmpfs tmpfs /run/containerd
  fi
  daemon "$dir"
}

# daemon DIR: becomes dockerd.
daemon() {
  exec dockerd --config-file "$1/daemon.json" --data-root "$1/data" --exec-root "$1/exec" \
    --pidfile "$1/pid" --host "unix://$1/sock" --log-level warn
}

# bounce_own_engine: ends the engine and starts it anew beside its containers, which go on (live-restore). The new one
# needs the mounts of the old one, their network namespaces and shims' sockets among them: the shims still have them.
bounce_own_engine() {
  local pid shim n
  pid=$(cat "$dir/pid")
  echo '{"live-restore": true}' >"$dir/daemon.json"
  kill -HUP "$pid"
  for ((n = 0; n < PATIENCE * 10; n++)); do
    [[ $(DOCKER_HOST=unix://$dir/sock engine GET /info) != *'"LiveRestoreEnabled":true'* ]] || break
    sleep 0.1
  done
  kill "$pid"
  await_end "$pid"
  rm -f "$dir/pid"
  shim=$(pgrep -o -f "containerd-shim.*$dir/exec/") || die "the engine took its containers along"
  nsenter --mount="/proc/$shim/ns/mnt" --net="/run/netns/$ns" \
    setsid bash -c "$(declare -f daemon); daemon \"\$@\"" daemon "$dir" >>"$dir/log" 2>&1 </dev/null &
  await_engine $!
}

# is_dockerd PID: the number may have gone to another program, or be left of one that ended and that nobody waited for.
is_dockerd() { [[ -n $1 && $(readlink "/proc/$1/exe" 2>/dev/null) == */dockerd ]]; }

# await_end PID: until that dockerd has ended.
await_end() {
  local n
  for ((n = 0; n < PATIENCE * 10; n++)); do
    is_dockerd "$1" || return 0
    sleep 0.1
  done
}

# stop_own_engine: ends the engine with its containers, keeps its folder: a later start finds all as it was.
stop_own_engine() {
  local pid
  pid=$(cat "$dir/pid" 2>/dev/null || true)
  if is_dockerd "$pid"; then
    kill "$pid"
    await_end "$pid"
  fi
  end_processes
  rm -f "$dir/pid" "$dir/sock"
}

# remove_own_engine: stops it and removes what is left of it.
remove_own_engine() {
  stop_own_engine
  if ip netns list | grep -qw "$ns"; then ip netns del "$ns"; fi
  rm -rf "$dir"
}

# end_processes: what an engine that was killed leaves behind: its containerd, shims, and containers by their cgroups.
end_processes() {
  local process id group
  for process in /proc/[0-9]*; do
    # It may end while it is looked at.
    if { tr '\0' ' ' <"$process/cmdline"; } 2>/dev/null | grep -qF -- "$dir/exec/"; then end "${process#/proc/}"; fi
  done
  for id in "$dir"/data/containers/?*; do
    for group in /sys/fs/cgroup/{pids/,}docker/"${id##*/}"/cgroup.procs; do
      if [[ -d $id && -f $group ]]; then while read -r process; do end "$process"; done <"$group"; fi
    done
  done
}

end() { kill -KILL "$1" 2>/dev/null || true; }
