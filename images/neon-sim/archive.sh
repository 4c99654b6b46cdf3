#!/bin/bash
# Packs the static binary as a docker-archive, by hand: no builder, and the same image id for the same binary.
# usage: archive.sh BINARY OUT.tar
#   convoke/neon-sim:latest   the program under the names of Neon's, FROM scratch; user, paths and volume as in theirs;
#                             and the few programs of a shell script, of a static busybox
set -euo pipefail
umask 022
[[ $# == 2 ]] || { echo "usage: $0 BINARY OUT.tar" >&2; exit 2; }
binary=$1 out=$2
tag=convoke/neon-sim:latest
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

pack() { # pack DIRECTORY OUT OWNER NAME…: owner, time and order don't depend on the machine
  local directory=$1 file=$2 owner=$3; shift 3
  tar --create --format=ustar --sort=name --mtime=@0 --numeric-owner --owner="$owner" --group="$owner" \
    --directory "$directory" --file "$file" "$@"
}
digest() { sha256sum "$1" | cut -d' ' -f1; }

mkdir -p "$work"/root/{bin,etc,usr/local/bin} "$work"/home/{data/.neon,var/db/postgres/compute} "$work/archive"
mkdir -m 1777 "$work/root/tmp"
install -m 0755 "$binary" "$work/root/usr/local/bin/neon-sim"
for name in storage_broker storage_controller pageserver safekeeper endpoint_storage compute_ctl psql minio; do
  ln -s neon-sim "$work/root/usr/local/bin/$name"
done
busybox=$(command -v busybox) || { echo "$0: no busybox" >&2; exit 1; }
if ldd "$busybox" >/dev/null 2>&1; then
  echo "$0: $busybox isn't static; Debian's package is busybox-static" >&2
  exit 1
fi
install -m 0755 "$busybox" "$work/root/bin/busybox"
for name in sh cat mkdir mv sleep; do
  ln -s busybox "$work/root/bin/$name"
done
printf 'root:x:0:0::/:\nneon:x:1000:1000::/data:\n' >"$work/root/etc/passwd"
printf 'root:x:0:\nneon:x:1000:\n' >"$work/root/etc/group"
# glibc's default order asks DNS first in some versions; convoke's addresses are in the hosts file.
printf 'hosts: files dns\n' >"$work/root/etc/nsswitch.conf"
pack "$work/root" "$work/archive/program.tar" 0 .
# A new volume takes its owner from what it is mounted over: as in theirs, /data or /data/.neon, which has an example.
printf 'id=1234\n' >"$work/home/data/.neon/identity.toml"
printf '%s\n' "broker_endpoint='http://storage_broker:50051'" "pg_distrib_dir='/usr/local/'" \
  "listen_pg_addr='0.0.0.0:6400'" "listen_http_addr='0.0.0.0:9898'" >"$work/home/data/.neon/pageserver.toml"
# compute_ctl makes its data directory anew below this one, as in Neon's images for computes.
pack "$work/home" "$work/archive/data.tar" 1000 data var/db/postgres/compute

case $(uname -m) in x86_64) architecture=amd64 ;; aarch64) architecture=arm64 ;; *) architecture=$(uname -m) ;; esac
config='{"User":"1000:1000","WorkingDir":"/data","Volumes":{"/data":{}},"ExposedPorts":{"6400/tcp":{},"9898/tcp":{}},'
config+='"Env":["PATH=/usr/local/bin:/bin"],"Cmd":["/usr/local/bin/pageserver","-D","/data/.neon"],'
config+='"Labels":{"convoke.image":"neon-sim"}}'
layers=$(printf '"sha256:%s","sha256:%s"' "$(digest "$work/archive/program.tar")" "$(digest "$work/archive/data.tar")")
image=$(printf '{"architecture":"%s","os":"linux","created":"1970-01-01T00:00:00Z","config":%s,"rootfs":{"type":"layers","diff_ids":[%s]}}' \
  "$architecture" "$config" "$layers")
name=$(printf '%s' "$image" | sha256sum | cut -d' ' -f1).json
printf '%s' "$image" >"$work/archive/$name"
printf '[{"Config":"%s","RepoTags":["%s"],"Layers":["program.tar","data.tar"]}]' "$name" "$tag" \
  >"$work/archive/manifest.json"
pack "$work/archive" "$out" 0 .
