# What the node itself sees of registries, so that no containerd is restarted for one that it does not reach: the name,
# the way, the proxy that containerd is set to use, and the certificates. They are asked side by side, each for some ten
# seconds. Of what answers, only a status and certificates are taken, and bounded. A proxy's login is never printed, nor
# in a command line.

# read_proxy: sets $proxy and $no_proxy to what systemd starts containerd with, read as Go's programs do.
read_proxy() {
  proxy='' no_proxy=''
  command -v systemctl >/dev/null 2>&1 || return 0
  # Later ones replace earlier ones.
  settings=$(
    exec 2>/dev/null 9>&- </dev/null
    timeout 10 systemctl show-environment || :
    timeout 10 systemctl show -p Environment -p EnvironmentFiles containerd.service || :
  )
  for line in $settings; do
    # Such as "EnvironmentFiles=/etc/default/containerd (ignore_errors=yes)".
    case $line in EnvironmentFiles=/*) file=${line#*=} file=${file% (*} ;; *) continue ;; esac
    if [ -f "$file" ] && [ -r "$file" ]; then settings=$settings$newline$(head -c 65536 "$file"); fi
  done
  # Most nodes have none: no program need look for it.
  case $settings in *[Pp][Rr][Oo][Xx][Yy]=*) ;; *) return 0 ;; esac
  values=$(
    printf '%s\n' "$settings" | awk -v quotes="\"'" '
      function value_of(name,    before, value, first, end, at) {
        if (!match($0, "(^|[ =" quotes "])" name "=")) return
        before = substr($0, RSTART, 1)
        value = substr($0, RSTART + RLENGTH)
        first = substr(value, 1, 1)
        if (index(quotes, before)) end = before
        else if (first != "" && index(quotes, first)) { end = first; value = substr(value, 2) }
        else end = (before == " " || before == "=") ? " " : "\r"
        at = index(value, end)
        if (at) value = substr(value, 1, at - 1)
        last[name] = value
      }
      /^[ \t]*[#;]/ { next }
      { value_of("HTTPS_PROXY"); value_of("https_proxy"); value_of("NO_PROXY"); value_of("no_proxy") }
      END {
        exempt = last["NO_PROXY"] != "" ? last["NO_PROXY"] : last["no_proxy"]
        gsub(/[ \t]/, "", exempt)
        print (last["HTTPS_PROXY"] != "" ? last["HTTPS_PROXY"] : last["https_proxy"]) "\n" tolower(exempt) "."
      }'
  )
  proxy=${values%%"$newline"*} no_proxy=${values#*"$newline"} no_proxy=${no_proxy%.}
}

is_ipv4() {
  case $1 in
    *[!0-9.]* | *.*.*.*.* | *..* | .* | *. | 0[0-9]* | *.0[0-9]*) return 1 ;;
    *.*.*.*) return 0 ;;
  esac
  return 1
}

# number IPV4: sets $number.
number() {
  IFS=.
  # shellcheck disable=SC2086
  set -- $1
  IFS=$newline
  number=$((($1 << 24) + ($2 << 16) + ($3 << 8) + $4))
}

# exempted HOST PORT: whether Go's programs reach it without the proxy. Of networks only those of IPv4 are known here.
exempted() {
  case $1 in localhost | ::1) return 0 ;; esac
  case $1 in 127.*) ! is_ipv4 "$1" || return 0 ;; esac
  IFS=,
  for entry in $no_proxy; do
    IFS=$newline
    case $entry in
      '') continue ;;
      '*') return 0 ;;
      */*)
        network=${entry%/*} bits=${entry##*/}
        case $bits in
          '' | *[!0-9]* | ???*) continue ;;
          0?) bits=${bits#0} ;; # no octal number
        esac
        if ! is_ipv4 "$1" || ! is_ipv4 "$network" || [ "$bits" -gt 32 ]; then continue; fi
        number "$1"
        own=$number
        number "$network"
        [ $(((own ^ number) >> (32 - bits))) -ne 0 ] || return 0
        continue
        ;;
      \[*\]:* | [!\[]*:*)
        case ${entry%:*} in
          *[!\]]:*) ;; # an address of IPv6
          *)
            [ "${entry##*:}" = "$2" ] || continue
            entry=${entry%:*} entry=${entry#\[} entry=${entry%\]}
            ;;
        esac
        ;;
    esac
    case $entry in
      '*.'*) entry=${entry#?} ;;
      .*) ;;
      *)
        [ "$entry" != "$1" ] || return 0
        entry=.$entry
        ;;
    esac
    case $1 in *"$entry") return 0 ;; esac
  done
  IFS=$newline
  return 1
}

