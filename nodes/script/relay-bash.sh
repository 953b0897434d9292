#!/bin/bash
# The part of relay.sh for images with bash, which need nothing else but cat. $1 address, $2 port, $3 seconds.
exec 4<&0
# connect() takes minutes to give up on silence. A read from a pipe that nobody writes to is a sleep without a process.
(
  exec 5<> <(:)
  read -r -t "$3" -u 5
  echo 'tkc-registry-relay: Connection timed out' >&2
  kill -KILL "$$"
) &
watchdog=$!
exec 3<>"/dev/tcp/$1/$2"
connected=$?
kill "$watchdog"
wait "$watchdog" 2>/dev/null
[ "$connected" -eq 0 ] || exit 1
# Each direction tells its end through a pipe. `wait -n` would miss one that ends before it is called.
exec 6<> <(:)
carry() {
  trap 'kill "$!" 2>/dev/null' TERM
  cat <&"$1" >&"$2" &
  wait "$!"
  echo >&6
}
carry 3 1 &
from_node=$!
carry 4 3 &
to_node=$!
read -r -u 6
kill "$from_node" "$to_node" 2>/dev/null
wait "$from_node" "$to_node" 2>/dev/null
exit 0
