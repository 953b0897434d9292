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
