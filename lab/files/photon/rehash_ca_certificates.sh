#!/bin/sh
# Behaves as Photon OS's script of this name: hash links for OpenSSL, dead links removed, and then every *.pem
# joined into the bundle that Go and curl read, which is truncated in place.

certs=/etc/ssl/certs
bundle=/etc/pki/tls/certs/ca-bundle.crt

find "$certs" -xtype l -delete
openssl rehash -v "$certs"
cat "$certs"/*.pem >"$bundle"
