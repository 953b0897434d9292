#!/bin/sh
# Runs in the jumpbox pod: joins stdin and stdout to a TCP connection, and ends when either side does.
# $1 address, $2 port, $3 seconds allowed for connecting, $4 the text of relay-bash.sh.
LC_ALL=C
export LC_ALL
case $1 in '' | -* | *[!0-9A-Za-z.:-]*)
  echo 'tkc-registry-relay: bad-address' >&2
  exit 64
  ;;
esac
case $2 in '' | *[!0-9]*)
  echo 'tkc-registry-relay: bad-address' >&2
  exit 64
  ;;
esac
if command -v bash >/dev/null 2>&1; then
  exec bash -c "$4" relay "$1" "$2" "$3"
fi
if command -v nc >/dev/null 2>&1; then
  # Some netcats keep the connection when stdin ends, unless told otherwise, each in its own way.
  case $(nc -h 2>&1) in
    *[[:space:]]-N[[:space:]]*) exec nc -v -N "$1" "$2" ;;
    *[[:space:]]-q[[:space:]]*) exec nc -v -q 0 "$1" "$2" ;;
    *) exec nc "$1" "$2" ;;
  esac
fi
if command -v socat >/dev/null 2>&1; then
  address=$1
  case $address in *:*) address="[$address]" ;; esac
  exec socat - "TCP:$address:$2,connect-timeout=$3"
fi
echo 'tkc-registry-relay: no-tool: the image has none of bash, nc and socat' >&2
exit 69
