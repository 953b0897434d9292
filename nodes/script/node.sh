#!/bin/sh
# What tkc-registry does on a node of a Tanzu Kubernetes cluster, as root: makes it trust the CA certificates of private
# registries, takes them away again, and restarts containerd when it has not loaded them. There are two ways:
#   system       a certificate is in the node's trust store; containerd reads that once, at its start
#   certs.d      it is in the registry's folder where containerd's configuration has a config_path; containerd reads
#                that at each pull
#
# Input: the variable TKC_REGISTRY_PARAMETERS, lines of "name value":
#   op           install | remove | restart | status
#   machineId    base64; what /etc/machine-id must hold. Where it is empty, the host name must be nodeName
#   nodeName     base64
#   owner        base64; the stack whose certificates these are
#   nonce        identifies this installation (install)
#   certificate  "<file name without extension> <sha256 of the DER> <base64 of the DER> <registry>", repeated (install);
#                the registry as image names have it: host or host:port, IPv6 in brackets
#   trust        system | certs.d | auto: the way (install, default system); auto is certs.d where it can be
#   lockWait     seconds to wait for another run (default 120)
#   restart      yes | no: whether remove restarts containerd (default yes)
#
# Output: key=value lines, all at the end, from "protocol=1" to "end=ok" or "end=failed"; less than 4 KiB for up to 24
# certificates, each of which adds 73 bytes, and as many again to what status prints.
#
# What is kept on the node, in /var/lib/tkc-registry:
#   owner-<16 hex>  one for each stack. First its way, where that is certs.d, and the paths of its files in folders of
#                   registries; then its name, the nonce of its last installation, its files in the trust store, and its
#                   certificates as they were given, which tell what must be in the files
#   changed         "<boot id> <hundredths of a second since boot>" of our last change of what Go programs trust;
#                   "pending" from before such a change until it is complete, so that an interrupted one is redone
#   names-before    the names in /etc/ssl/certs before our first change
#   folders         the folders for registries that we made, each before those that it is in
#   new/            where these are written before they get their places
#
# Many nodes are asked at once, and what costs here is starting programs. So the shell does itself what it can,
# functions answer in variables, and one awk reads all files. Lists are variables with one item a line, each with its
# newline; unquoted they are split there and nowhere else, and patterns of file names count only between "set +f" and
# "set -f".

report() {
  result="$result$1=$2
"
}

# among ITEM LIST: whether it is one of them.
among() {
  case $newline$2 in *"$newline$1$newline"*) return 0 ;; esac
  return 1
}

# clean TEXT [LENGTH]: sets $cleaned to one printable line of bounded length.
clean() {
  cleaned=$1
  case $cleaned in *[![:print:]]*) cleaned=$(printf '%s' "$1" | tr -c '[:print:]' '?') ;; esac
  [ "${#cleaned}" -le "${2:-160}" ] || cleaned=$(printf '%s' "$cleaned" | cut -c "1-${2:-160}")
}

finish() {
  trap - EXIT
  # A reader who is gone is no reason to complain.
  printf 'protocol=1\n%send=%s\n' "$result" "$1" 2>/dev/null || :
  if [ "$1" = ok ]; then exit 0; else exit 1; fi
}

# fail CODE DETAIL [LOG]
fail() {
  result=
  report error "$1"
  clean "$2" 400
  report detail "$cleaned"
  [ -z "${3-}" ] || report log "$(printf '%s' "$3" | tail -c 1500 | base64 | tr -d '\n')"
  finish failed
}

# Runs a child that may print, and may leave processes behind, with nothing of ours in its hands.
captured() {
  output=$("$@" </dev/null 2>&1 9>&-)
}

