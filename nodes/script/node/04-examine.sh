# examine [everywhere]: reads our record, our files and the bundle in one go, and where it is told to all other files
# that can hold a certificate too. Looks for the certificates of $wanted and of our record, and sets
#   recorded               list of the names in our record
#   recorded_certificates  list of its certificates, as in $wanted
#   known_nonce            its nonce
#   torn                   yes where the bundle holds no certificate or ends inside one, as while somebody writes it
#   in_bundle              list of the names whose certificate is in the bundle, as often as it is there
#   in_place               list of the names whose file is exactly what we would write, its final newline included
#   in_folder              the same for files in folders of registries, $placed and $to_be: list of paths
#   holders                list of "<name> <file>": the certificate of that name is in that file; only everywhere, and
#                          kept otherwise
# A file that cannot be read, or goes away meanwhile, holds nothing.
#
# Reads PEM as Go does: whole lines begin and end a block, CRLF and text around blocks do no harm, other kinds of block
# are passed over.
examine() {
  where=${1-here}
  recorded='' recorded_certificates='' known_nonce='' torn=no in_bundle='' in_place='' in_folder=''
  set -- /dev/null /dev/null
  [ ! -f "$owner_record" ] || set -- "$owner_record" /dev/null
  [ ! -f "$bundle" ] || set -- "$1" "$bundle"
  set +f
  for file in "$store"/tkc-registry-*"$extension"; do
    if [ -f "$file" ] && [ ! -L "$file" ]; then set -- "$@" "$file"; fi
  done
  set -- "$@" folders
  for file in $placed$to_be; do
    if [ -f "$file" ] && [ ! -L "$file" ]; then set -- "$@" "$file"; fi
  done
  set -- "$@" others
  files=
  if [ "$where" = everywhere ]; then
    holders=
    for file in $places; do
      # Hash links are second names of files that are here too.
      case ${file##*/} in ????????.[0-9]*) [ ! -L "$file" ] || continue ;; esac
      [ "$file" != "$bundle.new" ] || continue
      # shellcheck disable=SC3013
      if [ ! -f "$file" ] || [ "$file" -ef "$bundle" ]; then continue; fi
      # Adding to a list costs less than adding an argument.
      case $file in *"$newline"*) set -- "$@" "$file" ;; *) files=$files$file$newline ;; esac
    done
  fi
  set -f
  # shellcheck disable=SC2086
  examined=$(awk '
    function look_for(certificate,   field) {
      split(certificate, field, " ")
      if (field[3] != "") body[field[1]] = field[3]
    }
    function as_pem(text,   lines) {
      for (; length(text) > 64; text = substr(text, 65)) lines = lines substr(text, 1, 64) "\n"
      return "-----BEGIN CERTIFICATE-----\n" lines text "\n-----END CERTIFICATE-----\n"
    }
    # Whether a file is this text and no more, when it is read with a character for the end of a record.
    function is_text(file, text, end,   read, more) {
      RS = end
      if ((getline read < file) <= 0 || (getline more < file) > 0) read = ""
      close(file)
      RS = "\n"
      return read == text
    }
    # Whether a file is the certificate that its name says, and sets name to that.
    function is_exact(file,   text) {
      name = file
      sub(/.*\//, "", name)
      sub(/\.[a-z]*$/, "", name)
      if (!(name in body)) return 0
      text = as_pem(body[name])
      # Twice, for the end of a record is not seen at the end of a file.
      return is_text(file, text, "\001") && is_text(file, text, "\002")
    }
    function begins_one(text,   name) {
      for (name in body) if (substr(body[name], 1, length(text)) == text) return 1
      return 0
    }
    # Prints "KEY <name>FILE" for each certificate that is looked for and there, and returns how many there are at all.
    function read_pem(file, key, shown,   line, inside, possible, text, name, count) {
      count = torn = 0
      while ((getline line < file) > 0) {
        if (line ~ /^-/) torn = (line !~ /^-----END .*-----[ \t\r]*$/)
        if (line ~ /^-----BEGIN /) {
          sub(/[ \t\r]+$/, "", line)
          inside = possible = (line == "-----BEGIN CERTIFICATE-----")
          text = ""
        } else if (line ~ /^-----END /) {
          sub(/[ \t\r]+$/, "", line)
          if (inside && line == "-----END CERTIFICATE-----") {
            count++
            if (possible) for (name in body) if (body[name] == text) print key, name shown
          }
          inside = possible = 0
        } else if (possible && line !~ /:/) {
          gsub(/[ \t\r]/, "", line)
          text = text line
          possible = begins_one(text)
        }
      }
      close(file)
      return count
    }
    BEGIN {
      while ((getline line < ARGV[1]) > 0) {
        key = value = line
        sub(/=.*/, "", key)
        sub(/^[^=]*=/, "", value)
        if (key == "certificate") look_for(value)
        print key, value
      }
      while ((getline line < "/dev/stdin") > 0) look_for(line)
      count = read_pem(ARGV[2], "in_bundle", "")
      print "torn", (torn || count == 0 ? "yes" : "no")
      for (i = 3; ARGV[i] != "folders"; i++) if (is_exact(ARGV[i])) print "in_place", name
      while (ARGV[++i] != "others") if (is_exact(ARGV[i])) print "in_folder", ARGV[i]
      while (++i < ARGC) {
        shown = " " ARGV[i]
        gsub(/\n/, "?", shown)
        read_pem(ARGV[i], "holder", shown)
      }
    }
  ' "$@" $files <<END
$wanted
END
  )
  for line in $examined; do
    value=${line#* }$newline
    case $line in
      'file '*) recorded=$recorded$value ;;
      'certificate '*) recorded_certificates=$recorded_certificates$value ;;
      'nonce '*) known_nonce=${line#* } ;;
      'torn '*) torn=${line#* } ;;
      'in_bundle '*) in_bundle=$in_bundle$value ;;
      'in_place '*) in_place=$in_place$value ;;
      'in_folder '*) in_folder=$in_folder$value ;;
      'holder '*) holders=$holders$value ;;
    esac
  done
}

# count_of ITEM LIST: sets $count to how often it is there.
count_of() {
  count=0
  for item in $2; do
    [ "$item" != "$1" ] || count=$((count + 1))
  done
}

# Reports the files that hold certificates of these names and are not ours, as real paths.
report_others() {
  others=
  for holder in $holders; do
    among "${holder%% *}" "$1" || continue
    file=${holder#* } name=${holder##*/}
    # What the system's tool makes a link to, or a copy of, is a holder itself.
    case $file in "$extracted_folder"/*) continue ;; esac
    # shellcheck disable=SC3013
    if [ "${file%/*}" = "$links" ] && [ "$file" -ef "$debian_store/${name%.pem}.crt" ]; then continue; fi
    case $name in tkc-registry-*) [ -L "$file" ] || continue ;; esac
    others=$others$file$newline
  done
  [ -n "$others" ] || return 0
  reported=0
  others=$(for link in $others; do readlink -f "$link"; done | sort -u)
  for file in $others; do
    case ${file##*/} in tkc-registry-*) continue ;; esac
    reported=$((reported + 1))
    [ "$reported" -le 8 ] || break
    clean "$file"
    report alsoTrustedBy "$cleaned"
  done
}
