main() {
  set -euf
  export LC_ALL=C PATH="${PATH:-/usr/bin}:/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/sbin:/usr/local/bin"
  umask 022
  newline='
'
  IFS=$newline
  result='' output='' asides='' roots='' added='' removed='' holders='' touched=no locked=no changed=false restarted=false
  # Once begun it is finished, whatever becomes of the connection.
  trap '' HUP PIPE
  trap 'fail internal "an unexpected step failed; last output: $output"' EXIT
  state=/var/lib/tkc-registry
  lock_file=/run/tkc-registry.lock
  read_parameters
  prove_identity
  if [ "$op" = reach ]; then
    reach_registries
    finish ok
  fi
  read -r boot_id </proc/sys/kernel/random/boot_id
  lock
  detect_family
  find_records
  case $op in
    install)
      install_certificates
      report_state
      ;;
    remove) remove_certificates ;;
    restart)
      inspect_containerd
      need_containerd
      restart_if_needed
      finish_change
      report_state
      ;;
    status)
      inspect_containerd
      need_containerd
      read_way
      if [ "$way" = certs.d ]; then find_roots; fi
      examine
      report_state
      find_strays
      report_strays
      [ "$with_bodies" = no ] || report_bodies
      [ "$way" != system ] || [ -z "$recorded" ] || report_unterminated
      ;;
    *) fail bad-parameter "unknown op" ;;
  esac
  [ "$op" = restart ] || report_records
  report os "$family"
  report bundle "$bundle"
  report bootId "$boot_id"
  report changed "$changed"
  report restarted "$restarted"
  audit ok
  finish ok
}

main
