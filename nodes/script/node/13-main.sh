main() {
  set -euf
  export LC_ALL=C PATH="${PATH:-/usr/bin}:/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/sbin:/usr/local/bin"
  umask 022
  newline='
'
  IFS=$newline
  result='' output='' asides='' roots='' changed=false restarted=false
  # Once begun it is finished, whatever becomes of the connection.
  trap '' HUP PIPE
  trap 'fail internal "an unexpected step failed; last output: $output"' EXIT
  state=/var/lib/tkc-registry
  lock_file=/run/tkc-registry.lock
  read_parameters
  prove_identity
  owner_id=$(printf '%s' "${id:-$owner}" | sha256sum)
  owner_id=${owner_id%"${owner_id#????????????????}"}
  owner_record=$state/owner-$owner_id
  read -r boot_id </proc/sys/kernel/random/boot_id
  lock
  detect_family
  case $op in
    install)
      install_certificates
      inspect_containerd
      report_state
      ;;
    remove) remove_certificates ;;
    restart)
      restart_if_needed
      finish_change
      report_state
      ;;
    status)
      read_way
      if [ "$way" = certs.d ]; then find_roots; fi
      examine
      inspect_containerd
      report_state
      ;;
    *) fail bad-parameter "unknown op" ;;
  esac
  report os "$family"
  report bundle "$bundle"
  report bootId "$boot_id"
  report changed "$changed"
  report restarted "$restarted"
  finish ok
}

main
