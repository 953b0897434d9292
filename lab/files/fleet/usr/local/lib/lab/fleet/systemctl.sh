#!/bin/sh
# Stands for systemd on a simulated node, which has one service, containerd, and that one is a process that sleeps.
# Keeps a log of its restarts, with the certificate files beside the image's that are in the bundle then: "restart
# <seconds since boot> <SHA-256>…". Where there is /etc/lab/containerd-fails, containerd
# ends as soon as it is started, and its journal says what that file says.
# shellcheck source=/dev/null # how long things take: written when the nodes are started
. /etc/lab/fleet.env

state=/run/lab
journal=/var/log/lab/containerd
fault=/etc/lab/containerd-fails

# Who asks for a state meanwhile gets the one before: keep FILE TEXT.
keep() {
  printf '%s\n' "$2" >"$state/$1.$$"
  mv "$state/$1.$$" "$state/$1"
}

note() {
  printf '%s\n' "$@" >>"$journal"
}

end() {
  [ ! -f "$state/pid" ] || kill "$(cat "$state/pid")"
  rm -f "$state/pid"
}

begin() {
  keep started "$(date -u '+%a %Y-%m-%d %H:%M:%S UTC')"
  note 'Starting containerd.service - containerd container runtime...'
  if [ -f "$fault" ]; then
    note "$(cat "$fault")" 'containerd.service: Main process exited, code=exited, status=1/FAILURE' \
      "containerd.service: Failed with result 'exit-code'." \
      'Failed to start containerd.service - containerd container runtime.'
    echo 'Job for containerd.service failed because the control process exited with error code.' >&2
    exit 1
  fi
  setsid sleep infinity </dev/null >/dev/null 2>&1 &
  keep pid "$!"
  note 'Started containerd.service - containerd container runtime.'
}

# Prints the SHA-256 of each certificate file beside the image's that is in the bundle.
bundled() {
  bundle=$(tr -d '\n' </etc/pki/tls/certs/ca-bundle.crt)
  for folder in /etc/ssl/certs /etc/pki/ca-trust/source/anchors; do
    # One program for all of the image's files: there are some 140, and each restart looks.
    find "$folder" -maxdepth 1 -type f -printf '%f\n' 2>/dev/null | grep -Fvxf /etc/lab/roots | while read -r name; do
      case $folder/$name in /etc/ssl/*.pem | /etc/ssl/*.crt | /etc/pki/*) ;; *) continue ;; esac
      case $bundle in *"$(tr -d '\n' <"$folder/$name")"*) sha256sum <"$folder/$name" | cut -d ' ' -f 1 ;; esac
    done
  done
}

show() {
  if [ -f "$state/pid" ]; then set -- active running; else set -- failed failed; fi
  cat <<END
Id=containerd.service
Names=containerd.service
LoadState=loaded
ActiveState=$1
SubState=$2
UnitFileState=enabled
MainPID=$(cat "$state/pid" 2>/dev/null || echo 0)
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
      end
      read -r uptime _ </proc/uptime
      begin
      echo "restart $uptime $(bundled | tr '\n' ' ')" >>/var/log/lab/events
      exit
      ;;
    show)
      show
      exit
      ;;
    is-active)
      if [ -f "$state/pid" ]; then
        echo active
        exit
      fi
      echo failed
      exit 3
      ;;
    is-enabled)
      echo enabled
      exit
      ;;
  esac
done
