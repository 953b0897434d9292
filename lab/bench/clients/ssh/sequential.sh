#!/bin/sh
# The manual procedure's script in our own words: one node after the other gets the CA of $CA and has its trust store
# rebuilt; then, one node after the other, containerd is restarted. The nodes' addresses are in the file $ADDRESSES.
# Both sessions of a node share a connection, by a socket in the folder $SOCKETS. Whoever runs this ends the connections.
set -eu

here=$(dirname "$0")

on_node() {
  sh "$here/on-node.sh" "$1" "$2" -o ControlMaster=auto -o ControlPersist=yes -o "ControlPath=$SOCKETS/%C"
}

while read -r address; do
  on_node "$address" 'cat >registry.crt &&
    sudo cp registry.crt /etc/ssl/certs/registry.crt && sudo /usr/bin/rehash_ca_certificates.sh' <"$CA"
done <"$ADDRESSES"
while read -r address; do
  on_node "$address" 'sudo systemctl restart containerd' </dev/null
done <"$ADDRESSES"
