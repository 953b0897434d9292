# Somebody who writes the bundle at this moment is waited for.
await_bundle() {
  tries=5
  while [ "$torn" = yes ]; do
    tries=$((tries - 1))
    [ "$tries" -gt 0 ] ||
      fail bundle-shrank "$bundle holds no certificate, or ends inside one: the node's own tool was cut off while it wrote it"
    sleep 1
    examine everywhere
  done
}

# split_edit LINE: sets $sign, $target, $name, $digest and $body.
split_edit() {
  sign=${1%% *} rest=${1#* }
  target=${rest%% *}
  split_certificate "${rest#* }"
}

# plan_edits CERTIFICATES STALE: sets $edits to what has to happen to the bundle for CERTIFICATES to be in it, and those
# of STALE to be gone. A line has a sign and how often the certificate is to be there: "+" adds what is missing, "-" cuts
# what is too much, "=" both. As often as there are files with it, as most systems' tools would have it; the copies of
# others are not counted, and stay. Also sets $before to what was there before us.
plan_edits() {
  edits='' done='' before=''
  if [ -f "$state/before" ]; then
    while IFS= read -r line; do before=$before$line$newline; done <"$state/before"
  fi
  for certificate in $1$2; do
    split_certificate "$certificate"
    ! among "$digest" "$done" || continue
    done=$done$digest$newline
    plan_edit "$certificate" "$1" "$2"
  done
}

plan_edit() {
  edit=$1 same_name=${1%% *} same=${1#* } same=${same%% *}
  count_of "$same_name" "$in_bundle"
  there=$count base=$count ours='' fresh=0 standing=0 going=0 fed=no shared=no redo=''
  for certificate in $2; do
    split_certificate "$certificate"
    if [ "$digest" != "$same" ] || among "$name" "$ours"; then continue; fi
    ours=$ours$name$newline
    if among "$name" "$in_place"; then
      standing=$((standing + 1))
    elif ! among "$name" "$recorded" && ! claimed_by_others "file=$name"; then
      fresh=$((fresh + 1))
    fi
  done
  wanted_here=0
  for name in $ours; do wanted_here=$((wanted_here + 1)); done
  staying=$wanted_here
  for certificate in $other_certificates; do
    name=${certificate%% *}
    if [ "${certificate#* }" != "$same" ] || ! claimed_by_others "file=$name" || among "$name" "$ours"; then continue; fi
    ours=$ours$name$newline
    staying=$((staying + 1))
  done
  counted=
  for certificate in $3; do
    split_certificate "$certificate"
    if [ "$digest" != "$same" ] || among "$name" "$counted"; then continue; fi
    counted=$counted$name$newline
    going=$((going + 1))
    ! feeds_bundle "$name" || fed=yes
  done
  [ "$family" != rhel ] || shared=$fed
  ! among "bundle $same" "$before" || fed=yes
  IFS=' '
  # shellcheck disable=SC2086
  for target in $pending; do
    case $target in [-+=]"$same"=*) redo=$target ;; esac
  done
  IFS=$newline
  target=${redo##*=}
  case $redo in ?*) sign=${redo%"${redo#?}"} ;; *) sign= ;; esac
  if [ "$going" -eq 0 ]; then
    case $sign in
      '+' | '=') ;;
      -) target=$((target + wanted_here)) ;;
      *)
        target=0
        if [ "$fresh" -gt 0 ]; then
          target=$((there + fresh))
          if [ "$there" -gt "$standing" ]; then among "bundle $same" "$before" || before="${before}bundle $same$newline"; fi
        elif [ "$there" -eq 0 ]; then
          target=$wanted_here
        fi
        ;;
    esac
    [ "$there" -ge "$target" ] || edits="$edits+ $target $edit$newline"
    return 0
  fi
  case $sign in
    '+') base=$target target= ;;
    '=') [ "$wanted_here" -gt 0 ] || base=$target target= ;;
    -) target=$((target + wanted_here)) ;;
  esac
  if [ -z "$target" ]; then
    target=$staying
    if [ "$fed" = yes ] && [ $((base - going + fresh)) -gt "$staying" ]; then target=$((base - going + fresh)); fi
    # update-ca-trust makes one copy of ours and theirs.
    if [ "$shared" = yes ] && [ "$target" -eq 0 ]; then target=1; fi
  fi
  sign=-
  if [ "$wanted_here" -gt 0 ]; then sign='='; fi
  edits="$edits$sign $target $edit$newline"
}

