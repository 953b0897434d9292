# digest_of TEXT: sets $short to the beginning of its SHA-256.
digest_of() {
  short=$(printf '%s' "$1" | sha256sum)
  short=${short%"${short#????????????????}"}
}

# read_record FILE: sets $record_id, $record_owner, $record_former, and the lists $record_claims, of the lines about its
# files, and $record_certificates, of "<name> <sha256>".
read_record() {
  record_id='' record_owner='' record_former='' record_claims='' record_certificates=''
  while IFS= read -r line; do
    case $line in
      id=*) record_id=${line#*=} ;;
      owner=*) record_owner=${line#*=} ;;
      former=*) record_former=${line#*=} ;;
      file=* | placed=*) record_claims=$record_claims$line$newline ;;
      certificate=*)
        split_certificate "${line#*=}"
        record_certificates="$record_certificates$name $digest$newline"
        ;;
    esac
  done <"$1"
}

# Sets $owner_record to our record, $new_record to where it is to be, and of the other stacks' records the lists
# $other_records, $claimed and $other_certificates, and $foreign, of "<id> <name>".
find_records() {
  digest_of "${id:-$owner}"
  owner_id=$short owner_record=$state/owner-$short new_record=$state/owner-$short former_id='' took_over=no
  if [ -n "$id" ] && [ -n "$former" ]; then
    digest_of "$former"
    former_id=$short
  fi
  clean "$owner"
  other_records='' claimed='' other_certificates='' foreign='' found=$cleaned
  set +f
  set -- "$state"/owner-*
  set -f
  if [ -f "$owner_record" ]; then
    if [ -n "$former_id" ]; then
      read_record "$owner_record"
      [ "$record_former" != "$former_id" ] || took_over=yes
    fi
  else
    for record in "$@"; do
      [ -f "$record" ] || continue
      read_record "$record"
      if [ -n "$id" ]; then
        # What a stack with an id has is its own, whatever its name.
        if [ "$former_id" = '' ] || [ "$record" != "$state/owner-$former_id" ] || [ -n "$record_id" ]; then continue; fi
      else
        # A state from before the record was taken over has no id yet, and is to find it.
        [ "$op" = remove ] || continue
        if [ "$record_former" != "$owner_id" ] && [ "$record_id $record_owner" != " $found" ]; then continue; fi
      fi
      owner_record=$record
      break
    done
  fi
  for record in "$@"; do
    if [ ! -f "$record" ] || [ "$record" = "$owner_record" ]; then continue; fi
    read_record "$record"
    other_records=$other_records$record$newline
    claimed=$claimed$record_claims
    other_certificates=$other_certificates$record_certificates
    foreign="$foreign${record_id:--} $record_owner$newline"
  done
}

# Makes the record of an earlier release ours.
take_over() {
  [ "$owner_record" != "$new_record" ] || return 0
  mv -f "$owner_record" "$new_record" || not_written "$new_record"
  owner_record=$new_record took_over=yes touched=yes
}

report_records() {
  reported=0
  for record in $foreign; do
    reported=$((reported + 1))
    [ "$reported" -le 32 ] || break
    report record "${record%% *} $(printf '%s' "${record#* }" | base64 | tr -d '\n')"
  done
}

# claimed_by_others LINE: whether another stack's record has it.
claimed_by_others() {
  among "$1" "$claimed"
}

# read_way: the beginning of our record: sets $way, and $placed to the list of the paths in folders of registries.
read_way() {
  way=system placed='' to_be=''
  [ -f "$owner_record" ] || return 0
  while IFS= read -r line; do
    case $line in
      trust=*) way=${line#*=} ;;
      placed=*) placed=$placed${line#*=}$newline ;;
      *) break ;;
    esac
  done <"$owner_record"
}

# keep_record NONCE CERTIFICATES NAMES PATHS: those of the files in the trust store and in folders of registries.
keep_record() {
  record=
  [ "$way" = system ] || record="trust=$way$newline"
  for file in $4; do record="${record}placed=$file$newline"; done
  clean "$owner"
  record="${record}owner=$cleaned$newline"
  [ -z "$id" ] || record="${record}id=$id$newline"
  [ "$took_over" = no ] || [ -z "$former_id" ] || record="${record}former=$former_id$newline"
  record="${record}nonce=$1"
  for file in $3; do record="$record${newline}file=$file"; done
  for certificate in $2; do record="$record${newline}certificate=$certificate"; done
  keep "owner-$owner_id" "$record"
}

# Sets $strays to the list of the files with our prefix that no record claims.
find_strays() {
  strays=
  set +f
  set -- "$store"/tkc-registry-*"$extension" "$links"/tkc-registry-*.pem
  set -f
  for file in "$@"; do
    name=${file##*/} name=${name%.*}
    case $name in *[!0-9A-Za-z.-]*) continue ;; esac
    if [ -d "$file" ] || among "$name" "$recorded" || claimed_by_others "file=$name"; then continue; fi
    # The link is to be named only where its file is gone.
    if [ "${file%/*}" != "$store" ] && [ -e "$store/$name$extension" ]; then continue; fi
    if [ -e "$file" ] || [ -L "$file" ]; then among "$file" "$strays" || strays=$strays$file$newline; fi
  done
  for root in /etc/containerd/certs.d $roots; do
    set +f
    set -- "$root"/*/tkc-registry-*.crt
    set -f
    for file in "$@"; do
      case $file in *[![:print:]]*) continue ;; esac
      if [ ! -f "$file" ] || among "$file" "$placed$strays" || claimed_by_others "placed=$file"; then continue; fi
      strays=$strays$file$newline
    done
  done
}

report_strays() {
  reported=0
  for file in $strays; do
    reported=$((reported + 1))
    [ "$reported" -le 32 ] || break
    clean "$file" 300
    report unclaimed "$cleaned"
  done
}

# Makes what the unclaimed files hold part of our record, as far as a removal needs it: sets $stray_names and
# $stray_certificates.
read_strays() {
  stray_names='' stray_certificates=''
  for file in $strays; do
    case $file in "$store"/* | "$links"/*) ;; *) continue ;; esac
    name=${file##*/} name=${name%.*}
    stray_names=$stray_names$name$newline
    [ -f "$file" ] || continue
    body='' inside=no
    while IFS= read -r line || [ -n "$line" ]; do
      case $line in
        '-----BEGIN CERTIFICATE-----'*) inside=yes body='' ;;
        '-----END CERTIFICATE-----'*) break ;;
        *) [ "$inside" = no ] || body=$body$line ;;
      esac
    done <"$file"
    case $body in '' | *[!0-9A-Za-z+/=]*) continue ;; esac
    digest=$(base64 -d 2>/dev/null <<END | sha256sum
$body
END
    )
    stray_certificates="$stray_certificates$name ${digest%% *} $body$newline"
  done
}
