#!/bin/sh
# What tkc-registry does on a node of a Tanzu Kubernetes cluster, as root: makes it trust the CA certificates of private
# registries, takes them away again, and restarts containerd when it has not loaded them. There are two ways:
#   system       a certificate is in the node's trust store; containerd reads that once, at its start
#   certs.d      it is in the registry's folder where containerd's configuration has a config_path; containerd reads
#                that at each pull
#
# Input: the variable TKC_REGISTRY_PARAMETERS, lines of "name value":
#   op           install | remove | restart | status | reach
#   machineId    base64; what /etc/machine-id must hold. Where it is empty, the host name must be nodeName
#   nodeName     base64
#   hostName     base64, in lower case; what the host name must be as well, where several nodes share a machine id
#   owner        base64; the readable name of the stack whose certificates these are
#   id           its UUID, which says which stack it is; where it is missing, as from earlier releases, owner does
#   former       base64; the name under which an earlier release installed for this stack: a record of that name without
#                an id is taken over
#   unclaimed    yes | no: whether remove also takes files with our prefix that no record claims (default no)
#   nonce        identifies this installation (install)
#   certificate  "<file name without extension> <sha256 of the DER> <base64 of the DER> <registry>", repeated (install);
#                the registry as image names have it: host or host:port, IPv6 in brackets
#   trust        system | certs.d | auto: the way (install, default system); auto is certs.d where it can be
#   lockWait     seconds to wait for another run (default 120)
#   restart      yes | no: whether remove restarts containerd (default yes)
#   registry     one that the node is to look at, repeated (reach); as in certificate
#
# Output: key=value lines, all at the end, from "protocol=1" to "end=ok" or "end=failed"; less than 4 KiB for up to 24
# certificates, each of which adds 73 bytes, and as many again to what status prints; and up to 32 lines each of other
# stacks' records and of files that nobody claims. What reach prints of a registry is up to 13 KiB:
#   sight        "<registry> <outcome> <status of the proxy's answer> <the proxy, host:port>", "-" for none; the outcome is
#                chain | unresolved | refused | no-route | slow | lost | denied (by the proxy) | no-tls | unseen
#   chain        "<registry> <number of the certificate> <a piece of its DER in base64>", in order
#   known        a registry whose chain the node's OpenSSL accepts as it is
#
# What is kept on the node, in /var/lib/tkc-registry:
#   owner-<16 hex>  one for each stack, named by its id, or by its name where it has none. First its way, where that is
#                   certs.d, and the paths of its files in folders of registries; then its name, its id, the record that
#                   it took over, the nonce of its last installation, its files in the trust store, and its certificates
#                   as they were given, which tell what must be in the files
#   changed         "<boot id> <hundredths of a second since boot>" of our last change of what Go programs trust;
#                   "pending" from before such a change until it is complete, so that an interrupted one is redone. How
#                   often each certificate is to be in the bundle then follows; an earlier release wrote no such numbers
#   before          what there was of our certificates before they were ours: "bundle <sha256>" for one that was in the
#                   bundle, "file <path>" for another's file with one that no hash link led to
#   folders         the folders for registries that we made, each before those that it is in
#   new/            where these are written before they get their places
#
# Each change is told to the node's journal, under the tag tkc-registry.
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

# Whatever failed, what was changed before it is told too.
audit() {
  [ "$touched" = yes ] || return 0
  clean "$owner"
  case $cleaned in *\"*) cleaned=$(printf '%s' "$cleaned" | tr '"' '?') ;; esac
  said="stack=\"$cleaned\" id=${id:--} operation=$op"
  for list in "added $added" "removed $removed"; do
    key=${list%% *} items=
    for item in ${list#* }; do
      case ,$items, in *",$item,"*) ;; *) items=${items:+$items,}$item ;; esac
    done
    said="$said $key=${items:--}"
  done
  said="$said restarted=$restarted result=$1"
  if command -v logger >/dev/null 2>&1; then
    # Without a size it cuts a line at 1 KiB, and not every one knows sizes.
    captured timeout 10 logger -t tkc-registry -S 8192 -- "$said" || captured timeout 10 logger -t tkc-registry -- "$said" || :
  elif command -v systemd-cat >/dev/null 2>&1; then
    printf '%s\n' "$said" | timeout 10 systemd-cat -t tkc-registry >/dev/null 2>&1 9>&- || :
  fi
}

finish() {
  trap - EXIT
  # A lock without a state protects nothing; who waits for it takes another.
  [ "$locked" = no ] || [ -d "$state" ] || rm -f "$lock_file" || :
  # A reader who is gone is no reason to complain.
  printf 'protocol=1\n%send=%s\n' "$result" "$1" 2>/dev/null || :
  if [ "$1" = ok ]; then exit 0; else exit 1; fi
}

# fail CODE DETAIL [LOG]
fail() {
  audit "$1"
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
