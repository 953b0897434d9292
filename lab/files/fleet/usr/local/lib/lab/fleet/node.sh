#!/bin/sh
# Starts a node of the fleet: `node.sh NAME ADDRESS MACHINE-ID`. One that was stopped has what it wrote, but for what
# no machine keeps; one that is another machine than the last of its name has nothing.
set -eu

name=$1 address=$2 machine_id=$3
folder=/srv/fleet
identity=$folder/identity/$name
own=$folder/nodes/$name
hosts="127.0.0.1 localhost
$address $name"
if [ "$(cat "$identity/etc/machine-id" "$identity/etc/hosts" 2>/dev/null)" != "$machine_id
$hosts" ]; then
  rm -rf "$identity" "$identity.new" "$own"
  mkdir -p "$identity.new/etc/ssh"
  ssh-keygen -q -t ed25519 -N '' -C "$name" -f "$identity.new/etc/ssh/ssh_host_ed25519_key"
  echo "$machine_id" >"$identity.new/etc/machine-id"
  echo "$name" >"$identity.new/etc/hostname"
  echo "$hosts" >"$identity.new/etc/hosts"
  mv "$identity.new" "$identity"
fi

rm -rf "$own/written/run" "$own/written/tmp"
mkdir -p "$own/root" "$own/work" "$own/written/run/sshd" "$own/written/run/lab" "$own/written/var/log/lab"
mount_options="lowerdir=$identity:$folder/layer:/,upperdir=$own/written,workdir=$own/work"
# shellcheck disable=SC2016 # the inner shell's own
unshare --mount --propagation private --pid --uts --fork sh -euc '
  name=$1 address=$2 root=$3 options=$4
  hostname "$name"
  mount -t overlay -o "$options" "$name" "$root"
  mount -t proc proc "$root/proc"
  mount --rbind /dev "$root/dev"
  chroot "$root" systemctl start containerd || : # the rest of a node is there without it
  exec chroot "$root" /usr/sbin/sshd -D -E /var/log/lab/sshd -o "ListenAddress=$address" -o LogLevel=VERBOSE
' node "$name" "$address" "$own/root" "$mount_options" </dev/null >/dev/null 2>&1 &
echo "$!" >"$own/pid.new"
mv "$own/pid.new" "$own/pid"
