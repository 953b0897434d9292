#!/bin/sh
# Ends all processes of nodes of the fleet, as a power cut would: `stop.sh NAME…`. What they wrote stays.
set -eu

cd /srv/fleet/nodes
running=
for name in "$@"; do
  [ -f "$name/pid" ] || continue
  read -r pid <"$name/pid"
  rm "$name/pid"
  # By now it may be another's.
  [ "$(cat "/proc/$pid/comm" 2>/dev/null)" != unshare ] || running=$running${running:+,}$pid
done
[ -n "$running" ] || exit 0
# Each of these waits for the first process of a node's namespace, with which all others end.
pkill -KILL -P "$running" || :
tries=15000
while ps -o comm= -p "$running" | grep -qx unshare; do
  tries=$((tries - 1))
  [ "$tries" -gt 0 ] || {
    echo "not all of the processes $running have ended" >&2
    exit 1
  }
  sleep 0.02
done
