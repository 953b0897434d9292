#!/bin/sh
# What a node command of the stack runs while the program is there: hands its environment to the program, which does
# the work in the SSH session that it holds, and prints what comes back. $1 $2: the command's words.
# There are two a node, so it starts one program only. None of the values is a secret.
folder=${0%/*}
command -v curl >/dev/null 2>&1 || TKC_REGISTRY_SERVICE=$folder exec node -e "require('tkc-registry/run')" v1 "$@"
words=$1/$2
set --
for name in TKC_REGISTRY_NODE TKC_REGISTRY_NODE_UID TKC_REGISTRY_NODE_MACHINE_ID TKC_REGISTRY_NODE_HOST_NAME \
  TKC_REGISTRY_NODE_ADDRESS TKC_REGISTRY_NODE_PORT TKC_REGISTRY_NODE_USER TKC_REGISTRY_ACCESS TKC_REGISTRY_SSH_KEY \
  TKC_REGISTRY_CLUSTER_CONTEXT TKC_REGISTRY_CLUSTER TKC_REGISTRY_HOST_KEY TKC_REGISTRY_OWNER TKC_REGISTRY_ID \
  TKC_REGISTRY_READY_TIMEOUT TKC_REGISTRY_SCRIPT_SHA256 TKC_REGISTRY_TRUST TKC_REGISTRY_TRUST_BY TKC_REGISTRY_NONCE \
  TKC_REGISTRY_CA TKC_REGISTRY_CANARY PULUMI_COMMAND_STDOUT; do
  eval "value=\${$name-}"
  [ -z "$value" ] || set -- "$@" --data-urlencode "$name=$value"
done
# From the socket's folder, as a socket's path has a limit; and nobody's settings: they could send it elsewhere.
answer=$(
  cd "$folder" && exec curl --disable --noproxy '*' --silent --show-error --unix-socket socket \
    --data '' "$@" --write-out '%{http_code}' "http://tkc-registry/v1/$words"
) || {
  echo "tkc-registry: the program that runs the stack does not answer. Run \`pulumi up\` again [service-gone]" >&2
  exit 1
}
body=${answer%???}
code=${answer#"$body"}
separator='--- stdout
'
printf '%s' "${body%%"$separator"*}" >&2
[ "$code" = 200 ] || exit 1
printf '%s' "${body#*"$separator"}"
