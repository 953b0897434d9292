#!/bin/sh
# Runs a command on a node: `on-node.sh ADDRESS COMMAND`, with the key of KEY and the user of USER_NAME.
exec ssh -i "$KEY" -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR \
  "$USER_NAME@$1" "$2"
