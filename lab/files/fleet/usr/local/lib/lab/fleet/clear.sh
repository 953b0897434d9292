#!/bin/sh
# Removes what the nodes wrote, once their processes have ended, and the way around to them.
set -eu

iptables -t nat -F PREROUTING
rm -rf /srv/fleet/nodes
