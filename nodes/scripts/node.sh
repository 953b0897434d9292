#!/bin/sh
# What tkc-registry does on a node of a Tanzu Kubernetes cluster, as root: installs the CA certificates of private
# registries into the node's trust store, removes them, and restarts containerd when it has not loaded them.
#
# Input: the variable TKC_REGISTRY_PARAMETERS, lines of "name value":
#   op           install | remove | restart | status
#   machineId    base64; what /etc/machine-id must hold. Where it is empty, the host name must be nodeName
#   nodeName     base64
#   owner        base64; the stack whose certificates these are
#   nonce        identifies this installation (install)
#   certificate  "<file name without extension> <sha256 of the DER> <base64 of the DER>", repeated (install)
#   lockWait     seconds to wait for another run (default 120)
#   restart      yes | no: whether remove restarts containerd (default yes)
#
# Output: key=value lines, all at the end, from "protocol=1" to "end=ok" or "end=failed", less than 4 KiB.
#
# What is kept on the node, in /var/lib/tkc-registry:
#   owner-<16 hex>  one for each stack: its name, the nonce of its last installation, its files
#   changed         "<boot id> <hundredths of a second since boot>" of our last change of what Go programs trust;
#                   "pending" from before such a change until it is complete, so that an interrupted one is redone
#   names-before    the names in /etc/ssl/certs before our first change

report() {
  result="$result$1=$2
"
}

# One printable line of bounded length.
clean() {
  printf '%s' "$1" | tr -c '[:print:]' '?' | cut -c "1-${2:-160}"
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
  report detail "$(clean "$2" 400)"
  [ -z "${3-}" ] || report log "$(printf '%s' "$3" | tail -c 1500 | base64 | tr -d '\n')"
  finish failed
}

# Runs a child that may print, and may leave processes behind, with nothing of ours in its hands.
captured() {
  output=$("$@" </dev/null 2>&1 9>&-)
}

decoded() {
  printf '%s' "$1" | base64 -d 2>/dev/null
}

read_parameters() {
  op='' machine_id='' node_name='' owner='' nonce='' lock_wait=120 restart=yes wanted=''
  while read -r key value; do
    case $key in
      '') ;;
      op) op=$value ;;
      machineId) machine_id=$(decoded "$value") || fail bad-parameter "$key is not base64" ;;
      nodeName) node_name=$(decoded "$value") || fail bad-parameter "$key is not base64" ;;
      owner) owner=$(decoded "$value") || fail bad-parameter "$key is not base64" ;;
      nonce) nonce=$value ;;
      lockWait) lock_wait=$value ;;
      restart) restart=$value ;;
      certificate) wanted="$wanted$value
" ;;
      *) fail bad-parameter "unknown parameter $key" ;;
    esac
  done <<END
${TKC_REGISTRY_PARAMETERS-}
END
  case $lock_wait in '' | *[!0-9]*) fail bad-parameter "lockWait is not a number" ;; esac
  case $nonce in *[!0-9A-Za-z-]*) fail bad-parameter "nonce has characters that it must not have" ;; esac
  [ -n "$owner" ] || fail bad-parameter "owner is missing"
  [ -n "$machine_id$node_name" ] || fail bad-parameter "machineId and nodeName are missing"
  while read -r name sha256 body; do
    [ -n "$name" ] || continue
    case $name in *[!0-9A-Za-z.-]*) fail bad-parameter "a file name has characters that it must not have" ;; esac
    case $name in tkc-registry-?*) ;; *) fail bad-parameter "a file name does not begin with tkc-registry-" ;; esac
    digest=$(printf '%s' "$body" | base64 -d 2>/dev/null | sha256sum)
    [ "${digest%% *}" = "$sha256" ] || fail bad-parameter "$name: the certificate has not the given SHA-256"
  done <<END
$wanted
END
}

prove_identity() {
  if [ -n "$machine_id" ]; then
    found=
    for file in /etc/machine-id /var/lib/dbus/machine-id; do
      [ -r "$file" ] || continue
      read -r found <"$file" || :
      break
    done
    [ "$found" = "$machine_id" ] || fail wrong-node "the machine id here is $(clean "$found"), not $machine_id"
  else
    found=$(uname -n | tr '[:upper:]' '[:lower:]')
    [ "$found" = "$node_name" ] || fail wrong-node "the host name here is $(clean "$found"), not $node_name"
  fi
}

