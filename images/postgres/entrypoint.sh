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
  if [ -n "${POSTGRES_PASSWORD_FILE:-}" ]; then
    password=$(head -n 1 "$POSTGRES_PASSWORD_FILE")
  elif [ -n "${POSTGRES_PASSWORD:-}" ]; then
    password=$(printf '%s\n' "$POSTGRES_PASSWORD" | head -n 1)
  fi
  if [ -z "${password:-}" ]; then
    echo 'postgres: no password is set; give POSTGRES_PASSWORD or POSTGRES_PASSWORD_FILE' >&2
    exit 1
  fi
  rm -rf "$new"
  mkdir -m 0700 "$new"
  tar --extract --file=/var/lib/postgresql/prepared.tar --directory="$new"
  # An identifier of its own, which keeps the WAL of one cluster from being taken for another's.
  head -c 8 /dev/urandom | dd of="$new/global/pg_control" bs=8 count=1 conv=notrunc 2>/dev/null
  pg_resetwal --force "$new" >/dev/null 2>&1
  # Single-user mode: no server that a probe could take for the real one. A line is a statement. A role can't rename
  # itself, hence the update. What is written is synced at the end.
  {
    printf "ALTER ROLE postgres PASSWORD '%s'\n" "$(printf '%s' "$password" | sed "s/'/''/g")"
    printf "UPDATE pg_authid SET rolname = '%s' WHERE oid = 10\n" "$(printf '%s' "$user" | sed "s/'/''/g")"
    [ "$database" = postgres ] || printf 'CREATE DATABASE "%s"\n' "$(printf '%s' "$database" | sed 's/"/""/g')"
  } | postgres --single -F -D "$new" postgres >/dev/null
  sync -f "$new"
  mv "$new" "$PGDATA"
}

[ -e "$PGDATA/PG_VERSION" ] || set_up
exec "$@" -c listen_addresses='*'
