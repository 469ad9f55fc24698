#!/bin/sh
# Stands in for a chat server: says that it is ready, and does nothing. It ends by SIGKILL only.
trap '' TERM INT
for arg; do addr=$arg; done
echo "listening on $addr"
while :; do sleep 1000; done