# feeds_bundle NAME: whether a file of others has this certificate of ours, and the system's tool takes it for the
# bundle.
feeds_bundle() {
  for holder in $holders; do
    [ "${holder%% *}" = "$1" ] || continue
    case ${holder#* } in
      */tkc-registry-*) ;;
      "$links"/*.pem) [ "$family" = rhel ] || return 0 ;;
      "$debian_store"/*.crt) [ "$family" = photon ] || return 0 ;;
      # Beside these it takes nothing that begins with BEGIN CERTIFICATE but its own format.
      "$rhel_trust"/source/anchors/* | "$rhel_defaults"/anchors/*) return 0 ;;
      "$rhel_trust"/source/*.p11-kit | "$rhel_defaults"/*.p11-kit) return 0 ;;
    esac
  done
  return 1
}

# Whether the bundle, as examine saw it, is as $edits want it.
edited() {
  for edit in $edits; do
    split_edit "$edit"
    count_of "$name" "$in_bundle"
    case $sign in
      '+') [ "$count" -ge "$target" ] || return 1 ;;
      -) [ "$count" -le "$target" ] || return 1 ;;
      *) [ "$count" -eq "$target" ] || return 1 ;;
    esac
  done
}

# What awk needs to know of PEM to change a bundle: next_block reads the next certificate of a file.
pem_in_awk='
  function as_pem(text,   lines) {
    for (; length(text) > 64; text = substr(text, 65)) lines = lines substr(text, 1, 64) "\n"
    return "-----BEGIN CERTIFICATE-----\n" lines text "\n-----END CERTIFICATE-----\n"
  }
  # Sets block to its base64, raw to its lines, from and number to the first and the last of them, and above to the first
  # line of the blank line and the name in a comment that update-ca-trust writes before it.
  function next_block(file,   line, inside, blank, name) {
    while ((getline line < file) > 0) {
      number++
      if (line == "") blank = number
      if (line ~ /^# /) name = number
      if (line ~ /^-/) torn = (line !~ /^-----END .*-----[ \t\r]*$/)
      if (line ~ /^-----BEGIN CERTIFICATE-----[ \t\r]*$/) {
        inside = 1
        from = number
        above = (name == number - 1 && (name == 1 || blank == name - 1)) ? (name == 1 ? 1 : blank) : from
        block = ""
        raw = line "\n"
      } else if (line ~ /^-----BEGIN /) {
        inside = 0
      } else if (line ~ /^-----END /) {
        raw = raw line "\n"
        if (inside && line ~ /^-----END CERTIFICATE-----[ \t\r]*$/) return 1
        inside = 0
      } else if (inside) {
        raw = raw line "\n"
        if (line ~ /:/) continue
        gsub(/[ \t\r]/, "", line)
        block = block line
      }
    }
    close(file)
    return 0
  }
  function read_edits(   line, field) {
    while ((getline line < "/dev/stdin") > 0) {
      if (split(line, field, " ") < 5) continue
      total++
      sign[total] = field[1]
      target[total] = field[2] + 0
      body[total] = field[5]
      edit[field[5]] = total
    }
  }
'

# edit_bundle: does to the bundle what $edits say, and nothing else. It is written aside and renamed, so a reader has the
# old one or the new one. Photon's own tool writes it in place: what it wrote while we did is never lost, for the old
# file stays at hand under a second name until it is known that nobody wrote to it.
edit_bundle() {
  [ -n "$edits" ] || return 0
  real=$(readlink -f "$bundle") || fail bundle-shrank "$bundle cannot be found"
  old=${real%/*}/.tkc-registry-bundle.old new=${real%/*}/.tkc-registry-bundle.new held=${real%/*}/.tkc-registry-bundle.held
  asides=$old$newline$new$newline$held$newline tries=5
  until try_edit; do
    tries=$((tries - 1))
    # shellcheck disable=SC2086
    if [ "$tries" -eq 0 ]; then
      rm -f $asides
      fail bundle-shrank "$bundle is being written by somebody else, again and again, or ends inside a certificate"
    fi
    sleep 1
  done
  # shellcheck disable=SC2086
  rm -f $asides
  asides=
}

# Fails where somebody else writes to the bundle.
try_edit() {
  # shellcheck disable=SC2086
  rm -f $asides
  cp -a "$real" "$old" || not_written "$bundle"
  plan=$(awk "$pem_in_awk"'
    BEGIN {
      read_edits()
      while (next_block(ARGV[1])) {
        blocks++
        if (!(block in edit)) continue
        which = edit[block]
        count[which]++
        # The blank line after the first would be the first.
        lines[which, count[which]] = above "," number "d" (above == 1 && from > 1 ? ";" number + 1 "{/^$/d;}" : "")
        exact[which, count[which]] = (raw == as_pem(block))
      }
      if (torn || blocks == 0) print "torn"
      for (which = 1; which <= total; which++) {
        if (sign[which] != "-")
          for (more = target[which] - count[which]; more > 0; more--) print "add", body[which]
        if (sign[which] == "+") continue
        # Ours are as we write them, and the last.
        less = count[which] - target[which]
        for (ours = 1; ours >= 0; ours--)
          for (i = count[which]; i > 0 && less > 0; i--)
            if (exact[which, i] == ours) {
              print "cut", lines[which, i]
              less--
            }
      }
      print "lines", number + 0
    }
  ' "$old" <<END
$edits
END
  )
  additions='' cuts='' lines=0 torn=no
  for line in $plan; do
    case $line in
      torn) torn=yes ;;
      'add '*) additions=$additions${line#* }$newline ;;
      'cut '*) cuts=$cuts${line#* }$newline ;;
      'lines '*) lines=${line#* } ;;
    esac
  done
  [ -n "$additions$cuts" ] || return 0
  [ "$torn" = no ] || return 1
  cp -a "$old" "$new" || not_written "$bundle"
  last=$(tail -c 1 "$old")
  if [ -n "$cuts" ]; then
    sed "$cuts" "$old" >"$new" || not_written "$bundle"
    # A bundle without a final newline is left without one.
    case $newline$cuts in *",${lines}d$newline"*) [ -z "$last" ] || truncate -s -1 "$new" || not_written "$bundle" ;; esac
  fi
  for body in $additions; do
    pem "$body"
    if [ -z "$last" ]; then printf '%s\n' "$pem"; else printf '\n%s' "$pem"; fi >>"$new" || not_written "$bundle"
  done
  wrong=$(awk "$pem_in_awk"'
    BEGIN {
      read_edits()
      while (next_block(ARGV[1])) was[block]++
      while (next_block(ARGV[2])) is[block]++
      for (text in is) if (!(text in was)) was[text] = 0
      for (text in was) {
        wanted = was[text]
        if (text in edit) {
          which = edit[text]
          if (sign[which] != "-" && wanted < target[which]) wanted = target[which]
          if (sign[which] != "+" && wanted > target[which]) wanted = target[which]
        }
        if (is[text] + 0 != wanted) wrong++
      }
      print wrong + 0
    }
  ' "$old" "$new" <<END
$edits
END
  )
  if [ "$wrong" != 0 ]; then
    # shellcheck disable=SC2086
    rm -f $asides
    fail bundle-shrank "$bundle, written anew with our certificates, would differ from what it was in $wrong others; it was left as it is"
  fi
  sync "$new" || not_written "$bundle"
  same_text "$old" "$real" || return 1
  ln "$real" "$held" || not_written "$bundle"
  touched=yes
  mv -f "$new" "$real" || not_written "$bundle"
  if ! same_text "$old" "$held"; then
    mv -f "$held" "$real" || not_written "$bundle"
    return 1
  fi
}

same_text() {
  digests=$(sha256sum "$1" "$2") || return 1
  one=${digests%%"$newline"*} other=${digests##*"$newline"}
  [ "${one%% *}" = "${other%% *}" ]
}
