#!/bin/sh
# Gives the simulated node that it runs on the trust store of RHEL and its derivatives, and takes Photon's away.
set -eu

trust=/etc/pki/ca-trust
defaults=/usr/share/pki/ca-trust-source/anchors
mkdir -p "$trust/source/anchors" "$trust/extracted/pem" "$defaults"
mv /etc/ssl/certs/*.pem "$defaults"
rm -rf /etc/ssl/certs /usr/bin/rehash_ca_certificates.sh
ln -s ../pki/tls/certs /etc/ssl/certs
ln -sf ../../ca-trust/extracted/pem/tls-ca-bundle.pem /etc/pki/tls/certs/ca-bundle.crt
cp /usr/local/lib/lab/fleet/update-ca-trust.sh /usr/bin/update-ca-trust
chmod 0755 /usr/bin/update-ca-trust
update-ca-trust