read_parameters() {
  op='' machine_id='' node_name='' owner='' nonce='' lock_wait=120 restart=yes trust=system wanted=''
  for line in ${TKC_REGISTRY_PARAMETERS-}; do
    key=${line%% *} value=${line#"${line%% *}"}
    value=${value# }
    case $key in
      op) op=$value ;;
      machineId) machine_id=$value ;;
      nodeName) node_name=$value ;;
      owner) owner=$value ;;
      nonce) nonce=$value ;;
      lockWait) lock_wait=$value ;;
      restart) restart=$value ;;
      trust) trust=$value ;;
      certificate) among "$value" "$wanted" || wanted=$wanted$value$newline ;;
      *) fail bad-parameter "unknown parameter $key" ;;
    esac
  done
  case $lock_wait in '' | *[!0-9]*) fail bad-parameter "lockWait is not a number" ;; esac
  case $trust in system | certs.d | auto) ;; *) fail bad-parameter "trust is none of system, certs.d and auto" ;; esac
  case $nonce in *[!0-9A-Za-z-]*) fail bad-parameter "nonce has characters that it must not have" ;; esac
  owner=$(base64 -d 2>/dev/null <<END
$owner
END
  ) || fail bad-parameter "owner is not base64"
  [ -n "$owner" ] || fail bad-parameter "owner is missing"
  names=
  for certificate in $wanted; do
    split_certificate "$certificate"
    case $name in *[!0-9A-Za-z.-]*) fail bad-parameter "a file name has characters that it must not have" ;; esac
    case $name in tkc-registry-?*) ;; *) fail bad-parameter "a file name does not begin with tkc-registry-" ;; esac
    case $body in *[!0-9A-Za-z+/=]*) fail bad-parameter "$name: the certificate is not base64" ;; esac
    is_registry "$registry" || fail bad-parameter "$name: its registry is neither host nor host:port"
    digest=$(base64 -d 2>/dev/null <<END | sha256sum
$body
END
    )
    digest=${digest%% *}
    [ "$certificate" = "$name $digest $body $registry" ] ||
      fail bad-parameter "$name: the certificate has not the given SHA-256"
    # Two registries can share one: a name has no more than 443 of host and host:443.
    case $newline$names in
      *"$newline$name $digest$newline"*) ;;
      *"$newline$name "*) fail bad-parameter "$name is the name of two certificates" ;;
      *) names="$names$name $digest$newline" ;;
    esac
  done
}

