# inspect_files: whether all files of the certificate $name are as they were written ($present), and are read ($read).
inspect_files() {
  present=no read=no
  if [ "$way" = system ]; then
    among "$name" "$in_place" || return 0
    present=yes
    ! among "$name" "$in_bundle" || read=yes
    return 0
  fi
  for file in $placed; do
    case $file in */"$name.crt") ;; *) continue ;; esac
    present=yes
    if ! among "$file" "$in_folder"; then
      present=no
      return 0
    fi
  done
  [ "$present" = yes ] && [ -n "$roots" ] || return 0
  locate "$registry"
  if [ -z "$taken" ] && among "$folder/$name.crt" "$in_folder" && is_read "$folder" "$name"; then read=yes; fi
}

# report_all KEY LIST EXCEPT: each once.
report_all() {
  seen=$3
  for item in $2; do
    ! among "$item" "$seen" || continue
    seen=$seen$item$newline
    report "$1" "$item"
  done
}

# By what examine and inspect_containerd saw. A certificate counts when all its files do.
report_state() {
  there='' absent='' trusted='' untrusted=''
  for certificate in $recorded_certificates; do
    split_certificate "$certificate"
    inspect_files
    if [ "$present" = yes ]; then there=$there$digest$newline; else absent=$absent$digest$newline; fi
    if [ "$read" = yes ]; then trusted=$trusted$digest$newline; else untrusted=$untrusted$digest$newline; fi
  done
  report_all trusted "$trusted" "$untrusted"
  [ "$op" != status ] || report_all present "$there" "$absent"
  [ ! -f "$owner_record" ] || report trust "$way"
  if loaded; then report loaded true; else report loaded false; fi
  [ -z "$started_iso" ] || report containerdStarted "$started_iso"
  [ -z "$known_nonce" ] || report nonce "$known_nonce"
}

# The certificates themselves, as many as a report has room for.
report_bodies() {
  room=32000
  for certificate in $recorded_certificates; do
    split_certificate "$certificate"
    [ "${#body}" -le 4000 ] || continue
    room=$((room - ${#body}))
    [ "$room" -gt 0 ] || break
    report certificate "$body"
  done
}
