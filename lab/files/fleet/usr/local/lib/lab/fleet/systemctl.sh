#!/bin/sh
# Stands for systemd on a simulated node, which has one service, containerd, and that one is a process that sleeps.
# Keeps a log of its restarts: "restart <seconds since boot>".
# shellcheck source=/dev/null # how long things take: written when the nodes are started
. /etc/lab/fleet.env

state=/run/lab

begin() {
  setsid sleep infinity </dev/null >/dev/null 2>&1 &
  echo "$!" >"$state/pid"
  date -u '+%a %Y-%m-%d %H:%M:%S UTC' >"$state/started"
}

show() {
  cat <<END
Id=containerd.service
Names=containerd.service
LoadState=loaded
ActiveState=active
SubState=running
UnitFileState=enabled
MainPID=$(cat "$state/pid")
ExecMainStartTimestamp=$(cat "$state/started")
END
}

for word in "$@"; do
  case $word in
    start)
      begin
      exit
      ;;
    restart)
      sleep "$RESTART_SECONDS"
      kill "$(cat "$state/pid")"
      read -r uptime _ </proc/uptime
      begin
      echo "restart $uptime" >>/var/log/lab/events
      exit
      ;;
    show)
      show
      exit
      ;;
    is-active)
      echo active
      exit
      ;;
    is-enabled)
      echo enabled
      exit
      ;;
  esac
done
