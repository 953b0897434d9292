#!/bin/sh
# Starts nodes of the fleet, as lines of "name address machine-id" on stdin say, and waits until each lets people in.
set -eu

here=/usr/local/lib/lab/fleet
nodes=$(cat)
[ -n "$nodes" ] || exit 0
printf '%s\n' "$nodes" | xargs -P 4 -L 1 sh "$here/node.sh"

awaited=$(mktemp)
trap 'rm -f "$awaited"' EXIT
printf '%s\n' "$nodes" | awk '{ print $2 ":22" }' >"$awaited"
expected=$(wc -l <"$awaited")
tries=3000
until [ "$(ss -Hltn 'sport = :22' | awk '{ print $4 }' | grep -cFxf "$awaited")" -eq "$expected" ]; do
  tries=$((tries - 1))
  [ "$tries" -gt 0 ] || {
    echo "not all of $expected nodes listen on port 22" >&2
    exit 1
  }
  sleep 0.1
done
