#!/bin/sh
# Starts the nodes of /etc/lab/nodes, lines of "name address machine-id", and waits until each lets people in.
# Settings come from /etc/lab/fleet.env:
#   REHASH_SECONDS, RESTART_SECONDS   how long a node's trust store and containerd take
#   DELAY_MS                          what the way to port 22 takes longer, in each direction
#
# A node's file system is this machine's own, seen through layers that only the node has, in memory:
#   layer           what makes a node of a machine, the same for all
#   identity/NAME   what a node keeps: its names and its host key
#   nodes/NAME      what a node writes; gone when the nodes are started anew
set -eu

here=/usr/local/lib/lab/fleet
folder=/srv/fleet

mountpoint -q "$folder" || {
  mkdir -p "$folder"
  mount -t tmpfs -o size=80%,nr_inodes=0 fleet "$folder"
}

layer=$folder/layer
rm -rf "$layer"
mkdir -p "$layer/usr/bin" "$layer/etc/lab"
cp "$here/systemctl.sh" "$layer/usr/bin/systemctl"
cp "$here/journalctl.sh" "$layer/usr/bin/journalctl"
cp "$here/rehash.sh" "$layer/usr/bin/rehash_ca_certificates.sh"
chmod 0755 "$layer"/usr/bin/*
# There is no containerd to be asked: to an overlay this says that the file isn't there.
mknod "$layer/usr/bin/ctr" c 0 0
cp /etc/lab/fleet.env "$layer/etc/lab/"
ls -A /etc/ssl/certs >"$layer/etc/lab/roots"

sh "$here/begin.sh" </etc/lab/nodes
sh "$here/faults.sh" "${DELAY_MS:-0}"
