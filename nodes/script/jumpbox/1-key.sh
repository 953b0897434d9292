#!/bin/sh
# What the jumpbox pod runs. The relay into the nodes needs only this shell; the key and the SSH client are for a
# person who logs in with `kubectl exec -it`, so nobody waits for them.
set -eu
mkdir -p /root/.ssh
chmod 700 /root/.ssh
if [ -f /root/ssh/ssh-privatekey ]; then
  (umask 077 && cp /root/ssh/ssh-privatekey /root/.ssh/id_rsa && chmod 600 /root/.ssh/id_rsa)
fi
