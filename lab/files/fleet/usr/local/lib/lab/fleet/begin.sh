#!/bin/sh
# Starts nodes of the fleet, as lines of "name address machine-id" on stdin say, and waits until each lets people in.
set -eu
# shellcheck source=lab/files/fleet/usr/local/lib/lab/fleet/await.sh
. /usr/local/lib/lab/fleet/await.sh

here=/usr/local/lib/lab/fleet
nodes=$(cat)
[ -n "$nodes" ] || exit 0
printf '%s\n' "$nodes" | xargs -P 4 -L 1 sh "$here/node.sh"

awaited=$(mktemp)
trap 'rm -f "$awaited"' EXIT
printf '%s\n' "$nodes" | awk '{ print $2 ":22" }' >"$awaited"
expected=$(wc -l <"$awaited")
all_listen() {
  [ "$(ss -Hltn 'sport = :22' | awk '{ print $4 }' | grep -cFxf "$awaited")" -eq "$expected" ]
}
await "all $expected nodes listen on port 22" all_listen