# The lock's file is removed with the last owner; who then holds a lock on a removed file tries again.
lock() {
  while :; do
    exec 9>>"$lock_file"
    flock -w "$lock_wait" 9 || fail busy "another run of tkc-registry on this node did not end within $lock_wait seconds"
    ours=$(stat -L -c %d:%i "/proc/$$/fd/9")
    [ "$(stat -c %d:%i "$lock_file" 2>/dev/null)" != "$ours" ] || return 0
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

# For each certificate in the files: the file, a tab, and the base64 of its DER in one line. Reads PEM as Go does:
# whole lines begin and end a block, CRLF and text around blocks do no harm, other kinds of block are passed over.
certificates_in() {
  awk '
    FNR == 1 { inside = 0 }
    { sub(/[ \t\r]+$/, "") }
    /^-----BEGIN / { inside = ($0 == "-----BEGIN CERTIFICATE-----"); body = ""; next }
    /^-----END / {
      if (inside && $0 == "-----END CERTIFICATE-----") print FILENAME "\t" body
      inside = 0
      next
    }
    inside && !/:/ { gsub(/[ \t]/, ""); body = body $0 }
  ' "$@"
}

count_bundle() {
  if [ -f "$bundle" ]; then certificates_in "$bundle" | wc -l; else echo 0; fi
}

trusted() {
  [ -f "$bundle" ] || return 1
  [ "$(certificates_in "$bundle" | cut -f 2 | grep -Fxc -e "$1")" -gt 0 ]
}

pem() {
  printf '%s\n' '-----BEGIN CERTIFICATE-----'
  printf '%s\n' "$1" | fold -w 64
  printf '%s\n' '-----END CERTIFICATE-----'
}

# Whether a file is exactly what we would write, its final newline included.
holds() {
  [ -f "$1" ] && [ ! -L "$1" ] && [ "$(cat "$1" && echo .)" = "$(pem "$2" && echo .)" ]
}

# The files that hold one of some certificates (one base64 body a line), as real paths; bundles apart.
holders() {
  [ -n "$1" ] || return 0
  set -- "$1" "$links"/* "$debian_store"/* "$debian_store"/*/*
  bodies=$1
  shift
  for file in "$@"; do
    shift
    # Hash links are second names of files that are in the list.
    case ${file##*/} in ????????.[0-9]*) [ ! -L "$file" ] || continue ;; esac
    case $file in "$bundle" | *.new) continue ;; esac
    [ ! -f "$file" ] || [ ! -r "$file" ] || set -- "$@" "$file"
  done
  [ $# -gt 0 ] || return 0
  certificates_in "$@" | grep -F -e "$bodies" | cut -f 1 | sort -u | while read -r file; do
    readlink -f "$file"
  done | sort -u
}

others_holding() {
  holders "$1" | while read -r file; do
    case ${file##*/} in tkc-registry-*) ;; *) printf '%s\n' "$file" ;; esac
  done
}

report_others() {
  others=$(others_holding "$1" | sed -n 1,8p)
  while read -r file; do
    [ -z "$file" ] || report alsoTrustedBy "$(clean "$file")"
  done <<END
$others
END
}

# put PATH MODE TEXT: writes aside, under a name that no rehash looks at, and renames.
put() {
  aside=${1%/*}/.tkc-registry.new
  if printf '%s\n' "$3" >"$aside" && chmod "$2" "$aside" && sync "$aside" && mv -f "$aside" "$1" && sync "${1%/*}"; then
    return 0
  fi
  rm -f "$aside"
  fail write-failed "$1 could not be written; is the disk full or read-only?"
}

recorded_files() {
  [ ! -f "$owner_record" ] || sed -n 's/^file=//p' "$owner_record"
}

claimed_by_others() {
  for record in "$state"/owner-*; do
    if [ -f "$record" ] && [ "$record" != "$owner_record" ] && grep -Fqx -e "file=$1" "$record"; then return 0; fi
  done
  return 1
}

# record_owner NONCE FILE...
record_owner() {
  mkdir -p "$state"
  chmod 0700 "$state"
  record_nonce=$1
  shift
  put "$owner_record" 0600 "owner=$(clean "$owner")
nonce=$record_nonce
$(printf 'file=%s\n' "$@" | sort -u)"
}

now() {
  read -r uptime _ </proc/uptime
  printf '%s%s' "${uptime%.*}" "${uptime#*.}"
}

read_changed() {
  changed_boot='' changed_at=''
  [ ! -f "$state/changed" ] || read -r changed_boot changed_at <"$state/changed" || :
}

# In Photon's bundle, which is files put end to end, a file without a final newline swallows itself and the next.
check_neighbours() {
  [ "$family" = photon ] || return 0
  for file in "$store"/*.pem; do
    name=${file##*/}
    # Our own is about to be written anew.
    case " $to_write " in *" ${name%.pem} "*) continue ;; esac
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
  for link in "$links"/????????.[0-9]*; do
    if [ ! -L "$link" ] || [ -e "$link" ]; then continue; fi
    case $(readlink "$link") in
      tkc-registry-* | */tkc-registry-*) rm -f "$link" && dead=yes ;;
    esac
  done
  # The same certificate in another's file had no link while ours had it.
  if [ "$dead" = yes ] && command -v openssl >/dev/null 2>&1; then captured openssl rehash "$links" || :; fi
}

remove_file() {
  rm -f "$store/$1$extension"
  # update-ca-certificates makes this link, and leaves it behind when its target is gone.
  if [ -L "$links/$1.pem" ]; then rm -f "$links/$1.pem"; fi
}

# change_store REMOVED: to be called with everything recorded; removes files, writes those of $to_write, rebuilds.
change_store() {
  removed=0
  before=$(count_bundle)
  put "$state/changed" 0600 pending
  [ -f "$state/names-before" ] || put "$state/names-before" 0600 "$(ls -A "$links")"
  while read -r name sha256 body; do
    [ -n "$name" ] || continue
    case " $to_write " in *" $name "*) put "$store/$name$extension" 0644 "$(pem "$body")" ;; esac
  done <<END
$wanted
END
  for name in $1; do
    remove_file "$name"
    removed=$((removed + 1))
  done
  rebuild
  after=$(count_bundle)
  [ "$after" -ge $((before - removed)) ] ||
    fail bundle-shrank "$bundle held $before certificates before and holds $after now; $removed were ours and were to go"
  changed=true
}

