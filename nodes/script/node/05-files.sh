# What is written goes to the disk aside, and then to its place under its name: in any crash each file is the old one
# or the new one. What was put aside goes when it cannot be completed.
not_written() {
  # shellcheck disable=SC2086
  rm -f $asides || :
  fail write-failed "$1 could not be written; is the disk full or read-only?"
}

# keep NAME TEXT: puts a file of $state aside.
keep() {
  umask 077
  [ -d "$state/new" ] || mkdir -p "$state/new" || not_written "$state"
  asides=$asides$state/new/$1$newline
  printf '%s\n' "$2" >"$state/new/$1" || not_written "$state/$1"
  umask 022
}

# settle [FOLDER...]: gives all that was kept its place, in the order in which it was, and makes that last; before it
# what happened in the folders.
settle() {
  # shellcheck disable=SC2086
  if sync $asides "$@" && mv -f $asides "$state/" && sync "$state"; then
    asides=
  else
    not_written "$state"
  fi
}

# pem BODY: sets $pem to its file, without the final newline.
pem() {
  rest=$1 eight='????????'
  pem='-----BEGIN CERTIFICATE-----'
  while [ "${#rest}" -gt 64 ]; do
    # shellcheck disable=SC2295 # a pattern
    after=${rest#$eight$eight$eight$eight$eight$eight$eight$eight}
    pem=$pem$newline${rest%%"$after"}
    rest=$after
  done
  pem=$pem$newline$rest$newline'-----END CERTIFICATE-----'
}

# label FILES: gives them the labels that SELinux has for their places, where a node has it.
label() {
  ! command -v restorecon >/dev/null 2>&1 || restorecon "$@" </dev/null >/dev/null 2>&1 9>&- || :
}

# Writes the files of $to_write, aside where no rehash looks at them.
write_files() {
  for certificate in $wanted; do
    split_certificate "$certificate"
    among "$name" "$to_write" || continue
    aside=$aside_folder/.$name.new
    asides=$asides$aside$newline
    pem "$body"
    printf '%s\n' "$pem" >"$aside" || not_written "$store/$name$extension"
  done
  [ -n "$asides" ] || return 0
  # shellcheck disable=SC2086
  sync $asides || not_written "$store"
  for name in $to_write; do
    mv -f "$aside_folder/.$name.new" "$store/$name$extension" || not_written "$store/$name$extension"
    label "$store/$name$extension"
  done
  asides=
}

remove_files() {
  gone=
  for name in $1; do
    gone=$gone$store/$name$extension$newline
    # update-ca-certificates makes this link, and leaves it behind when its target is gone.
    if [ -L "$links/$name.pem" ]; then gone=$gone$links/$name.pem$newline; fi
  done
  set +f
  # What a run that was killed put aside.
  for file in "$aside_folder"/.tkc-registry-*.new "$links"/.tkc-registry-*.new "${bundle%/*}"/.tkc-registry-bundle.*; do
    if [ -f "$file" ] || [ -L "$file" ]; then gone=$gone$file$newline; fi
  done
  set -f
  # shellcheck disable=SC2086
  [ -z "$gone" ] || rm -f $gone
}
