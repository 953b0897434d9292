#!/bin/sh
# What a machine of the lab does at boot before anything listens. Settings come from /etc/lab/machine.env:
#   SSH_FROM         the only subnet that may reach port 22; empty: all may
#   POD_SUBNET       the machine's pods
#   KEEP_SOURCE_TO   the subnet that pods reach with their own address; everything else sees the machine's
set -eu

# The kubelet wants these kernel parameters, which belong to the host: it is shown files with the values it wants.
mkdir -p /run/lab/sysctl
while read -r parameter value; do
  copy=/run/lab/sysctl/$(basename "$parameter")
  mountpoint -q "/proc/sys/$parameter" && continue
  printf '%s\n' "$value" >"$copy"
  mount --bind "$copy" "/proc/sys/$parameter"
done <<'PARAMETERS'
vm/overcommit_memory 1
vm/panic_on_oom 0
kernel/panic 10
kernel/panic_on_oops 1
kernel/keys/root_maxkeys 1000000
kernel/keys/root_maxbytes 25000000
PARAMETERS

# Adds a rule once, however often the unit is started.
rule() {
  table=$1
  shift
  iptables -t "$table" -C "$@" 2>/dev/null || iptables -t "$table" -A "$@"
}

if [ -n "${SSH_FROM:-}" ]; then
  rule filter INPUT -p tcp --dport 22 ! -s "$SSH_FROM" -j DROP
fi
if [ -n "${KEEP_SOURCE_TO:-}" ]; then
  rule nat POSTROUTING -s "$POD_SUBNET" -d "$KEEP_SOURCE_TO" -j ACCEPT
  rule nat POSTROUTING -s "$POD_SUBNET" ! -d "$POD_SUBNET" -j MASQUERADE
fi