# split_address TEXT PORT: sets $host and $port; PORT where the text has none.
split_address() {
  host=$1 port=$2
  case $1 in \[*\]:* | [!\[]*:*) host=${1%:*} port=${1##*:} ;; esac
  host=${host#\[} host=${host%\]}
}

# joined HOST PORT: prints both, as an address.
joined() {
  case $1 in *:*) printf '[%s]:%s' "$1" "$2" ;; *) printf '%s:%s' "$1" "$2" ;; esac
}

# within COMMAND…: runs it for as long as the registry's time allows.
within() {
  IFS=' ' read -r now _ </proc/uptime
  left=$((deadline - ${now%%.*}))
  [ "$left" -gt 0 ] || left=1
  captured timeout "$left" "$@"
}

# resolved HOST: false where the node knows no address of it.
resolved() {
  case $1 in *:*) return 0 ;; esac
  if is_ipv4 "$1" || ! command -v getent >/dev/null 2>&1; then return 0; fi
  within getent ahosts "$1"
}

# knock HOST PORT [ADDRESS]: connects, and has a proxy connect to the address. Sets $outcome where that fails, and
# $status to a proxy's answer.
knock() {
  outcome='' status=-
  command -v bash >/dev/null 2>&1 || return 0
  export TKC_REGISTRY_LOGIN="$login"
  # shellcheck disable=SC2016 # bash's own
  within bash -c '
    exec 3<>"/dev/tcp/$1/$2"
    echo connected
    [ -n "$3" ] || exit 0
    line="CONNECT $3 HTTP/1.1"$'\''\r\n'\''"Host: $3"$'\''\r\n'\''
    if [ -n "$TKC_REGISTRY_LOGIN" ]; then
      login=${TKC_REGISTRY_LOGIN//\\/\\\\}
      login=$(printf %b "${login//%/\\x}" | base64 | tr -d "\n")
      line+="Proxy-Authorization: Basic $login"$'\''\r\n'\''
    fi
    printf "%s\r\n" "$line" >&3
    IFS= read -r -n 80 answer <&3
    [[ $answer =~ ^HTTP/1\.[01]\ ([0-9]{3})([^0-9]|$) ]] && echo "status=${BASH_REMATCH[1]}"
  ' bash "$1" "$2" "${3-}" && code=0 || code=$?
  unset TKC_REGISTRY_LOGIN
  case $output in
    *status=???*)
      status=${output#*status=}
      if [ "$status" = 200 ]; then status=-; else outcome=denied; fi
      ;;
    connected*)
      if [ "$code" -eq 124 ]; then outcome=slow; elif [ -n "${3-}" ]; then outcome=denied; fi
      ;;
    *refused*) outcome=refused ;;
    *'ervice not known'* | *'name resolution'*) outcome=unresolved ;;
    *'o route to host'* | *'etwork is unreachable'*) outcome=no-route ;;
    # A bash that was built without it takes it for a file.
    *'No such file'*) ;;
    *) if [ "$code" -eq 124 ]; then outcome=slow; else outcome=lost; fi ;;
  esac
}

