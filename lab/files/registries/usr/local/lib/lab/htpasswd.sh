#!/bin/sh
# Writes the htpasswd file of a registry, $2, from the lines `user:password` of $1. docker-registry takes bcrypt
# only; the C library knows it, and Perl's crypt is the C library's.
set -eu
umask 077
perl -ne '
  BEGIN { @alphabet = ("a" .. "z", "A" .. "Z", 0 .. 9) }
  chomp;
  my ($user, $password) = split /:/, $_, 2;
  my $salt = join "", map { $alphabet[rand @alphabet] } 1 .. 21;
  print "$user:", crypt($password, "\$2b\$05\$${salt}."), "\n";
' "$1" >"$2.new"
mv "$2.new" "$2"
