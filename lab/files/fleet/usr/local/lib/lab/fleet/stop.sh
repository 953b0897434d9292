#!/bin/sh
# Ends all processes of nodes of the fleet, as a power cut would: `stop.sh NAME…`. What they wrote stays.
set -eu

for name in "$@"; do
  own=/srv/fleet/nodes/$name
  [ -f "$own/pid" ] || continue
  read -r pid <"$own/pid"
  # It waits for the first process of the node's namespace, with which all others end. By now it may be another's.
  while [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = unshare ]; do
    pkill -KILL -P "$pid" || :
    sleep 0.02
  done
  rm "$own/pid"
done
