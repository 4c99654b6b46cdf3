#!/bin/bash
# Neon, whose components need each other to become ready: started at once up to a psql line, restarted at once, and, for
# comparison, started in order. The programs are neon-sim, which stores no pages.
# usage: demo.sh CONVOKE
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=scripts/lib.sh
source "$here/lib.sh"

[[ $# == 1 ]] || die "usage: $0 CONVOKE"
program=$1
export COMPOSE_PROJECT_NAME=convoke-demo
trap '"${inside[@]}" "$program" down --volumes >/dev/null 2>&1 || true' EXIT

convoke() { printf '\n$ convoke %s\n' "$*"; "${inside[@]}" "$program" "$@"; }

echo 'The storage controller is ready once its pageservers answer; they answer once they have re-attached to it.'
echo 'Convoke starts all at once:'
convoke up neon --set images=sim

printf '\nThat line works, here and now:\n'
convoke neon psql main -qAtX -c 'select 1'
convoke neon status

printf '\nNow the controller knows pageservers, and asks them at its start. All are stopped and started at once:\n'
convoke restart

printf '\nThe same, one after the other: the controller is waited for before any pageserver is started.\n'
"${inside[@]}" "$program" stop 2>/dev/null
convoke start storage-controller-db storage-controller
printf '\nIt gave up on its pageservers and is ready without them. (A pageserver that accepts connections and hangs costs\n'
printf 'it about 21.5 s; that is what one does which was started first. tests/cli/neon/starts.rs measures both.)\n'
convoke start

printf '\nThe tenant is still there, and its endpoint serves it:\n'
convoke neon tenant list
convoke neon psql main -qAtX -c 'select 1'

printf '\nNothing of it stays:\n'
convoke down --volumes