# split_certificate LINE: sets $name, $digest, $body and $registry; a record of an earlier release has no registry.
split_certificate() {
  name=${1%% *} rest=${1#* }
  digest=${rest%% *} rest=${rest#* }
  body=${rest%% *} registry=${rest#"${rest%% *}"}
  registry=${registry# }
}

# A registry becomes the name of a folder.
is_registry() {
  host=$1
  case $host in
    \[*\]:* | [!\[]*:*)
      case ${host##*:} in '' | *[!0-9]* | ??????*) return 1 ;; esac
      host=${host%:*}
      ;;
  esac
  case $host in
    \[*\])
      host=${host#?} host=${host%?}
      case $host in '' | *[!0-9A-Fa-f:.]* | *..*) return 1 ;; esac
      ;;
    '' | [!0-9A-Za-z]* | *[!0-9A-Za-z.-]* | *..*) return 1 ;;
  esac
  [ "${#host}" -le 255 ]
}

prove_identity() {
  if [ -n "$machine_id" ]; then
    machine_id=$(base64 -d 2>/dev/null <<END
$machine_id
END
    ) || fail bad-parameter "machineId is not base64"
    found=
    for file in /etc/machine-id /var/lib/dbus/machine-id; do
      [ -r "$file" ] || continue
      IFS=' ' read -r found <"$file" || :
      break
    done
    clean "$found"
    [ "$found" = "$machine_id" ] || fail wrong-node "the machine id here is $cleaned, not $machine_id"
  else
    [ -n "$node_name" ] || fail bad-parameter "machineId and nodeName are missing"
    node_name=$(base64 -d 2>/dev/null <<END
$node_name
END
    ) || fail bad-parameter "nodeName is not base64"
    found=$(uname -n | tr '[:upper:]' '[:lower:]')
    clean "$found"
    [ "$found" = "$node_name" ] || fail wrong-node "the host name here is $cleaned, not $node_name"
  fi
}

# The lock's file is removed with the last owner; who then holds a lock on a removed file tries again.
lock() {
  while :; do
    exec 9>>"$lock_file"
    flock -w "$lock_wait" 9 || fail busy "another run of tkc-registry on this node did not end within $lock_wait seconds"
    # shellcheck disable=SC3013 # dash and bash know -ef, and POSIX since 2024
    [ ! "/proc/$$/fd/9" -ef "$lock_file" ] || return 0
  done
}

# Where a certificate must be put, and the bundle that the system's own tool makes of it. Go reads the first bundle
# that exists of a list that begins with Debian's and then Photon's, and after it every file of /etc/ssl/certs.
# So a certificate in the bundle made here is trusted: on Photon our file itself is in that directory too.
detect_family() {
  links=/etc/ssl/certs
  debian_store=/usr/local/share/ca-certificates
  if [ -x /usr/bin/rehash_ca_certificates.sh ]; then
    family=photon store=$links extension=.pem bundle=/etc/pki/tls/certs/ca-bundle.crt
  elif command -v update-ca-certificates >/dev/null 2>&1 && [ -d "$debian_store" ]; then
    family=debian store=$debian_store extension=.crt bundle=/etc/ssl/certs/ca-certificates.crt
  else
    fail unknown-os "neither rehash_ca_certificates.sh nor update-ca-certificates with $debian_store is here; os-release says $(
      sed -n 's/^PRETTY_NAME=//p' /etc/os-release 2>/dev/null || :)"
  fi
}

# examine [everywhere]: reads our record, our files and the bundle in one go, and where it is told to all other files
# that can hold a certificate too. Looks for the certificates of $wanted and of our record, and sets
#   recorded               list of the names in our record
#   recorded_certificates  list of its certificates, as in $wanted
#   known_nonce            its nonce
#   bundled                number of the certificates in the bundle, whichever
#   in_bundle              list of the names whose certificate is in the bundle
#   in_place               list of the names whose file is exactly what we would write, its final newline included
#   in_folder              the same for files in folders of registries, $placed and $to_be: list of paths
#   holders                list of "<name> <file>": the certificate of that name is in that file, everywhere
# A file that cannot be read, or goes away meanwhile, holds nothing.
#
# Reads PEM as Go does: whole lines begin and end a block, CRLF and text around blocks do no harm, other kinds of block
# are passed over.
examine() {
  where=${1-here}
  recorded='' recorded_certificates='' known_nonce='' bundled=0 in_bundle='' in_place='' in_folder='' holders=''
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
    for file in "$links"/* "$debian_store"/* "$debian_store"/*/*; do
      # Hash links are second names of files that are here too.
      case ${file##*/} in ????????.[0-9]*) [ ! -L "$file" ] || continue ;; esac
      case $file in "$bundle" | *.new) continue ;; esac
      [ -f "$file" ] || continue
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
      count = 0
      while ((getline line < file) > 0) {
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
      print "bundled", count
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
      'bundled '*) bundled=${line#* } ;;
      'in_bundle '*) in_bundle=$in_bundle$value ;;
      'in_place '*) in_place=$in_place$value ;;
      'in_folder '*) in_folder=$in_folder$value ;;
      'holder '*) holders=$holders$value ;;
    esac
  done
}

