read_parameters() {
  op='' machine_id='' node_name='' host_name='' owner='' id='' former='' nonce='' lock_wait=120 restart=yes
  trust=system take_unclaimed=no with_bodies=no wanted='' registries=''
  for line in ${TKC_REGISTRY_PARAMETERS-}; do
    key=${line%% *} value=${line#"${line%% *}"}
    value=${value# }
    case $key in
      op) op=$value ;;
      machineId) machine_id=$value ;;
      nodeName) node_name=$value ;;
      hostName) host_name=$value ;;
      owner) owner=$value ;;
      id) id=$value ;;
      former) former=$value ;;
      unclaimed) take_unclaimed=$value ;;
      bodies) with_bodies=$value ;;
      nonce) nonce=$value ;;
      lockWait) lock_wait=$value ;;
      restart) restart=$value ;;
      trust) trust=$value ;;
      certificate) among "$value" "$wanted" || wanted=$wanted$value$newline ;;
      registry)
        is_registry "$value" || fail bad-parameter "a registry is neither host nor host:port"
        registries=$registries$value$newline
        ;;
      *) fail bad-parameter "unknown parameter $key" ;;
    esac
  done
  case $lock_wait in '' | *[!0-9]*) fail bad-parameter "lockWait is not a number" ;; esac
  case $trust in system | certs.d | auto) ;; *) fail bad-parameter "trust is none of system, certs.d and auto" ;; esac
  case $nonce in *[!0-9A-Za-z-]*) fail bad-parameter "nonce has characters that it must not have" ;; esac
  case $id in '') ;; *[!0-9a-f-]*) fail bad-parameter "id has characters that it must not have" ;; esac
  decode owner "$owner"
  owner=$decoded
  [ -n "$owner" ] || fail bad-parameter "owner is missing"
  if [ -n "$former" ]; then
    decode former "$former"
    former=$decoded
  fi
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

# decode NAME BASE64: sets $decoded to the parameter's value.
decode() {
  decoded=$(base64 -d 2>/dev/null <<END
$2
END
  ) || fail bad-parameter "$1 is not base64"
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
