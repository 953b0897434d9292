#!/bin/sh
# The manual procedure's script in our own words: one node after the other gets the CA of $CA and has its trust store
# rebuilt; then, one node after the other, containerd is restarted. The nodes' addresses are in the file $ADDRESSES.
set -eu

here=$(dirname "$0")
while read -r address; do
  sh "$here/on-node.sh" "$address" 'cat >registry.crt &&
    sudo cp registry.crt /etc/ssl/certs/registry.crt && sudo /usr/bin/rehash_ca_certificates.sh' <"$CA"
done <"$ADDRESSES"
while read -r address; do
  sh "$here/on-node.sh" "$address" 'sudo systemctl restart containerd' </dev/null
done <"$ADDRESSES"
