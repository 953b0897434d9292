prove_identity() {
  if [ -n "$machine_id" ]; then
    decode machineId "$machine_id"
    machine_id=$decoded found=
    for file in /etc/machine-id /var/lib/dbus/machine-id; do
      [ -r "$file" ] || continue
      IFS=' ' read -r found <"$file" || :
      break
    done
    clean "$found"
    [ "$found" = "$machine_id" ] || fail wrong-node "the machine id here is $cleaned, not $machine_id"
  else
    [ -n "$node_name" ] || fail bad-parameter "machineId and nodeName are missing"
    decode nodeName "$node_name"
    node_name=$decoded
    compare_host_name "$node_name"
  fi
  [ -z "$host_name" ] || {
    decode hostName "$host_name"
    compare_host_name "$decoded"
  }
}

compare_host_name() {
  found=$(uname -n | tr '[:upper:]' '[:lower:]')
  clean "$found"
  [ "$found" = "$1" ] || fail wrong-node "the host name here is $cleaned, not $1"
}

# lock: only we may open its file, for any user who can might hold it. It is removed with the last owner; who then
# holds a lock on a removed file tries again.
lock() {
  if ! command -v flock >/dev/null 2>&1; then
    # Where nobody can lock there is nothing of ours.
    if [ "$op" = remove ] && [ "$take_unclaimed" = no ] && [ ! -d "$state" ]; then return 0; fi
    fail no-flock "there is no program flock"
  fi
  # Only a node that has something of ours can be changing under the eyes of who asks.
  if [ "$op" = status ] && [ ! -d "$state" ]; then return 0; fi
  while :; do
    [ ! -e "$lock_file" ] || chmod 600 "$lock_file" || :
    umask 077
    exec 9>>"$lock_file"
    umask 022
    flock -w "$lock_wait" 9 || fail busy "another run of tkc-registry on this node did not end within $lock_wait seconds"
    # shellcheck disable=SC3013 # dash and bash know -ef, and POSIX since 2024
    [ ! "/proc/$$/fd/9" -ef "$lock_file" ] || break
  done
  locked=yes
}

# Where a certificate must be put, and the bundle that the system's own tool makes of it, by what the node has and not by
# the name of its system. Go reads the first bundle that exists of a list that begins with Debian's and then Photon's,
# and after it every file of /etc/ssl/certs and /etc/pki/tls/certs. So a certificate in the bundle is trusted: on Photon
# our file itself is in that directory too. Sets
#   $family, $store and $extension   where our files are, and how they end
#   $aside_folder                    where they are written first: on the store's file system, and not read by the tool
#   $bundle                          what Go reads first
#   $links                           the folder with OpenSSL's hash links
#   $places                          patterns of the files of others that can hold a certificate
detect_family() {
  links=/etc/ssl/certs
  debian_store=/usr/local/share/ca-certificates
  rhel_trust=/etc/pki/ca-trust
  rhel_defaults=/usr/share/pki/ca-trust-source
  # Where newer tools of this family put each certificate into a file of its own.
  extracted_folder=$rhel_trust/extracted/pem/directory-hash
  places="$links/*$newline$debian_store/*$newline$debian_store/*/*"
  if [ -x /usr/bin/rehash_ca_certificates.sh ]; then
    family=photon store=$links extension=.pem bundle=/etc/pki/tls/certs/ca-bundle.crt
  elif command -v update-ca-certificates >/dev/null 2>&1 && [ -d "$debian_store" ]; then
    family=debian store=$debian_store extension=.crt bundle=/etc/ssl/certs/ca-certificates.crt
  elif command -v update-ca-trust >/dev/null 2>&1 && [ -d "$rhel_trust/source/anchors" ]; then
    family=rhel store=$rhel_trust/source/anchors extension=.pem links=/etc/pki/tls/certs
    places="$links/*$newline$rhel_trust/source/*$newline$rhel_defaults/*$newline$rhel_defaults/anchors/*"
    # The tool reads all files of the anchors, whatever their names.
    places="$places$newline$store/*$newline$store/.[!.]*$newline$extracted_folder/*"
    for bundle in /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt /etc/ssl/ca-bundle.pem \
      /etc/pki/tls/cacert.pem "$rhel_trust/extracted/pem/tls-ca-bundle.pem"; do
      [ ! -e "$bundle" ] || break
    done
    # The tool's own file mostly, to which the others are links.
    bundle=$(readlink -f "$bundle")
  else
    fail unknown-os "none of rehash_ca_certificates.sh, update-ca-certificates with $debian_store and update-ca-trust with $rhel_trust/source/anchors is here; os-release says $(
      sed -n 's/^PRETTY_NAME=//p' /etc/os-release 2>/dev/null || :)"
  fi
  aside_folder=$store
  [ "$family" != rhel ] || aside_folder=$rhel_trust
}
