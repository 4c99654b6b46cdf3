#!/bin/bash
# Docker Engine 26.1, as Debian 13 (trixie) has it, with docker compose 2.26: for the tests against a newer API.
# usage: engine-26.sh start|stop|remove NAME, or engine-26.sh root      see engine-debian.sh
suite=trixie
# shellcheck source=scripts/engine-debian.sh
source "$(dirname "${BASH_SOURCE[0]}")/engine-debian.sh"