# Reports the files that hold certificates of these names and are not ours, as real paths.
report_others() {
  others=
  for holder in $holders; do
    among "${holder%% *}" "$1" || continue
    file=${holder#* } name=${holder##*/}
    # What update-ca-certificates links to in its store is a holder itself.
    # shellcheck disable=SC3013
    if [ "${file%/*}" = "$links" ] && [ "$file" -ef "$debian_store/${name%.pem}.crt" ]; then continue; fi
    case $name in tkc-registry-*) [ -L "$file" ] || continue ;; esac
    others=$others$file$newline
  done
  [ -n "$others" ] || return 0
  count=0
  others=$(for link in $others; do readlink -f "$link"; done | sort -u)
  for file in $others; do
    case ${file##*/} in tkc-registry-*) continue ;; esac
    count=$((count + 1))
    [ "$count" -le 8 ] || break
    clean "$file"
    report alsoTrustedBy "$cleaned"
  done
}

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

# Writes the files of $to_write, aside under names that no rehash looks at.
write_files() {
  for certificate in $wanted; do
    split_certificate "$certificate"
    among "$name" "$to_write" || continue
    aside=$store/.$name.new
    asides=$asides$aside$newline
    pem "$body"
    printf '%s\n' "$pem" >"$aside" || not_written "$store/$name$extension"
  done
  [ -n "$asides" ] || return 0
  # shellcheck disable=SC2086
  sync $asides || not_written "$store"
  for name in $to_write; do
    mv -f "$store/.$name.new" "$store/$name$extension" || not_written "$store/$name$extension"
  done
  asides=
}

remove_files() {
  gone=
  for name in $1; do
    gone=$gone$store/$name$extension$newline
    # update-ca-certificates makes this link, and leaves it behind when its target is gone.
    if [ -L "$links/$name.pem" ]; then gone=$gone$links/$name.pem$newline; fi
    removed=$((removed + 1))
  done
  set +f
  # What a run that was killed put aside.
  for file in "$store"/.tkc-registry-*.new; do
    [ ! -f "$file" ] || gone=$gone$file$newline
  done
  set -f
  # shellcheck disable=SC2086
  [ -z "$gone" ] || rm -f $gone
}

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

# Where containerd looks for folders of registries: sets the list $roots, or $missing to why there are none. What counts
# is the key of one table, which is called otherwise in version 2 of the configuration than later; other tables have
# such a key too.
find_roots() {
  roots='' missing='' version='' table='' path_2='' path_3=''
  if ! command -v containerd >/dev/null 2>&1; then
    missing="there is no program containerd"
    return 0
  fi
  if ! captured timeout 30 containerd config dump; then
    missing="containerd config dump failed: $output"
    return 0
  fi
  for line in $output; do
    line=${line#"${line%%[![:blank:]]*}"}
    case $line in
      '['*) table=$line ;;
      version*=*) [ -n "$table" ] || version=${line##*[!0-9]} ;;
      config_path=* | config_path[[:blank:]]*=*)
        value=${line#*=}
        value=${value#"${value%%[![:blank:]]*}"}
        case $value in
          \"*) value=${value#?} value=${value%%\"*} ;;
          \'*) value=${value#?} value=${value%%\'*} ;;
        esac
        case $table in
          '[plugins."io.containerd.grpc.v1.cri".registry]' | "[plugins.'io.containerd.grpc.v1.cri'.registry]") path_2=$value ;;
          '[plugins."io.containerd.cri.v1.images".registry]' | "[plugins.'io.containerd.cri.v1.images'.registry]") path_3=$value ;;
        esac
        ;;
    esac
  done
  case $version in
    '' | 1 | 2) value=$path_2 lists=yes ;;
    *) value=$path_3 lists=no ;;
  esac
  case $value in
    '')
      missing="the configuration of containerd has no config_path for registries"
      return 0
      ;;
    *[![:print:]]*)
      missing="the config_path of containerd is not printable"
      return 0
      ;;
    *:*)
      # containerd 2.1 and later take the whole list for one folder when they pull (containerd#12808).
      if [ "$lists" = no ]; then
        missing="the config_path of containerd is a list, $value, in which containerd 2 finds nothing when it pulls"
        return 0
      fi
      ;;
  esac
  IFS=:
  for root in $value; do
    root=${root%/}
    case $root in /*) roots=$roots$root$newline ;; esac
  done
  IFS=$newline
  [ -n "$roots" ] || missing="the config_path of containerd, $value, is not absolute"
}

# locate REGISTRY: sets $folder to where containerd finds what is configured for it, or will find it once that is made,
# and $taken to why what we put there would not count or would hide something of others. As containerd, which takes the
# first that exists of host_port_, host:port and _default, in each root.
locate() {
  folder='' taken='' other=$1
  case $1 in *:*) other=${1%:*}_${1##*:}_ ;; esac
  for root in $roots; do
    for folder in "$root/$other" "$root/$1"; do
      if [ -d "$folder" ]; then
        # One folder can have two names.
        [ ! -L "$folder" ] || folder=$(cd -P "$folder" && pwd)
        return 0
      fi
      if [ -e "$folder" ] || [ -L "$folder" ]; then
        taken="$folder is not a folder"
        return 0
      fi
    done
    if [ -e "$root/_default" ]; then
      set +f
      for file in "$root/_default/hosts.toml" "$root/_default"/*.crt "$root/_default"/*.cert; do
        [ ! -e "$file" ] || taken="a folder for $1 would take the place of $root/_default, which has ${file##*/}"
      done
      set -f
      return 0
    fi
  done
  for root in $roots; do
    folder=$root/$1
    if [ -d "$root" ]; then return 0; fi
  done
  folder=${roots%%"$newline"*}/$1
}

