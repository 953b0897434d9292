# When the running containerd started, in the unit of /proc/uptime and on its clock: systemd's own monotonic
# timestamps stand still while a machine is suspended, and could not be compared.
inspect_containerd() {
  unit='' pid='' since='' started='' started_iso='' program=''
  command -v systemctl >/dev/null 2>&1 || return 0
  output=$(TZ=UTC systemctl show -p LoadState -p MainPID -p ExecMainStartTimestamp -p ExecStart containerd.service </dev/null 2>&1 9>&-) ||
    fail containerd-failed "systemctl show failed" "$output"
  for line in $output; do
    case $line in
      LoadState=*) unit=${line#*=} ;;
      MainPID=*) pid=${line#*=} ;;
      # Such as "Thu 2020-01-02 03:04:05 UTC".
      ExecMainStartTimestamp=*' UTC') since=${line#* } since=${since% UTC} ;;
      # Such as "{ path=/usr/bin/containerd ; argv[]=/usr/bin/containerd --debug ; ignore_errors=no ; …".
      ExecStart=*'argv[]='*) program=${line#*argv\[\]=} program=${program%% ; *} ;;
    esac
  done
  if [ "${pid:-0}" -eq 0 ] || [ ! -r "/proc/$pid/stat" ] || ! read -r stat <"/proc/$pid/stat"; then return 0; fi
  # Field 22; field 2 is the name, in parentheses and with anything in it.
  IFS=' '
  # shellcheck disable=SC2086
  set -- ${stat##*) }
  IFS=$newline
  started=${20-}
  case $since in *[!0-9:\ -]*) ;; ?*' '?*) started_iso=${since% *}T${since#* }Z ;; esac
}

need_containerd() {
  [ "$unit" = loaded ] || fail containerd-missing "systemd knows no unit containerd.service"
}

# containerd reads the system's certificates once, at its start.
loaded() {
  read_changed
  [ -n "$started" ] || return 1
  case $changed_boot in
    '') return 0 ;;
    pending) return 1 ;;
    "$boot_id") [ "$started" -gt "$changed_at" ] ;;
    *) return 0 ;;
  esac
}

answers() {
  captured systemctl is-active containerd.service || return 1
  command -v ctr >/dev/null 2>&1 || return 0
  # Its socket answers also when the plugin that kubelet speaks to could not be started.
  captured timeout 10 ctr plugins ls || return 1
  for line in $output; do
    # Without the blanks at its end.
    line=${line%"${line##*[![:blank:]]}"}
    case $line in *cri*[[:blank:]]error) return 1 ;; esac
  done
}

# restart_if_needed: to be called with the unit inspected.
restart_if_needed() {
  if loaded; then return 0; fi
  touched=yes
  captured timeout 120 systemctl restart containerd.service ||
    fail containerd-failed "systemctl restart failed: $output" "$(containerd_log)"
  tries=60
  until answers; do
    tries=$((tries - 1))
    [ "$tries" -gt 0 ] || fail containerd-failed "containerd does not answer after its restart: $output" "$(containerd_log)"
    sleep 1
  done
  restarted=true
  inspect_containerd
}

containerd_log() {
  captured timeout 10 journalctl -u containerd.service -n 20 --no-pager -o cat || :
  printf '%s' "$output"
}
