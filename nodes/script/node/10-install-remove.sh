# Sets $unclaimed to those of PATHS that are not among KEPT and that no other stack claims.
find_unclaimed() {
  unclaimed=
  for file in $1; do
    among "$file" "$2" || claimed_by_others "placed=$file" || unclaimed=$unclaimed$file$newline
  done
}

# find_kept NAMES: after a change from certs.d to system the files in folders of registries are needed until containerd
# has loaded the trust store: sets $kept to those of them whose certificates have these names.
find_kept() {
  kept=
  if [ "$way" != system ] || [ -z "$placed" ]; then return 0; fi
  inspect_containerd
  until_loaded=no
  # What is still aside is a change that has just been made.
  if [ -n "$asides" ] || ! loaded; then until_loaded=yes; fi
  for file in $placed; do
    name=${file##*/} name=${name%.crt}
    among "$name" "$1" || continue
    if [ "$until_loaded" = no ] && among "$name" "$in_bundle"; then continue; fi
    kept=$kept$file$newline
  done
}

# Drops all files in folders of registries that are neither wanted nor kept.
drop_former() {
  find_unclaimed "$placed" "$to_be$kept"
  drop_files "$unclaimed"
  drop_folders
}

# Sets $folders to the list of those that have to be on the disk after files of PATHS came or went.
find_folders() {
  folders=
  for file in $1; do
    folder=${file%/*}
    until [ -d "$folder/" ]; do folder=${folder%/*}; done
    for folder in "$folder/" "${folder%/*}/"; do
      among "$folder" "$folders" || folders=$folders$folder$newline
    done
  done
}

choose_way() {
  read_way
  way=$trust
  [ "$trust" != system ] || return 0
  plan_folders
  if [ -n "$to_be" ]; then
    way=certs.d
  elif [ "$trust" = auto ]; then
    way=system
  elif [ -n "$missing" ]; then
    fail certs-d-missing "$missing"
  else
    fail certs-d-taken "$taken"
  fi
}

install_certificates() {
  [ -n "$wanted" ] || fail bad-parameter "no certificate was given"
  read_changed
  find_other_records
  choose_way
  examine
  names='' stored='' to_write='' stale='' earlier='' rebuilding=no to_place='' sorting=no
  if [ "$changed_boot" = pending ]; then rebuilding=yes; fi
  for certificate in $wanted; do
    name=${certificate%% *}
    among "$name" "$names" || names=$names$name$newline
  done
  if [ "$way" = system ]; then stored=$names; fi
  files=$stored
  for name in $stored; do
    if ! among "$name" "$in_place"; then
      to_write=$to_write$name$newline
    elif ! among "$name" "$in_bundle"; then
      rebuilding=yes
    fi
  done
  for name in $recorded; do
    ! among "$name" "$stored" || continue
    files=$files$name$newline
    claimed_by_others "file=$name" || stale=$stale$name$newline
  done
  if [ -n "$to_write$stale" ]; then rebuilding=yes; fi
  paths=$to_be
  for file in $to_be; do
    among "$file" "$in_folder" || to_place=$to_place$file$newline sorting=yes
  done
  for file in $placed; do
    among "$file" "$to_be" || paths=$paths$file$newline sorting=yes
  done
  for certificate in $recorded_certificates; do
    among "${certificate%% *}" "$names" || earlier=$earlier$certificate$newline
  done
  if [ "$rebuilding" = yes ]; then check_neighbours; fi
  if [ "$rebuilding" = yes ] || [ "$sorting" = yes ]; then
    keep_record "" "$wanted$earlier" "$files" "$paths"
    [ -z "$to_place" ] || keep_folders
    [ "$rebuilding" = no ] || keep_pending
    settle
  fi
  # First comes what is to be trusted, then goes what is not any more.
  place_files
  placed=$paths
  if [ "$rebuilding" = yes ]; then
    change_store "$stale"
    for name in $stored; do
      among "$name" "$in_bundle" ||
        fail not-trusted "$store/$name$extension is in place, but $bundle has not its certificate after the rebuild" "$output"
    done
    keep_changed
  else
    # Without this record nobody can tell whether containerd started before or after the certificates came.
    if [ "$way" = system ] && [ ! -f "$state/changed" ]; then keep_changed; fi
    examine everywhere
  fi
  for file in $to_be; do
    among "$file" "$in_folder" || fail not-trusted "$file was written and is not as it was written"
  done
  unclaimed=
  find_kept "$names"
  if [ "$sorting" = yes ]; then drop_former; fi
  keep_record "$nonce" "$wanted" "$stored" "$to_be$kept"
  find_folders "$to_place$unclaimed"
  # shellcheck disable=SC2086
  settle "$store" $folders
  # What is in the store from now on is no business of ours.
  if [ "$way" = certs.d ] && [ -z "$other_records" ]; then
    drop_links_made_for_others
    rm -f "$state/names-before"
  fi
  recorded_certificates=$wanted known_nonce=$nonce placed=$to_be$kept
  report_others "$names"
}

remove_certificates() {
  read_changed
  find_other_records
  read_way
  examine
  stale='' to_write='' kept='' dropped=''
  for name in $recorded; do
    claimed_by_others "file=$name" || stale=$stale$name$newline
  done
  if [ -n "$stale" ] || [ "$changed_boot" = pending ]; then
    check_neighbours
    keep_pending
    settle
    change_store "$stale"
    for name in $stale; do
      among "$name" "$in_bundle" || continue
      case $newline$holders in *"$newline$name "*) continue ;; esac
      fail not-removed "$bundle still has the certificate of a file that is gone" "$output"
    done
    keep_changed
    settle "$store"
  elif [ -n "$placed" ]; then
    examine everywhere
  fi
  [ -n "$other_records" ] || drop_links_made_for_others
  drop_former
  for file in $unclaimed; do
    name=${file##*/}
    dropped=$dropped${name%.crt}$newline
  done
  report_others "$stale$dropped"
  find_folders "$unclaimed"
  # shellcheck disable=SC2086
  [ -z "$folders" ] || sync $folders || not_written "$state"
  [ -z "$asides" ] || settle
  rm -f "$owner_record"
  if [ "$restart" = yes ]; then restart_if_needed; fi
  [ -z "$other_records" ] || return 0
  rm -rf "$state"
  rm -f "$lock_file"
}

# After a restart: what find_kept kept is not needed any more.
finish_change() {
  read_way
  if [ "$way" = certs.d ]; then find_roots; fi
  examine
  if [ "$way" = certs.d ] || [ -z "$placed" ]; then return 0; fi
  find_kept "$recorded"
  [ "$kept" != "$placed" ] || return 0
  find_other_records
  drop_former
  keep_record "$known_nonce" "$recorded_certificates" "$recorded" "$kept"
  find_folders "$unclaimed"
  # shellcheck disable=SC2086
  settle $folders
}
