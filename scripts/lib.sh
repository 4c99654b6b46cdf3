# Shared by the scripts beside it; source it, don't run it.
# Images are made through the engine's HTTP API, so that a machine needs curl but no client of the engine.
# shellcheck shell=bash

set -euo pipefail

say() { printf '%s\n' "$*" >&2; }
die() { say "error: $*"; exit 1; }
is_root() { [[ $(id -u) == 0 ]]; }

# Debian packages, installed only where one of the programs is missing: need PROGRAM PACKAGE…
need() {
  local program=$1; shift
  # A program, whatever functions are called like it.
  type -P "$program" >/dev/null && return
  if ! is_root || ! command -v apt-get >/dev/null; then
    die "$program is missing; install it (on Debian: apt-get install $*)"
  fi
  say "installing $* for $program"
  # apt-get gives up where another one is at work, such as that of a script beside this one.
  (
    flock 9
    [[ -n $(find /var/lib/apt/lists -name '*_Packages*' -mtime -2 -print -quit 2>/dev/null) ]] || apt-get update
    DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@"
  ) 9>"${TMPDIR:-/tmp}/convoke-apt.lock" >&2
}

# The programs of a Postgres server, wherever Debian or others put them. Debian's package would make a database cluster
# and start it: nobody wants one here, and where Postgres wasn't installed before it is told not to.
postgres_server() {
  compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null && return
  command -v initdb >/dev/null && command -v postgres >/dev/null && return
  local config=/etc/postgresql-common/createcluster.conf
  if is_root && command -v apt-get >/dev/null && [[ ! -e $config ]]; then
    mkdir -p "$(dirname "$config")"
    echo 'create_main_cluster = false' >"$config"
  fi
  need initdb postgresql
}

# engine METHOD PATH [curl's arguments]: one call of the engine's API; fails on a status from 400 on.
engine() {
  local method=$1 path=$2 host=${DOCKER_HOST:-unix:///var/run/docker.sock}; shift 2
  local -a where
  case $host in
    unix://*) where=(--unix-socket "${host#unix://}" "http://localhost$path") ;;
    tcp://*)  where=("http://${host#tcp://}$path") ;;
    *) die "DOCKER_HOST=$host: these scripts speak to unix:// and tcp:// without TLS only" ;;
  esac
  curl --silent --show-error --fail-with-body --request "$method" "$@" "${where[@]}"
}

engine_answers() { [[ $(engine GET /_ping --max-time 5 2>/dev/null) == OK ]]; }

# An engine can answer and still be useless: 20.10 can deadlock in its network code, and then lists no networks any more.
engine_is_stuck() { ! engine GET /networks --max-time 30 >/dev/null 2>&1; }

# Where ensure-engine.sh had to start an engine of its own, everything goes there: DOCKER_HOST is set, and programs that
# reach containers go through `inside`, into its network namespace.
SPARE=$(dirname "$(dirname "$(realpath "${BASH_SOURCE[0]}")")")/target/spare-engine.env
# shellcheck disable=SC2034  # used by the scripts that source this
inside=()
use_spare_engine() {
  [[ -z ${DOCKER_HOST:-} && -f $SPARE ]] || return 0
  # shellcheck disable=SC1090  # made by ensure-engine.sh
  source "$SPARE"
  export DOCKER_HOST
  # shellcheck disable=SC2034  # used by the scripts that source this
  inside=(nsenter "--net=$NETNS")
}
use_spare_engine

# The id of an image that the engine has; empty otherwise.
image_id() { engine GET "/images/$1/json" 2>/dev/null | sed -n 's/^{"Id":"\([^"]*\)".*/\1/p' || true; }

# The engine answers a build or a load with a stream of JSON lines and status 200, failed or not: show it as text.
# shown WHAT: copies the stream to standard error when it holds an error, and then fails.
shown() {
  local log; log=$(mktemp)
  if ! cat >"$log" || grep -qE '"error"|^\{"message"' "$log"; then
    tail -n 40 "$log" | sed -e 's/^{"stream":"//' -e 's/"}\r\?$//' -e 's/\\n$//' >&2
    rm -f "$log"
    die "$1 failed"
  fi
  rm -f "$log"
}

# A text as part of a query.
urlencode() {
  local LC_ALL=C text=$1 i char
  for ((i = 0; i < ${#text}; i++)); do
    char=${text:i:1}
    case $char in
      [a-zA-Z0-9._~-]) printf %s "$char" ;;
      *) printf '%%%02X' "'$char" ;;
    esac
  done
}

# build_image TAG DIRECTORY [KEY=VALUE build arguments]
build_image() {
  local tag=$1 dir=$2 args="" pair; shift 2
  for pair in "$@"; do args+="${args:+,}\"${pair%%=*}\":\"${pair#*=}\""; done
  tar --create --directory "$dir" . |
    engine POST "/build?t=$(urlencode "$tag")&rm=1&forcerm=1&buildargs=$(urlencode "{$args}")" \
      --header 'Content-Type: application/x-tar' --upload-file - | shown "the build of $tag"
}

# load_archive FILE: takes in a docker-archive.
load_archive() {
  engine POST '/images/load?quiet=1' --header 'Content-Type: application/x-tar' --upload-file "$1" | shown "loading $1"
}

# debian_repositories: RELEASE URI of the Debian repositories that this machine uses; none where it isn't Debian.
debian_repositories() {
  command -v apt-get >/dev/null || return 0
  # shellcheck disable=SC2016  # these are apt's variables, not the shell's
  apt-get indextargets --format '$(ORIGIN) $(RELEASE) $(REPO_URI)' 'Created-By: Packages' |
    sort -u | while read -r origin release uri; do
      if [[ $origin == Debian ]]; then echo "$release $uri"; fi
    done
}

# debian_mirror: the URI of the main one among them.
debian_mirror() { debian_repositories | grep -v -- - | sed -n '1s/^[^ ]* //p'; }

# Whether this machine lets us run engines beside its own, and has where to get them: root on Debian, not confined.
may_run_engines() { is_root && [[ -n $(debian_mirror) ]] && unshare --mount --net true 2>/dev/null; }
