#!/bin/sh
# Makes the way to the nodes' port 22 a bad one: `faults.sh DELAY-MS CUT-AFTER-BYTES CUT-FIRST LOSS`. All of them are
# replaced at once; LOSS is the part of the packets that is lost, in each direction, and the rest is for faults.py.
# The bastion's own port is spared, its connections to the nodes are not. With no words all faults end.
set -eu

delay=${1:-0} cut_after=${2:--1} cut_first=${3:--1} loss=${4:-0}
# shellcheck source=/dev/null # written when the machine is made
. /etc/lab/machine.env
# shellcheck source=lab/files/fleet/usr/local/lib/lab/fleet/await.sh
. /usr/local/lib/lab/fleet/await.sh

listens() {
  ss -Hltn 'sport = :2200' | grep -q .
}

iptables -t nat -F PREROUTING
iptables -t nat -F OUTPUT
iptables -t raw -F PREROUTING
iptables -t raw -F OUTPUT
iptables -t mangle -F POSTROUTING

if [ "$delay" != 0 ] || [ "$cut_after" != -1 ]; then
  mkdir -p /run/lab
  echo "$delay $cut_after $cut_first" >"/run/lab/faults.$$"
  mv "/run/lab/faults.$$" /run/lab/faults
  await "fleet-faults.service listens on port 2200" listens
  iptables -t nat -A PREROUTING -p tcp --dport 22 ! -d "$NODE_ADDRESS" -j REDIRECT --to-ports 2200
  iptables -t nat -A OUTPUT -p tcp --dport 22 -m owner --uid-owner jump -j REDIRECT --to-ports 2200
fi

if [ "$loss" != 0 ]; then
  set -- -m statistic --mode random --probability "$loss" -j DROP
  iptables -t raw -A PREROUTING ! -i lo -p tcp --dport 22 ! -d "$NODE_ADDRESS" "$@"
  iptables -t raw -A OUTPUT -p tcp --dport 22 -m owner --uid-owner jump "$@"
  # Port 2200 is what answers where a connection was redirected.
  iptables -t mangle -A POSTROUTING ! -o lo -p tcp -m multiport --sports 22,2200 ! -s "$NODE_ADDRESS" "$@"
fi
