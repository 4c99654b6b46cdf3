#!/bin/bash
# Gives the engine the Debian base image that the other images here start from: pulled where a registry answers, else
# made of Debian packages from the mirrors that this machine uses.
# usage: build.sh [NAME:TAG]
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=scripts/lib.sh
source "$here/../../scripts/lib.sh"

image=${1:-debian:bookworm-slim}
name=${image%:*} tag=${image##*:} suite=bookworm
# A pull goes on as long as bytes come in; without a registry, nothing does.
PULL_SILENCE=15

pulled() {
  engine POST "/images/create?fromImage=$name&tag=$tag" --speed-limit 1 --speed-time "$PULL_SILENCE" \
    --connect-timeout 5 >/dev/null 2>&1 && [[ -n $(image_id "$image") ]]
}

# Lines of a sources.list with the machine's own mirrors; none where it isn't Debian, and then mmdebstrap's default
# applies.
mirrors() {
  local mirror; mirror=$(debian_mirror)
  [[ -z $mirror ]] || echo "deb $mirror $suite main"
  debian_repositories | while read -r release uri; do
    if [[ $release == "$suite"-* ]]; then echo "deb $uri $release main"; fi
  done
}

made() {
  need mmdebstrap mmdebstrap
  local root sources; root=$(mktemp -d)
  # shellcheck disable=SC2064  # its value now is meant
  trap "rm -rf '$root'" EXIT
  mirrors >"$root/sources"
  sources=()
  if [[ -s $root/sources ]]; then sources=("$root/sources"); fi
  # As in Debian's own image, packages don't start services: no init runs in a container.
  # shellcheck disable=SC2016  # $1 is the hook's
  mmdebstrap --quiet --variant=minbase \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/doc/*/copyright' \
    --customize-hook='printf "#!/bin/sh\nexit 101\n" >"$1/usr/sbin/policy-rc.d"; chmod 0755 "$1/usr/sbin/policy-rc.d"' \
    --customize-hook='rm -f "$1/etc/resolv.conf" "$1/etc/hostname"' \
    "$suite" "$root/base.tar" "${sources[@]}" >&2
  local changes; changes="changes=$(urlencode 'CMD ["bash"]')&changes=$(urlencode 'LABEL convoke.image=base')"
  engine POST "/images/create?fromSrc=-&repo=$name&tag=$tag&$changes" \
    --header 'Content-Type: application/x-tar' --upload-file "$root/base.tar" | shown "the import of $image"
}

if [[ -n $(image_id "$image") ]]; then
  say "image $image is there"
elif say "pulling $image" && pulled; then
  say "pulled $image"
else
  say "no registry answers; making $image of Debian packages"
  made
fi
