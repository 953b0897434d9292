#!/bin/sh
# Behaves as Photon OS's script of this name, but for its hash links: takes its time, then joins every certificate
# file into the bundle. Keeps a log of the files that it saw beside the image's: "rehash <seconds since boot> <SHA-256>…".
# shellcheck source=/dev/null # how long things take: written when the nodes are started
. /etc/lab/fleet.env

cd /etc/ssl/certs || exit
sleep "$REHASH_SECONDS"
read -r uptime _ </proc/uptime
set -- *.pem
for file in *.crt; do
  [ ! -f "$file" ] || set -- "$@" "$file"
done
cat "$@" >/etc/pki/tls/certs/ca-bundle.crt
added=$(printf '%s\n' "$@" | grep -Fvxf /etc/lab/roots) || added=
IFS='
'
# shellcheck disable=SC2086 # a name a line
seen=$([ -z "$added" ] || sha256sum -- $added | cut -d ' ' -f 1 | tr '\n' ' ')
echo "rehash $uptime $seen" >>/var/log/lab/events
