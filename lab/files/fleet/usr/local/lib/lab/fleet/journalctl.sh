#!/bin/sh
# Stands for the journal of a simulated node, which has one unit, containerd: `journalctl … [-n LINES] …`.
lines=+1
while [ $# -gt 0 ]; do
  case $1 in
    -n | --lines)
      lines=$2
      shift
      ;;
  esac
  shift
done
tail -n "$lines" /var/log/lab/containerd
