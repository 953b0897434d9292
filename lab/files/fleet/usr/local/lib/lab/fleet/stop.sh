#!/bin/sh
# Ends all processes of nodes of the fleet, as a power cut would: `stop.sh NAME…`. What they wrote stays.
set -eu
# shellcheck source=lab/files/fleet/usr/local/lib/lab/fleet/await.sh
. /usr/local/lib/lab/fleet/await.sh

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
have_ended() {
  ! ps -o comm= -p "$running" | grep -qx unshare
}
await "the processes $running end" have_ended
