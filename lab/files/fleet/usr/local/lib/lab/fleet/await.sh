# shellcheck shell=sh
# For scripts to source: `await WHAT COMMAND…` runs a command until it succeeds, and gives up after five minutes with a
# message that WHAT did not happen.
await() {
  what=$1
  shift
  tries=6000
  until "$@"; do
    tries=$((tries - 1))
    [ "$tries" -gt 0 ] || {
      echo "in five minutes it did not happen that $what" >&2
      exit 1
    }
    sleep 0.05
  done
}
