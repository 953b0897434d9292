# plan_links CERTIFICATES: sets $links_to_be to the list of "<hash> <name>" of the hash links by which OpenSSL finds
# them, as the system's tool would make them: none where another file with the same certificate has one. Without the
# program openssl there are none, for then the tool makes none either. update-ca-trust makes some to copies of its own,
# which OpenSSL does not need to find a certificate in the bundle.
plan_links() {
  links_to_be='' done=''
  [ "$family" != rhel ] || return 0
  command -v openssl >/dev/null 2>&1 || return 0
  for certificate in $1; do
    split_certificate "$certificate"
    ! among "$digest" "$done" || continue
    done=$done$digest$newline
    pem "$body"
    hash=$(printf '%s\n' "$pem" | openssl x509 -hash -noout 2>/dev/null 9>&-) || continue
    case $hash in ????????) ;; *) continue ;; esac
    number=0 linked=no
    while [ -e "$links/$hash.$number" ] || [ -L "$links/$hash.$number" ]; do
      # shellcheck disable=SC3013
      if [ "$links/$hash.$number" -ef "$store/$name$extension" ]; then linked=yes; fi
      ! has_holder "$links/$hash.$number" || linked=yes
      number=$((number + 1))
    done
    [ "$linked" = no ] || continue
    links_to_be="$links_to_be$hash $name$newline"
    for holder in $holders; do
      case $holder in */tkc-registry-*) continue ;; esac
      if [ "${holder%% *}" != "$name" ] || ! is_linkable "${holder#* }"; then continue; fi
      among "file $digest ${holder#* }" "$before" || before="${before}file $digest ${holder#* }$newline"
    done
  done
}

# has_holder LINK: whether it leads to a file with the certificate $name that is to stay.
has_holder() {
  for holder in $holders; do
    file=${holder##*/}
    ! among "${file%.*}" "$stale" || continue
    # shellcheck disable=SC3013
    if [ "${holder%% *}" = "$name" ] && [ "$1" -ef "${holder#* }" ]; then return 0; fi
  done
  return 1
}

# Whether the system's tool would make a hash link to a file.
is_linkable() {
  [ "$family" != rhel ] || return 1
  case $1 in
    "$links"/*/*) return 1 ;;
    "$links"/*.pem | "$links"/*.crt | "$links"/*.cer) return 0 ;;
  esac
  return 1
}

stood_unlinked() {
  for line in $before; do
    case $line in "file "*" $1") return 0 ;; esac
  done
  return 1
}

# keep_before DIGESTS: keeps what there was before us, without what was there of certificates that have left us.
keep_before() {
  left=
  for line in $before; do
    digest=${line#* } digest=${digest%% *}
    among "$digest" "$1" || left=$left$line$newline
  done
  if [ -n "$left" ]; then keep before "${left%"$newline"}"; elif [ -f "$state/before" ]; then rm -f "$state/before"; fi
}

# make_links NAMES: the links to their files that the system's tool would make.
make_links() {
  if [ "$family" = debian ]; then
    for name in $1; do
      # shellcheck disable=SC3013
      [ "$links/$name.pem" -ef "$store/$name.crt" ] || ln -sf "$store/$name.crt" "$links/$name.pem" || not_written "$links/$name.pem"
    done
  fi
  for link in $links_to_be; do
    hash=${link%% *} name=${link#* } number=0
    while [ -e "$links/$hash.$number" ] || [ -L "$links/$hash.$number" ]; do number=$((number + 1)); done
    ln -s "$name.pem" "$links/$hash.$number" || not_written "$links/$hash.$number"
  done
}

# Where somebody else ran update-ca-trust, it made files of its own with our certificates, and Go reads them: sets
# $extracted to the list of those whose certificates nobody has any more.
find_extracted() {
  extracted=
  for edit in $edits; do
    split_edit "$edit"
    [ "$sign $target" = '- 0' ] || continue
    for holder in $holders; do
      case $holder in "$name $extracted_folder/"*) extracted=$extracted${holder#* }$newline ;; esac
    done
  done
}

# After the links to them, by which an interrupted run finds its way.
drop_extracted() {
  [ -n "$extracted" ] || return 0
  # shellcheck disable=SC2086
  rm -f $extracted
  sync "$extracted_folder" || not_written "$extracted_folder"
}

# is_dead LINK: whether it leads to a file of ours that is gone, whose name $dead is then. That proves it ours: no record
# could, for the system's tool gives the numbers anew. Or it leads to one of $extracted, and $dead is empty.
is_dead() {
  [ -L "$1" ] || return 1
  dead=
  if [ -e "$1" ]; then
    for copy in $extracted; do
      # shellcheck disable=SC3013
      if [ "$1" -ef "$copy" ]; then return 0; fi
    done
    return 1
  fi
  dead=$(readlink "$1")
  dead=${dead##*/}
  case $dead in tkc-registry-*) dead=${dead%.*} ;; *) return 1 ;; esac
}

# Removes the hash links to files of ours that are gone. OpenSSL counts up and stops at the first number that is missing,
# so the last link of the same hash takes the place, as by the system's tool; unless another file with the same
# certificate is without a link because this one had it: then it gets this one.
drop_links() {
  set +f
  set -- "$links"/????????.[0-9]* "$extracted_folder"/????????.[0-9]*
  set -f
  for link in "$@"; do
    is_dead "$link" || continue
    name=$dead base=${link%.*} number=${link##*.}
    case $number in
      *[!0-9]*)
        rm -f "$link"
        continue
        ;;
    esac
    heir=
    for holder in $holders; do
      file=${holder#* }
      if [ "${holder%% *}" != "$name" ] || [ ! -f "$file" ] || ! is_linkable "$file" || stood_unlinked "$file"; then
        continue
      fi
      [ "$(grep -c '^-----BEGIN ' "$file")" = 1 ] || continue
      heir=${file##*/}
      for other in 0 1 2 3 4 5 6 7 8 9; do
        # shellcheck disable=SC3013
        if [ "$base.$other" -ef "$file" ]; then heir=; fi
      done
      [ -z "$heir" ] || break
    done
    if [ -n "$heir" ]; then
      if ! ln -sf "$heir" "$links/.tkc-registry-link.new" || ! mv -f "$links/.tkc-registry-link.new" "$link"; then
        not_written "$link"
      fi
      continue
    fi
    last=$number
    while [ -L "$base.$((last + 1))" ]; do last=$((last + 1)); done
    while [ "$last" -gt "$number" ] && is_dead "$base.$last"; do
      rm -f "$base.$last"
      last=$((last - 1))
    done
    if [ "$last" -gt "$number" ]; then mv -f "$base.$last" "$link"; else rm -f "$link"; fi
  done
}