# is_read FOLDER NAME: whether containerd reads that file in that folder. Where there is a hosts.toml, it reads what is
# named there.
is_read() {
  [ ! -s "$1/hosts.toml" ] || grep -v '^[[:blank:]]*#' "$1/hosts.toml" 2>/dev/null | grep -Fq "$2.crt"
}

# The configuration that is read is not the one that containerd runs with where it was changed since: sets $missing.
compare_configuration() {
  configuration=/etc/containerd/config.toml
  [ -f "$configuration" ] || return 0
  inspect_containerd
  [ -n "$started" ] || return 0
  IFS=' .' read -r seconds _ </proc/uptime
  if [ $(($(date +%s) - $(date -r "$configuration" +%s))) -lt $((seconds - started / 100 - 1)) ]; then
    missing="$configuration was changed after containerd had started, so containerd may run without its config_path"
  fi
}

# plan_folders: sets $to_be to the list of the paths of all that is wanted; or, where that cannot be, $missing or $taken.
plan_folders() {
  to_be='' taken=''
  find_roots
  [ -z "$missing" ] || return 0
  for certificate in $wanted; do
    split_certificate "$certificate"
    locate "$registry"
    if [ -z "$taken" ] && ! is_read "$folder" "$name"; then
      taken="$folder/hosts.toml is not ours, and with it containerd does not read $name.crt beside it"
    fi
    if [ -n "$taken" ]; then
      to_be=
      return 0
    fi
    among "$folder/$name.crt" "$to_be" || to_be=$to_be$folder/$name.crt$newline
  done
  for file in $to_be; do
    among "$file" "$placed" && continue
    compare_configuration
    [ -z "$missing" ] || to_be=
    return 0
  done
}

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
  done
  asides='' changed=true
}

# drop_files PATHS: removes them from the folders of registries, and what runs that were killed put aside there.
drop_files() {
  gone=$1
  [ -z "$1" ] || changed=true
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

# When the running containerd started, in the unit of /proc/uptime and on its clock: systemd's own monotonic
# timestamps stand still while a machine is suspended, and could not be compared.
inspect_containerd() {
  output=$(TZ=UTC systemctl show -p LoadState -p MainPID -p ExecMainStartTimestamp containerd.service </dev/null 2>&1 9>&-) ||
    fail containerd-failed "systemctl show failed" "$output"
  unit='' pid='' since='' started='' started_iso=''
  for line in $output; do
    case $line in
      LoadState=*) unit=${line#*=} ;;
      MainPID=*) pid=${line#*=} ;;
      # Such as "Thu 2020-01-02 03:04:05 UTC".
      ExecMainStartTimestamp=*' UTC') since=${line#* } since=${since% UTC} ;;
    esac
  done
  [ "$unit" = loaded ] || fail containerd-missing "systemd knows no unit containerd.service"
  if [ "${pid:-0}" -eq 0 ] || [ ! -r "/proc/$pid/stat" ] || ! read -r stat <"/proc/$pid/stat"; then return 0; fi
  # Field 22; field 2 is the name, in parentheses and with anything in it.
  IFS=' '
  # shellcheck disable=SC2086
  set -- ${stat##*) }
  IFS=$newline
  started=${20-}
  case $since in *[!0-9:\ -]*) ;; ?*' '?*) started_iso=${since% *}T${since#* }Z ;; esac
}

# containerd reads the system's certificates once, at its start.
loaded() {
  read_changed
  [ -n "$started" ] || return 1
  case $changed_boot in
    '') return 0 ;;
    pending) return 1 ;;
    "$boot_id") [ "$started" -gt "$changed_at" ] ;;
    *) return 0 ;;
  esac
}

