#!/bin/sh
# What somebody would write to have it done quickly: $AT_ONCE nodes at a time, each in one session.
set -eu

xargs -P "$AT_ONCE" -n 1 sh "$(dirname "$0")/all-in-one.sh" <"$ADDRESSES"
