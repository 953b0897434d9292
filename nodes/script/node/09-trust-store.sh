# From here until keep_changed has settled, a change that is interrupted is one that has to be redone.
keep_pending() {
  [ -f "$state/names-before" ] || keep names-before "$(ls -A "$links")"
  keep changed pending
}

keep_changed() {
  IFS=' .' read -r seconds hundredths _ </proc/uptime
  keep changed "$boot_id $seconds$hundredths"
}

read_changed() {
  changed_boot='' changed_at=''
  [ ! -f "$state/changed" ] || IFS=' ' read -r changed_boot changed_at <"$state/changed" || :
}

# In Photon's bundle, which is files put end to end, a file without a final newline swallows itself and the next.
check_neighbours() {
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
    name=${file##*/}
    # Our own is about to be written anew.
    ! among "${name%.pem}" "$to_write" || continue
    [ ! -f "$file" ] || [ -z "$(tail -c 1 "$file")" ] ||
      fail bad-neighbour "$file does not end with a newline: rebuilding the bundle would lose its certificate and the next one"
  done
}

rebuild() {
  case $family in
    photon)
      captured timeout 300 /usr/bin/rehash_ca_certificates.sh || fail rehash-failed "rehash_ca_certificates.sh failed" "$output"
      ;;
    debian)
      # It appends to what a run that was killed left behind.
      [ "$changed_boot" != pending ] || rm -f "$bundle.new"
      captured timeout 300 update-ca-certificates || fail rehash-failed "update-ca-certificates failed" "$output"
      ;;
  esac
  dead=no
  set +f
  for link in "$links"/????????.[0-9]*; do
    if [ -e "$link" ] || [ ! -L "$link" ]; then continue; fi
    case $(readlink "$link") in
      tkc-registry-* | */tkc-registry-*) rm -f "$link" && dead=yes ;;
    esac
  done
  set -f
  # The same certificate in another's file had no link while ours had it.
  if [ "$dead" = yes ] && command -v openssl >/dev/null 2>&1; then captured openssl rehash "$links" || :; fi
}

# change_store NAMES: to be called with everything recorded; writes the files of $to_write, removes those of NAMES and
# rebuilds.
change_store() {
  removed=0 before=$bundled
  write_files
  remove_files "$1"
  rebuild
  examine everywhere
  [ "$bundled" -ge $((before - removed)) ] ||
    fail bundle-shrank "$bundle held $before certificates before and holds $bundled now; $removed were ours and were to go"
  changed=true
}

# Every rebuild links whatever has no link yet, also what others put there and never linked. What was there without a
# link before us is without one after us.
drop_links_made_for_others() {
  [ -f "$state/names-before" ] || return 0
  names_before=$(cat "$state/names-before")$newline
  set +f
  for link in "$links"/????????.[0-9]*; do
    [ -L "$link" ] || continue
    ! among "${link##*/}" "$names_before" || continue
    target=$(readlink "$link")
    ! among "${target##*/}" "$names_before" || rm -f "$link"
  done
  set -f
}
