#!/bin/sh
# alone.sh COMMAND…: runs it in a network of its own with nothing but loopback and itself as name
# server, so that tests may use the ports and addresses that the files of deploy/ name.
set -eu
if [ "${1:-}" = --inside ]; then
	shift
	ip link set lo up
	names=$(mktemp)
	echo "nameserver 127.0.0.1" > "$names"
	mount --bind "$names" "$(readlink -f /etc/resolv.conf)"
	rm "$names"
	LETTERGATE_ALONE=1 exec "$@"
fi
if [ "$(id -u)" = 0 ]; then
	exec unshare --net --mount -- "$0" --inside "$@"
fi
exec unshare --user --map-root-user --net --mount -- "$0" --inside "$@"