# Every rebuild links whatever has no link yet, also what others put there and never linked. What was there without a
# link before us is without one after us.
drop_links_made_for_others() {
  names_before="
$(cat "$state/names-before")
"
  for link in "$links"/????????.[0-9]*; do
    [ -L "$link" ] || continue
    case $names_before in *"
${link##*/}
"*) continue ;; esac
    target=$(readlink "$link")
    case $names_before in *"
${target##*/}
"*) rm -f "$link" ;; esac
  done
}

other_owners() {
  for record in "$state"/owner-*; do
    if [ -f "$record" ] && [ "$record" != "$owner_record" ]; then return 0; fi
  done
  return 1
}

mark_changed() {
  put "$state/changed" 0600 "$boot_id $(now)"
}

install_certificates() {
  [ -n "$wanted" ] || fail bad-parameter "no certificate was given"
  read_changed
  names='' bodies='' to_write='' stale='' incomplete=no
  if [ "$changed_boot" = pending ]; then incomplete=yes; fi
  while read -r name sha256 body; do
    [ -n "$name" ] || continue
    names="$names $name"
    bodies="$bodies$body
"
    if ! holds "$store/$name$extension" "$body"; then
      to_write="$to_write $name"
    elif ! trusted "$body"; then
      incomplete=yes
    fi
  done <<END
$wanted
END
  recorded=$(recorded_files)
  for name in $recorded; do
    case " $names " in *" $name "*) continue ;; esac
    claimed_by_others "$name" || stale="$stale $name"
  done
  if [ "$incomplete" = yes ] || [ -n "$to_write$stale" ]; then
    check_neighbours
    # shellcheck disable=SC2086 # lists of names without spaces
    record_owner "" $names $recorded
    change_store "$stale"
    while read -r name sha256 body; do
      [ -z "$name" ] || trusted "$body" ||
        fail not-trusted "$store/$name$extension is in place, but $bundle has not its certificate after the rebuild" "$output"
    done <<END
$wanted
END
    mark_changed
  fi
  # shellcheck disable=SC2086
  record_owner "$nonce" $names
  # Without this record nobody can tell whether containerd started before or after the certificates came.
  [ -f "$state/changed" ] || mark_changed
  report_others "${bodies%?}"
}

remove_certificates() {
  read_changed
  stale='' bodies='' to_write='' wanted=''
  for name in $(recorded_files); do
    claimed_by_others "$name" && continue
    stale="$stale $name"
    [ -f "$store/$name$extension" ] || continue
    bodies="$bodies$(certificates_in "$store/$name$extension" | cut -f 2)
"
  done
  if [ -n "$stale" ] || [ "$changed_boot" = pending ]; then
    check_neighbours
    change_store "$stale"
    other_owners || drop_links_made_for_others
    for body in $bodies; do
      trusted "$body" || continue
      [ -n "$(holders "$body")" ] || fail not-removed "$bundle still has the certificate of a file that is gone" "$output"
    done
    mark_changed
  fi
  report_others "${bodies%?}"
  rm -f "$owner_record"
  if [ "$restart" = yes ]; then restart_if_needed; fi
  if other_owners; then return 0; fi
  rm -rf "$state"
  rm -f "$lock_file"
}

# When the running containerd started, in the unit of /proc/uptime and on its clock: systemd's own monotonic
# timestamps stand still while a machine is suspended, and could not be compared.
inspect_containerd() {
  captured env TZ=UTC systemctl show -p LoadState -p MainPID -p ExecMainStartTimestamp containerd.service ||
    fail containerd-failed "systemctl show failed" "$output"
  case $output in *LoadState=loaded*) ;; *) fail containerd-missing "systemd knows no unit containerd.service" ;; esac
  pid=$(printf '%s\n' "$output" | sed -n 's/^MainPID=//p')
  started='' started_iso=''
  if [ "${pid:-0}" -eq 0 ] || [ ! -r "/proc/$pid/stat" ]; then return 0; fi
  started=$(awk '{ sub(/^.*\) /, ""); print $20 }' "/proc/$pid/stat")
  started_iso=$(printf '%s\n' "$output" | sed -n 's/^ExecMainStartTimestamp=[A-Za-z]* \([0-9-]*\) \([0-9:]*\) UTC$/\1T\2Z/p')
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
  case $(printf '%s\n' "$output" | awk '/cri/ && $NF == "error"') in ?*) return 1 ;; esac
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

