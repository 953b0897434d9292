#!/bin/sh
# What the jumpbox pod runs. The relay into the nodes needs only this shell; the key and the SSH client are for a
# person who logs in with `kubectl exec -it`, so nobody waits for them.
set -eu
mkdir -p /root/.ssh
chmod 700 /root/.ssh
if [ -f /root/ssh/ssh-privatekey ]; then
  (umask 077 && cp /root/ssh/ssh-privatekey /root/.ssh/id_rsa && chmod 600 /root/.ssh/id_rsa)
fi
if ! command -v ssh >/dev/null 2>&1; then
  (apt-get -y update && apt-get -y install --no-install-recommends openssh-client) || echo "openssh-client could not be installed" &
fi
# The first process of a container ignores signals that it has no handler for, and a pod should end at once.
trap 'exit 0' TERM
while :; do
  sleep 3600 &
  wait $!
done
