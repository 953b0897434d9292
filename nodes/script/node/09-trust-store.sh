# From here until keep_changed has settled, a change that is interrupted is one that has to be redone.
keep_pending() {
  targets=
  for edit in $edits; do
    split_edit "$edit"
    targets="$targets $sign$digest=$target"
  done
  keep changed "pending bundle$targets"
}

keep_changed() {
  IFS=' .' read -r seconds hundredths _ </proc/uptime
  keep changed "$boot_id $seconds$hundredths"
}

# Sets $pending to the numbers of a change that is to be redone.
read_changed() {
  changed_boot='' changed_at='' pending=''
  [ ! -f "$state/changed" ] || IFS=' ' read -r changed_boot changed_at <"$state/changed" || :
  [ "$changed_boot" != pending ] || pending=$changed_at
}

# In Photon's bundle, which the system's tool makes of files put end to end, a file without a final newline swallows
# itself and the next: sets $unterminated to the list of such files of others.
find_unterminated() {
  unterminated=
  [ "$family" = photon ] || return 0
  set +f
  set -- "$store"/*.pem
  set -f
  odd=no
  for file in "$@"; do
    [ -f "$file" ] || odd=yes
  done
  # The shell takes newlines from the end: nothing is left of the last bytes of all files where each is one.
  if [ "$odd" = no ] && last=$(tail -q -c 1 "$@" 2>/dev/null) && [ -z "$last" ]; then return 0; fi
  for file in "$@"; do
    case ${file##*/} in tkc-registry-*) continue ;; esac
    [ ! -f "$file" ] || [ -z "$(tail -c 1 "$file")" ] || unterminated=$unterminated$file$newline
  done
}

# An install does not rebuild, so such a file costs nothing today; the next rebuild by whomever may lose our certificate
# with it.
report_unterminated() {
  reported=0
  find_unterminated
  for file in $unterminated; do
    reported=$((reported + 1))
    [ "$reported" -le 8 ] || break
    clean "$file"
    report unterminated "$cleaned"
  done
}

# What an earlier release began by the system's own tool, and that was cut off there, is completed by it: nobody can
# tell what the bundle has lost. Nothing else runs the tool, for it loses what others put into the bundle by hand, and
# trusts what they left out of it.
rebuild() {
  find_unterminated
  for file in $unterminated; do
    fail bad-neighbour "$file does not end with a newline: rebuilding the bundle would lose its certificate and the next one"
  done
  touched=yes
  case $family in
    photon)
      captured timeout 300 /usr/bin/rehash_ca_certificates.sh || fail rehash-failed "rehash_ca_certificates.sh failed" "$output"
      ;;
    debian)
      # It appends to what a run that was killed left behind.
      rm -f "$bundle.new"
      captured timeout 300 update-ca-certificates || fail rehash-failed "update-ca-certificates failed" "$output"
      ;;
    rhel)
      captured timeout 300 update-ca-trust extract || fail rehash-failed "update-ca-trust failed" "$output"
      ;;
  esac
}

# change_store NAMES: to be called with everything recorded and planned; writes the files of $to_write, removes those of
# NAMES, and lets links and bundle follow.
change_store() {
  touched=yes changed=true
  write_files
  remove_files "$1"
  make_links "$stored"
  find_extracted
  drop_links
  drop_extracted
  # Whoever rebuilds the bundle at the same time may have read the folder before we wrote to it.
  for _ in 1 2 3; do
    edit_bundle
    examine
    if edited; then return 0; fi
  done
  for edit in $edits; do
    split_edit "$edit"
    count_of "$name" "$in_bundle"
    if [ "$count" -lt "$target" ] && [ "$sign" != - ]; then
      fail not-trusted "$store/$name$extension is in place, but $bundle has not its certificate: somebody takes it out"
    elif [ "$count" -gt "$target" ] && [ "$sign" != + ]; then
      fail not-removed "$bundle has the certificate of a file that is gone again: somebody puts it back"
    fi
  done
}
