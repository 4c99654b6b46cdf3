#!/bin/bash
# Neon's storage plane, whose components need each other to become ready: started at once, restarted at once with a
# tenant, and, for comparison, started in order. The programs are neon-sim, which stores no pages.
# usage: demo.sh CONVOKE
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=scripts/lib.sh
source "$here/lib.sh"

[[ $# == 1 ]] || die "usage: $0 CONVOKE"
program=$1
need curl curl ca-certificates
export COMPOSE_PROJECT_NAME=convoke-demo
trap '"${inside[@]}" "$program" down --volumes >/dev/null 2>&1 || true' EXIT

convoke() { printf '\n$ convoke %s\n' "$*"; "${inside[@]}" "$program" "$@"; }
# call METHOD PATH [BODY]: the storage controller's API. A tenant is refused (409) until a pageserver's first heartbeat.
call() {
  "${inside[@]}" curl --silent --show-error --fail --retry 10 --retry-delay 1 --retry-all-errors --max-time 10 \
    --request "$1" --header 'content-type: application/json' ${3:+--data "$3"} "http://$controller$2"
}
controller_is_at() { controller=$("${inside[@]}" "$program" port storage-controller 1234); }

echo 'The storage controller is ready once its pageservers answer; they answer once they have re-attached to it.'
echo 'Convoke starts all at once:'
convoke up neon --set images=sim

controller_is_at
tenant=$(printf '%032x' 1)
printf '\nThree safekeepers are registered and a tenant with a timeline is made, through the controller on %s:\n' "$controller"
for n in 1 2 3; do
  call POST "/control/v1/safekeeper/$n" "{\"id\": $n, \"region_id\": \"local\", \"version\": 1, \"host\": \"safekeeper-$n\",
    \"port\": 5454, \"http_port\": 7676, \"https_port\": null, \"availability_zone_id\": \"zone-$n\"}"
  call POST "/control/v1/safekeeper/$n/scheduling_policy" '{"scheduling_policy": "Active"}' >/dev/null
done
call POST /v1/tenant "{\"new_tenant_id\": \"$tenant\"}"
echo
call POST "/v1/tenant/$tenant/timeline" "{\"new_timeline_id\": \"$tenant\", \"pg_version\": 17}" |
  grep --only-matching '"safekeepers":{"generation":[0-9]*,"safekeepers":\[[^]]*\]'

printf '\nNow the controller knows pageservers, and asks them at its start. All are stopped and started at once:\n'
convoke restart

printf '\nThe same, one after the other: the controller is waited for before any pageserver is started.\n'
"${inside[@]}" "$program" stop 2>/dev/null
convoke start storage-controller-db storage-controller
printf '\nIt gave up on its pageservers and is ready without them. (A pageserver that accepts connections and hangs costs\n'
printf 'it about 21.5 s; that is what one does which was started first. tests/cli/neon/starts.rs measures both.)\n'
convoke start

printf '\nThe tenant is still there:\n'
controller_is_at
call GET "/debug/v1/tenant/$tenant/locate" | grep --only-matching '"listen_http_addr":"[^"]*"\|"shard_id":"[^"]*"'

printf '\nNothing of it stays:\n'
convoke down --volumes
