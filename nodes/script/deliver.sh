#!/bin/sh
# The remote command of every operation on a node, run as root: takes from stdin the SHA-256 of a script, parameter
# lines, an empty line and the script, and runs the script only when all of it has arrived unchanged. Parameters
# become a shell variable: they are seen neither by `ps` nor in sudo's log.
IFS= read -r expected
parameters=
while IFS= read -r line && [ -n "$line" ]; do
  parameters="$parameters$line
"
done
script=$(cat)
actual=$(printf '%s\n' "$script" | sha256sum)
if [ "${actual%% *}" = "$expected" ]; then
  # shellcheck disable=SC2034 # the script reads it
  TKC_REGISTRY_PARAMETERS=$parameters
  exec </dev/null
  eval "$script"
else
  printf 'protocol=1\nerror=script-damaged\ndetail=the script did not arrive as it was sent\nend=failed\n'
  exit 1
fi
