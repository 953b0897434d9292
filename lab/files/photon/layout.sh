#!/bin/sh
# Gives the Debian machine that it runs in the trust store of Photon OS: each root a file of its own in
# /etc/ssl/certs, one bundle in /etc/pki/tls/certs, Photon's rehash script, and none of Debian's ways.
# Standard input is the rehash script.
set -eu

rehash=/usr/bin/rehash_ca_certificates.sh
cat >"$rehash"
chmod 0755 "$rehash"

mkdir -p /etc/ssl/certs.photon /etc/pki/tls/certs
for certificate in /etc/ssl/certs/*.pem; do
  cp -L "$certificate" /etc/ssl/certs.photon/
done
rm -rf /etc/ssl/certs /usr/local/share/ca-certificates /usr/share/ca-certificates /etc/ca-certificates \
  /etc/ca-certificates.conf /usr/sbin/update-ca-certificates
mv /etc/ssl/certs.photon /etc/ssl/certs
"$rehash" >/dev/null

rm -f /etc/os-release
cat >/etc/os-release <<'RELEASE'
NAME="VMware Photon OS"
VERSION="5.0"
ID=photon
VERSION_ID=5.0
PRETTY_NAME="VMware Photon OS/Linux"
RELEASE
