#!/bin/bash
# The main job in a minute: a cluster whose members need each other is ready, is looked at, and is gone again.
# usage: demo-etcd.sh CONVOKE
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=scripts/lib.sh
source "$here/lib.sh"

[[ $# == 1 ]] || die "usage: $0 CONVOKE"
convoke() { printf '\n$ convoke %s\n' "$*"; "${inside[@]}" "$program" "$@"; }
program=$1
export COMPOSE_PROJECT_NAME=convoke-demo-etcd
trap '"${inside[@]}" "$program" down --volumes >/dev/null 2>&1 || true' EXIT

echo 'Each of three etcd members waits in its file for the other two to be healthy, a cycle:'
"$program" render etcd | grep --max-count=1 --after-context=2 depends_on
echo
echo 'Convoke starts them at once and says when all are ready:'
convoke up etcd
echo
echo 'What runs, and that the members found each other:'
convoke ps
convoke exec etcd-1 etcdctl member list
echo
echo 'Nothing of it stays:'
convoke down --volumes
