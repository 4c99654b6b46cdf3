#!/bin/bash
# Docker Engine 28.5, as Debian's testing (forky) has it, with docker compose 2.40: for the tests against a newer API.
# usage: engine-28.sh start|stop|remove NAME, or engine-28.sh root      see engine-debian.sh
suite=forky
# shellcheck source=scripts/engine-debian.sh
source "$(dirname "${BASH_SOURCE[0]}")/engine-debian.sh"
