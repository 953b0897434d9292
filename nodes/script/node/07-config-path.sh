# Where containerd looks for folders of registries: sets the list $roots, or $missing to why there are none. What counts
# is the key of one table, which is called otherwise in version 2 of the configuration than later; other tables have
# such a key too.
#
# To be called with containerd's unit inspected.
find_roots() {
  roots='' missing='' version='' table='' path_2='' path_3=''
  find_configuration
  [ -z "$missing" ] || return 0
  if ! command -v containerd >/dev/null 2>&1; then
    missing="there is no program containerd"
    return 0
  fi
  # shellcheck disable=SC2086
  if ! captured timeout 30 containerd ${given:+--config=$given} config dump; then
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

# is_read FOLDER NAME: whether containerd reads that file in that folder for $registry. Where there is a hosts.toml, it
# reads what is named there for the host that it asks: under the table of the registry itself, or at the top where the
# server is the registry. A mirror's table says nothing of the registry.
is_read() {
  [ -s "$1/hosts.toml" ] || return 0
  awk -v ours="$2.crt" -v registry="$registry" '
    function without_comment(text,   i, c, quote, kept) {
      for (i = 1; i <= length(text); i++) {
        c = substr(text, i, 1)
        if (quote == "" && c == "#") break
        if (quote == "" && (c == "\"" || c == "\047")) quote = c
        else if (c == quote) quote = ""
        kept = kept c
      }
      gsub(/^[ \t\r]+|[ \t\r]+$/, "", kept)
      return kept
    }
    # The host and port that https asks at this address.
    function asked(address) {
      address = tolower(address)
      if (address ~ /^http:/) return ""
      sub(/^https:\/\//, "", address)
      sub(/\/.*/, "", address)
      return address ~ /:[0-9]+$/ && address !~ /\]:?$/ ? address : address ":443"
    }
    function quoted(text,   part, count, i) {
      count = split(text, part, /["\047]/)
      for (i = 2; i <= count; i += 2)
        if (part[i] == ours || substr(part[i], length(part[i]) - length(ours)) == "/" ours) return 1
      return 0
    }
    BEGIN {
      itself = server = asked(registry)
      where = "top"
    }
    {
      line = without_comment($0)
      if (list != "") line = list " " line
      else if (line ~ /^\[/) {
        where = ""
        if (line ~ /^\[[ \t]*host[ \t]*\.[ \t]*["\047][^"\047]*["\047][ \t]*\]$/) {
          split(line, part, /["\047]/)
          if (asked(part[2]) == itself) where = "registry"
        }
        next
      }
      list = ""
      if (line ~ /^ca[ \t]*=[ \t]*\[/ && line !~ /\]$/) list = line
      else if (line ~ /^ca[ \t]*=/ && quoted(line)) named[where] = 1
      else if (where == "top" && line ~ /^server[ \t]*=/) {
        split(line, part, /["\047]/)
        server = asked(part[2])
      }
    }
    END { exit !("registry" in named || ("top" in named && server == itself)) }
  ' "$1/hosts.toml"
}

# Sets $configuration to the file that containerd runs with, and $given where its command line gives one; or $missing to
# why that cannot be told.
find_configuration() {
  configuration=/etc/containerd/config.toml given='' next=no arguments=
  if [ "${pid:-0}" -gt 0 ]; then arguments=$(tr '\0' '\n' 2>/dev/null <"/proc/$pid/cmdline") || arguments=; fi
  IFS=' '
  # shellcheck disable=SC2086
  [ -n "$arguments" ] || arguments=$(printf '%s\n' $program)
  IFS=$newline
  if [ -z "$arguments" ]; then
    missing="it cannot be told with which configuration containerd is started"
    return 0
  fi
  for argument in $arguments; do
    if [ "$next" = yes ]; then
      given=$argument next=no
      continue
    fi
    case $argument in
      --config | -config | -c) next=yes ;;
      --config=* | -config=* | -c=*) given=${argument#*=} ;;
    esac
  done
  case $given in
    '') ;;
    /*) configuration=$given ;;
    *) missing="containerd is started with the configuration $given, which is no whole path" ;;
  esac
}

# The configuration that is read is not the one that containerd runs with where it was changed since: sets $missing.
compare_configuration() {
  [ -f "$configuration" ] || return 0
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