report_state() {
  inspect_containerd
  for name in $(recorded_files); do
    file=$store/$name$extension
    [ -f "$file" ] || continue
    body=$(certificates_in "$file" | cut -f 2)
    if trusted "$body"; then
      digest=$(printf '%s' "$body" | base64 -d 2>/dev/null | sha256sum)
      report trusted "${digest%% *}"
    fi
  done
  if loaded; then report loaded true; else report loaded false; fi
  report containerdStarted "$started_iso"
  [ ! -f "$owner_record" ] || known_nonce=$(sed -n 's/^nonce=//p' "$owner_record")
  [ -z "${known_nonce-}" ] || report nonce "$known_nonce"
}

main() {
  set -eu
  export LC_ALL=C PATH="${PATH:-/usr/bin}:/usr/sbin:/usr/bin:/sbin:/bin"
  umask 022
  result='' output='' changed=false restarted=false
  # Once begun it is finished, whatever becomes of the connection.
  trap '' HUP PIPE
  trap 'fail internal "an unexpected step failed; last output: $output"' EXIT
  state=/var/lib/tkc-registry
  lock_file=/run/tkc-registry.lock
  read_parameters
  prove_identity
  owner_id=$(printf '%s' "$owner" | sha256sum | cut -c 1-16)
  owner_record=$state/owner-$owner_id
  read -r boot_id </proc/sys/kernel/random/boot_id
  lock
  detect_family
  case $op in
    install)
      install_certificates
      report_state
      ;;
    remove) remove_certificates ;;
    restart)
      restart_if_needed
      report_state
      ;;
    status) report_state ;;
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