# chain_of REGISTRY: prints the certificates in $output, DER in base64, as lines of a report.
chain_of() {
  printf '%s\n' "$output" | awk -v registry="$1" '
    /-----BEGIN CERTIFICATE-----$/ { body = ""; within = 1; next }
    /^-----END CERTIFICATE-----/ && within {
      within = 0
      room += length(body)
      if (body ~ /[^A-Za-z0-9+\/=]/ || room > 12000) exit
      for (at = 1; at <= length(body); at += 2000)
        lines = lines "chain=" registry " " number + 0 " " substr(body, at, 2000) "\n"
      number++
    }
    within { sub(/\r$/, ""); body = body $0 }
    # Part of a chain says nothing of it.
    END { if (room <= 12000) printf "%s", lines }'
}

# handshake REGISTRY HOST PORT [PROXY]: sets $outcome and $chain.
handshake() {
  outcome=unseen chain=''
  case $2 in
    *:*) set -- "$@" -verify_ip "$2" ;;
    *) if is_ipv4 "$2"; then set -- "$@" -verify_ip "$2"; else set -- "$@" -servername "$2" -verify_hostname "$2"; fi ;;
  esac
  registry=$1 address=$(joined "$2" "$3") through=$4
  shift 4
  if command -v openssl >/dev/null 2>&1 && [ "$scheme$login" = http ]; then
    [ -z "$through" ] || set -- "$@" -proxy "$through"
    outcome=no-tls
    within openssl s_client -connect "$address" -showcerts "$@" || [ $? -ne 124 ] || outcome=slow
    # OpenSSL before 1.1 knows no proxies.
    case $output in *'nknown option'* | *sage:*) outcome=unseen ;; esac
  fi
  if [ "$outcome" = unseen ] && command -v curl >/dev/null 2>&1; then
    set --
    if [ -n "$through" ]; then export https_proxy="$proxy" no_proxy='' NO_PROXY=''; else set -- --noproxy '*'; fi
    within curl -sS --head --insecure "$@" -o /dev/null \
      -w '\n%{certs}\nVerify return code: %{ssl_verify_result} (\n' "https://$address/v2/" || :
  fi
  # A chain that is too long for a report says nothing.
  case $output in *'-----BEGIN CERTIFICATE-----'*) outcome=unseen ;; *) return 0 ;; esac
  chain=$(chain_of "$registry")
  [ -n "$chain" ] || return 0
  outcome=chain
  case $output in *'Verify return code: 0 ('*) chain=$chain${newline}known=$registry ;; esac
}

# look REGISTRY: prints the lines of a report about it.
look() {
  IFS=' ' read -r now _ </proc/uptime
  deadline=$((${now%%.*} + 10))
  split_address "$1" 443
  to=$host at=$port through='' scheme=http login='' status=- chain=''
  if [ -n "$proxy" ] && ! exempted "$host" "$port"; then
    rest=$proxy
    case $rest in *://*) scheme=${rest%%://*} rest=${rest#*://} ;; esac
    rest=${rest%%/*}
    case $rest in *@*) login=${rest%@*} rest=${rest##*@} ;; esac
    case $scheme in https) default=443 ;; socks5*) default=1080 ;; *) default=80 ;; esac
    split_address "$rest" "$default"
    through=$(joined "$host" "$port")
  fi
  if ! resolved "$host"; then
    outcome=unresolved
  else
    address=''
    if [ -n "$through" ] && [ "$scheme" = http ]; then address=$(joined "$to" "$at"); fi
    knock "$host" "$port" "$address"
    [ -n "$outcome" ] || handshake "$1" "$to" "$at" "$through"
  fi
  clean "${through:--}"
  for line in "sight=$1 $outcome $status $(printf '%s' "$cleaned" | tr -d ' ')" $chain; do
    # Others print at the same time: no line is longer than what a pipe takes in one piece.
    printf '%s\n' "$line"
  done
}

reach_registries() {
  read_proxy
  result=$(
    for registry in $registries; do look "$registry" 9>&- & done
    wait
  )$newline
}
