#!/bin/sh
# Runs a command on a node: `on-node.sh ADDRESS COMMAND [SSH-OPTION…]`, with the key of KEY and the user of USER_NAME.
set -eu

address=$1 command=$2
shift 2
exec ssh -i "$KEY" -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR \
  "$@" "$USER_NAME@$address" "$command"
