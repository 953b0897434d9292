#!/bin/sh
# Makes a fresh Debian root filesystem into a machine of the lab that systemd can boot in a container.
# mmdebstrap runs this as a hook, with the root filesystem's path as its argument.
set -eu

root=$1

# What must differ from machine to machine is made when a machine is.
rm -f "$root"/etc/ssh/ssh_host_* "$root/var/lib/dbus/machine-id"
: >"$root/etc/machine-id"

# The account that every TKC node has.
chroot "$root" useradd --create-home --uid 1000 --shell /bin/bash vmware-system-user
printf 'vmware-system-user ALL=(ALL) NOPASSWD: ALL\n' >"$root/etc/sudoers.d/vmware-system-user"
chmod 0440 "$root/etc/sudoers.d/vmware-system-user"

# Each machine starts only what it is for.
chroot "$root" systemctl disable ssh.service containerd.service nginx.service docker-registry.service
chroot "$root" systemctl set-default multi-user.target

# The machines share their host's kernel and devices: nothing in them may set its parameters, load modules into it
# or open its terminals.
chroot "$root" systemctl mask \
  systemd-sysctl.service systemd-modules-load.service kmod-static-nodes.service \
  systemd-binfmt.service proc-sys-fs-binfmt_misc.automount \
  dev-hugepages.mount sys-kernel-debug.mount sys-kernel-tracing.mount sys-fs-fuse-connections.mount \
  getty.target console-getty.service systemd-logind.service \
  apt-daily.timer apt-daily-upgrade.timer
