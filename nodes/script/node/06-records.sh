# Sets $other_records to the list of the other stacks' records.
find_other_records() {
  other_records=
  set +f
  for record in "$state"/owner-*; do
    if [ -f "$record" ] && [ "$record" != "$owner_record" ]; then other_records=$other_records$record$newline; fi
  done
  set -f
}

# claimed_by_others LINE: whether another stack's record has it.
claimed_by_others() {
  # shellcheck disable=SC2086
  [ -n "$other_records" ] && grep -Fqx -e "$1" $other_records
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
  record="${record}owner=$cleaned${newline}nonce=$1"
  for file in $3; do record="$record${newline}file=$file"; done
  for certificate in $2; do record="$record${newline}certificate=$certificate"; done
  keep "owner-$owner_id" "$record"
}
