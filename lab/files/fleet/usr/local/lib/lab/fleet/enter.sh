#!/bin/sh
# Runs a shell script on a node of the fleet as root, without any SSH: `enter.sh NAME SCRIPT`.
set -eu

own=/srv/fleet/nodes/$1
read -r pid <"$own/pid"
space=/proc/$pid/ns
exec nsenter --mount="$space/mnt" --uts="$space/uts" --pid="$space/pid_for_children" \
  chroot "$own/root" sh -euc "$2"
