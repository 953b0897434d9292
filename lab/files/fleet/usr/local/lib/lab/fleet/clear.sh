#!/bin/sh
# Removes what the nodes wrote, once their processes have ended, and what is wrong with the way to them.
set -eu

here=/usr/local/lib/lab/fleet
cd /srv/fleet/nodes 2>/dev/null || exit 0
# Those that were started one by one are none of the unit's.
# shellcheck disable=SC2046 # names of nodes
sh "$here/stop.sh" $(ls)
sh "$here/faults.sh"
rm -rf /srv/fleet/nodes
