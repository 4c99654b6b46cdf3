#!/bin/bash
# Packs the static binary as a docker-archive, by hand: no builder, and the same image ids for the same binary.
# usage: archive.sh BINARY OUT.tar
#   convoke-test/probe-target:latest   the program, FROM scratch
#                            :user     runs as 1000:1000
#                            :volume   declares VOLUME /data, with content
#                            :health   declares HEALTHCHECK probe-target check, with the engine's own intervals
set -euo pipefail
umask 022
[[ $# == 2 ]] || { echo "usage: $0 BINARY OUT.tar" >&2; exit 2; }
binary=$1 out=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

pack() { # pack DIRECTORY OUT: owner, time and order don't depend on the machine
  tar --create --format=ustar --sort=name --mtime=@0 --numeric-owner --owner=0 --group=0 --directory "$1" --file "$2" .
}
digest() { sha256sum "$1" | cut -d' ' -f1; }

mkdir -p "$work"/root/{bin,etc,state} "$work"/data/data
mkdir -m 1777 "$work/root/tmp"
install -m 0755 "$binary" "$work/root/bin/probe-target"
printf 'root:x:0:0::/:\nprobe:x:1000:1000::/:\n' >"$work/root/etc/passwd"
printf 'root:x:0:\nprobe:x:1000:\n' >"$work/root/etc/group"
# glibc's default order asks DNS first in some versions; convoke's addresses are in the hosts file.
printf 'hosts: files dns\n' >"$work/root/etc/nsswitch.conf"
chmod 0777 "$work/root/state"
printf 'from the image\n' >"$work/data/data/hello"
mkdir -p "$work/archive"
pack "$work/root" "$work/archive/program.tar"
pack "$work/data" "$work/archive/data.tar"
program=$(digest "$work/archive/program.tar") data=$(digest "$work/archive/data.tar")

manifest=""
image() { # image TAG "MORE CONFIG," "LAYER FILES" "LAYER DIGESTS"
  local config
  config=$(printf '{"architecture":"%s","os":"linux","created":"1970-01-01T00:00:00Z","config":{%s"Entrypoint":["probe-target"],"Env":["PATH=/bin"],"Labels":{"convoke.image":"probe-target"}},"rootfs":{"type":"layers","diff_ids":[%s]}}' \
    "$architecture" "$2" "$4")
  local name; name=$(printf '%s' "$config" | sha256sum | cut -d' ' -f1).json
  printf '%s' "$config" >"$work/archive/$name"
  manifest+="${manifest:+,}{\"Config\":\"$name\",\"RepoTags\":[\"convoke-test/probe-target:$1\"],\"Layers\":[$3]}"
}
case $(uname -m) in x86_64) architecture=amd64 ;; aarch64) architecture=arm64 ;; *) architecture=$(uname -m) ;; esac
one='"program.tar"' one_id="\"sha256:$program\""
image latest '' "$one" "$one_id"
image user '"User":"1000:1000",' "$one" "$one_id"
image volume '"Volumes":{"/data":{}},' "$one,\"data.tar\"" "$one_id,\"sha256:$data\""
image health '"Healthcheck":{"Test":["CMD","probe-target","check"]},' "$one" "$one_id"
printf '[%s]' "$manifest" >"$work/archive/manifest.json"
pack "$work/archive" "$out"
