#!/bin/sh
# First start of a volume: makes a database cluster, with
#   POSTGRES_USER (default postgres)                  its superuser
#   POSTGRES_PASSWORD or POSTGRES_PASSWORD_FILE       that user's password; one of them is required
#   POSTGRES_DB (default: the user's name)            a database
# Every start: runs postgres, on all addresses, as PID 1.
set -eu

[ "${1:-}" = postgres ] || exec "$@"

# All is made in a folder beside the real one, which appears complete or not at all: a set-up that was interrupted is
# simply begun again.
set_up() {
  user=${POSTGRES_USER:-postgres}
  database=${POSTGRES_DB:-$user}
  new=$PGDATA.new
  password=$(mktemp)
  if [ -n "${POSTGRES_PASSWORD_FILE:-}" ]; then
    cat "$POSTGRES_PASSWORD_FILE" >"$password"
  elif [ -n "${POSTGRES_PASSWORD:-}" ]; then
    printf '%s\n' "$POSTGRES_PASSWORD" >"$password"
  else
    echo 'postgres: no password is set; give POSTGRES_PASSWORD or POSTGRES_PASSWORD_FILE' >&2
    exit 1
  fi
  rm -rf "$new"
  initdb --pgdata="$new" --username="$user" --pwfile="$password" --auth-local=trust --auth-host=scram-sha-256 \
    --encoding=UTF8 --no-sync
  rm -f "$password"
  echo 'host all all all scram-sha-256' >>"$new/pg_hba.conf"
  if [ "$database" != postgres ]; then
    # Single-user mode: no server that a probe could take for the real one.
    printf 'CREATE DATABASE "%s"\n' "$(printf '%s' "$database" | sed 's/"/""/g')" |
      postgres --single -D "$new" postgres >/dev/null
  fi
  sync -f "$new"
  mv "$new" "$PGDATA"
}

[ -e "$PGDATA/PG_VERSION" ] || set_up
exec "$@" -c listen_addresses='*'
