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

# select_certificates CERTIFICATES NAMES: sets $selected to those with these names.
select_certificates() {
  selected=
  for certificate in $1; do
    ! among "${certificate%% *}" "$2" || selected=$selected$certificate$newline
  done
}

# digests_of CERTIFICATES NAMES: sets $digests to the list of the SHA-256 of those with these names.
digests_of() {
  select_certificates "$1" "$2"
  digests=
  for certificate in $selected; do
    split_certificate "$certificate"
    among "$digest" "$digests" || digests=$digests$digest$newline
  done
}

# names_of PATHS: sets $path_names to the names of the certificates in folders of registries.
names_of() {
  path_names=
  for file in $1; do
    name=${file##*/}
    path_names=$path_names${name%.crt}$newline
  done
}

# plan_install: what is to be written, and what is to go.
plan_install() {
  names='' stored='' to_write='' stale='' earlier='' rebuilding=no to_place='' sorting=no links_to_be=''
  for certificate in $wanted; do
    name=${certificate%% *}
    among "$name" "$names" || names=$names$name$newline
  done
  store_certificates=
  if [ "$way" = system ]; then stored=$names store_certificates=$wanted; fi
  files=$stored
  for name in $stored; do
    among "$name" "$in_place" || to_write=$to_write$name$newline
  done
  for name in $recorded; do
    ! among "$name" "$stored" || continue
    files=$files$name$newline
    claimed_by_others "file=$name" || stale=$stale$name$newline
  done
  select_certificates "$recorded_certificates" "$stale"
  plan_edits "$store_certificates" "$selected"
  if [ -n "$to_write$stale$edits" ] || [ "$changed_boot" = pending ]; then rebuilding=yes; fi
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
}

install_certificates() {
  [ -n "$wanted" ] || fail bad-parameter "no certificate was given"
  # A node that runs something else is left as it is.
  inspect_containerd
  need_containerd
  read_changed
  choose_way
  examine everywhere
  if [ "$changed_boot $changed_at" = 'pending ' ]; then
    rebuild
    changed=true
    examine everywhere
  fi
  plan_install
  if ! edited && [ "$torn" = yes ]; then
    await_bundle
    plan_install
  fi
  names_of "$to_place"
  digests_of "$wanted" "$to_write$path_names"
  added=$digests
  for edit in $edits; do
    split_edit "$edit"
    if [ "$sign" = - ] || among "$digest" "$added"; then continue; fi
    added=$added$digest$newline
  done
  take_over
  if [ "$rebuilding" = yes ] || [ "$sorting" = yes ]; then
    [ -z "$store_certificates" ] || [ "$rebuilding" = no ] || plan_links "$store_certificates"
    keep_record "" "$wanted$earlier" "$files" "$paths"
    [ -z "$to_place" ] || keep_folders
    if [ "$rebuilding" = yes ]; then
      keep_before ''
      keep_pending
    fi
    settle
  fi
  # First comes what is to be trusted, then goes what is not any more.
  place_files
  placed=$paths
  if [ "$rebuilding" = yes ]; then
    change_store "$stale"
    for name in $stored; do
      among "$name" "$in_bundle" ||
        fail not-trusted "$store/$name$extension is in place, but $bundle has not its certificate" "$output"
    done
  elif [ -n "$to_place" ]; then
    examine
  fi
  for file in $to_be; do
    among "$file" "$in_folder" || fail not-trusted "$file was written and is not as it was written"
  done
  unclaimed=
  find_kept "$names"
  if [ "$sorting" = yes ]; then drop_former; fi
  names_of "$unclaimed"
  digests_of "$recorded_certificates" "$stale$path_names"
  for digest in $digests; do
    case $wanted in *" $digest "*) ;; *) removed=$removed$digest$newline ;; esac
  done
  [ -z "$stale" ] || keep_before "$removed"
  keep_record "$nonce" "$wanted" "$stored" "$to_be$kept"
  # Without this nobody can tell whether containerd started before or after the certificates came. After the record, for
  # a change is complete with that.
  if [ "$rebuilding" = yes ] || { [ "$way" = system ] && [ ! -f "$state/changed" ]; }; then keep_changed; fi
  find_folders "$to_place$unclaimed"
  if [ "$rebuilding" = yes ]; then folders=$folders$links$newline${bundle%/*}$newline; fi
  # shellcheck disable=SC2086
  settle "$store" $folders
  # Earlier releases kept what they needed to undo what a rebuild does.
  [ ! -f "$state/names-before" ] || rm -f "$state/names-before"
  recorded_certificates=$wanted known_nonce=$nonce placed=$to_be$kept
  for digest in $added; do
    case $wanted in *" $digest "*) report added "$digest" ;; esac
  done
  report_others "$names"
  if [ "$way" = system ]; then report_unterminated; fi
}

remove_certificates() {
  read_changed
  read_way
  stray_names=
  if [ "$take_unclaimed" = yes ]; then
    examine
    find_strays
    read_strays
    for file in $strays; do
      case $file in "$store"/* | "$links"/*) ;; *) placed=$placed$file$newline ;; esac
    done
    # They are looked for as what is recorded.
    wanted=$stray_certificates
  fi
  examine
  stale=$stray_names to_write='' stored='' kept='' links_to_be='' edits='' before=''
  for name in $recorded; do
    claimed_by_others "file=$name" || stale=$stale$name$newline
  done
  select_certificates "$recorded_certificates$wanted" "$stale"
  leaving=$selected
  digests_of "$leaving" "$stale"
  removed=$digests
  if [ -n "$stale$placed" ] || [ "$changed_boot" = pending ]; then examine everywhere; fi
  if [ -n "$stale" ] || [ "$changed_boot" = pending ]; then
    if [ "$changed_boot $changed_at" = 'pending ' ]; then
      rebuild
      examine everywhere
    fi
    plan_edits '' "$leaving"
    if ! edited && [ "$torn" = yes ]; then await_bundle; fi
    [ ! -f "$owner_record" ] || take_over
    keep_pending
    settle
    change_store "$stale"
    # Together: what is done must not be recorded as still to do, for then a copy of others would be cut.
    [ ! -f "$owner_record" ] || keep_record "$known_nonce" "$recorded_certificates" "" "$placed"
    keep_changed
    settle "$store" "$links" "${bundle%/*}"
  fi
  drop_former
  names_of "$unclaimed"
  dropped=$path_names
  digests_of "$recorded_certificates$wanted" "$dropped"
  for digest in $digests; do
    among "$digest" "$removed" || removed=$removed$digest$newline
  done
  report_others "$stale$dropped"
  for certificate in $leaving; do
    split_certificate "$certificate"
    # Somebody had put it into the bundle itself before we came.
    if ! among "bundle $digest" "$before" || ! among "$name" "$in_bundle" || feeds_bundle "$name"; then continue; fi
    report alsoTrustedBy "$bundle"
    break
  done
  find_folders "$unclaimed"
  # shellcheck disable=SC2086
  [ -z "$folders" ] || sync $folders || not_written "$state"
  if [ -n "$other_records" ] && [ -n "$before" ]; then
    gone=
    for digest in $removed; do
      case $newline$other_certificates in *" $digest$newline"*) ;; *) gone=$gone$digest$newline ;; esac
    done
    keep_before "$gone"
  fi
  [ -z "$asides" ] || settle
  rm -f "$owner_record"
  # The node may run something else by now, or have done so always: nothing of ours needs it.
  if [ "$restart" = yes ] || command -v systemctl >/dev/null 2>&1; then inspect_containerd; fi
  if [ "$restart" = yes ] && [ "$unit" = loaded ]; then restart_if_needed; fi
  [ -z "$started_iso" ] || report containerdStarted "$started_iso"
  [ -z "$other_records" ] || return 0
  rm -rf "$state"
}

# After a restart: what find_kept kept is not needed any more.
finish_change() {
  read_way
  if [ "$way" = certs.d ]; then find_roots; fi
  examine
  if [ "$way" = certs.d ] || [ -z "$placed" ]; then return 0; fi
  find_kept "$recorded"
  [ "$kept" != "$placed" ] || return 0
  drop_former
  keep_record "$known_nonce" "$recorded_certificates" "$recorded" "$kept"
  find_folders "$unclaimed"
  # shellcheck disable=SC2086
  settle $folders
}
