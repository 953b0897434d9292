read_folders() {
  made=
  [ -f "$state/folders" ] || return 0
  while IFS= read -r line; do
    # What others have removed, and may make again, is no longer ours.
    if [ -d "$line" ]; then made=$made$line$newline; fi
  done <"$state/folders"
}

# Keeps which folders are about to be made for the files of $to_place.
keep_folders() {
  read_folders
  new=no
  for file in $to_place; do
    chain='' folder=${file%/*}
    while [ -n "$folder" ] && [ ! -d "$folder" ] && ! among "$folder" "$made"; do
      chain=$chain$folder$newline folder=${folder%/*} new=yes
    done
    made=$chain$made
  done
  [ "$new" = no ] || keep folders "${made%"$newline"}"
}

# Writes the files of $to_place, aside under names that containerd does not load.
place_files() {
  for certificate in $wanted; do
    split_certificate "$certificate"
    for file in $to_place; do
      folder=${file%/*}
      case $file in "$folder/$name.crt") ;; *) continue ;; esac
      [ -d "$folder" ] || mkdir -p "$folder" || not_written "$folder"
      [ ! -d "$file" ] || not_written "$file"
      among "$folder/.$name.new" "$asides" || asides=$asides$folder/.$name.new$newline
      pem "$body"
      printf '%s\n' "$pem" >"$folder/.$name.new" || not_written "$file"
    done
  done
  [ -n "$asides" ] || return 0
  # shellcheck disable=SC2086
  sync $asides || not_written "${to_place%%"$newline"*}"
  for file in $to_place; do
    name=${file##*/}
    mv -f "${file%/*}/.${name%.crt}.new" "$file" || not_written "$file"
    label "${file%/*}" "$file"
  done
  asides='' changed=true touched=yes
}

# drop_files PATHS: removes them from the folders of registries, and what runs that were killed put aside there.
drop_files() {
  gone=$1
  if [ -n "$1" ]; then changed=true touched=yes; fi
  set +f
  for file in $placed; do
    for aside in "${file%/*}"/.tkc-registry-*.new; do
      [ ! -f "$aside" ] || gone=$gone$aside$newline
    done
  done
  set -f
  # shellcheck disable=SC2086
  [ -z "$gone" ] || rm -f $gone
}

# Removes the folders that we made and nobody needs.
drop_folders() {
  read_folders
  left=
  for folder in $made; do
    rmdir "$folder" 2>/dev/null || left=$left$folder$newline
  done
  if [ -n "$left" ]; then keep folders "${left%"$newline"}"; else rm -f "$state/folders"; fi
}
