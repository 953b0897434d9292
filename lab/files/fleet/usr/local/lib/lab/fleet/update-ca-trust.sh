#!/bin/sh
# Behaves as the update-ca-trust of RHEL and its derivatives, as far as Go programs see it: takes its time, then writes
# every certificate of the defaults and of the anchors into the bundle, each under a comment, read-only and in one go.
# Keeps a log of the anchors that it saw: "rehash <seconds since boot> <SHA-256>…".
# shellcheck source=/dev/null # how long things take: written when the nodes are started
. /etc/lab/fleet.env

sleep "$REHASH_SECONDS"
read -r uptime _ </proc/uptime
anchors=/etc/pki/ca-trust/source/anchors
bundle=/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem
for file in /usr/share/pki/ca-trust-source/anchors/* "$anchors"/*; do
  [ ! -f "$file" ] || {
    echo "# ${file##*/}"
    cat "$file"
    echo
  }
done | sed '$d' >"$bundle.new"
chmod 0444 "$bundle.new"
mv -f "$bundle.new" "$bundle"
seen=$(find "$anchors" -type f -exec sha256sum {} + | cut -d ' ' -f 1 | tr '\n' ' ')
echo "rehash $uptime $seen" >>/var/log/lab/events