answers() {
  captured systemctl is-active containerd.service || return 1
  command -v ctr >/dev/null 2>&1 || return 0
  # Its socket answers also when the plugin that kubelet speaks to could not be started.
  captured timeout 10 ctr plugins ls || return 1
  for line in $output; do
    # Without the blanks at its end.
    line=${line%"${line##*[![:blank:]]}"}
    case $line in *cri*[[:blank:]]error) return 1 ;; esac
  done
}

restart_if_needed() {
  inspect_containerd
  if loaded; then return 0; fi
  captured timeout 120 systemctl restart containerd.service ||
    fail containerd-failed "systemctl restart failed: $output" "$(containerd_log)"
  tries=60
  until answers; do
    tries=$((tries - 1))
    [ "$tries" -gt 0 ] || fail containerd-failed "containerd does not answer after its restart: $output" "$(containerd_log)"
    sleep 1
  done
  restarted=true
  inspect_containerd
}

containerd_log() {
  captured timeout 10 journalctl -u containerd.service -n 20 --no-pager -o cat || :
  printf '%s' "$output"
}

# inspect_files: whether all files of the certificate $name are as they were written ($present), and are read ($read).
inspect_files() {
  present=no read=no
  if [ "$way" = system ]; then
    among "$name" "$in_place" || return 0
    present=yes
    ! among "$name" "$in_bundle" || read=yes
    return 0
  fi
  for file in $placed; do
    case $file in */"$name.crt") ;; *) continue ;; esac
    present=yes
    if ! among "$file" "$in_folder"; then
      present=no
      return 0
    fi
  done
  [ "$present" = yes ] && [ -n "$roots" ] || return 0
  locate "$registry"
  if [ -z "$taken" ] && among "$folder/$name.crt" "$in_folder" && is_read "$folder" "$name"; then read=yes; fi
}

# report_all KEY LIST EXCEPT: each once.
report_all() {
  seen=$3
  for item in $2; do
    ! among "$item" "$seen" || continue
    seen=$seen$item$newline
    report "$1" "$item"
  done
}

# By what examine and inspect_containerd saw. A certificate counts when all its files do.
report_state() {
  there='' absent='' trusted='' untrusted=''
  for certificate in $recorded_certificates; do
    split_certificate "$certificate"
    inspect_files
    if [ "$present" = yes ]; then there=$there$digest$newline; else absent=$absent$digest$newline; fi
    if [ "$read" = yes ]; then trusted=$trusted$digest$newline; else untrusted=$untrusted$digest$newline; fi
  done
  report_all trusted "$trusted" "$untrusted"
  [ "$op" != status ] || report_all present "$there" "$absent"
  [ ! -f "$owner_record" ] || report trust "$way"
  if loaded; then report loaded true; else report loaded false; fi
  [ -z "$started_iso" ] || report containerdStarted "$started_iso"
  [ -z "$known_nonce" ] || report nonce "$known_nonce"
}

main() {
  set -euf
  export LC_ALL=C PATH="${PATH:-/usr/bin}:/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/sbin:/usr/local/bin"
  umask 022
  newline='
'
  IFS=$newline
  result='' output='' asides='' roots='' changed=false restarted=false
  # Once begun it is finished, whatever becomes of the connection.
  trap '' HUP PIPE
  trap 'fail internal "an unexpected step failed; last output: $output"' EXIT
  state=/var/lib/tkc-registry
  lock_file=/run/tkc-registry.lock
  read_parameters
  prove_identity
  owner_id=$(printf '%s' "$owner" | sha256sum)
  owner_id=${owner_id%"${owner_id#????????????????}"}
  owner_record=$state/owner-$owner_id
  read -r boot_id </proc/sys/kernel/random/boot_id
  lock
  detect_family
  case $op in
    install)
      install_certificates
      inspect_containerd
      report_state
      ;;
    remove) remove_certificates ;;
    restart)
      restart_if_needed
      finish_change
      report_state
      ;;
    status)
      read_way
      if [ "$way" = certs.d ]; then find_roots; fi
      examine
      inspect_containerd
      report_state
      ;;
    *) fail bad-parameter "unknown op" ;;
  esac
  report os "$family"
  report bundle "$bundle"
  report bootId "$boot_id"
  report changed "$changed"
  report restarted "$restarted"
  finish ok
}

main
