#!/bin/sh
# inside.sh ROOT COMMAND…: runs it with ROOT as root file system and a clean environment, as root; an
# empty ROOT runs it as it is.
set -eu
root=$1
shift
[ -n "$root" ] || exec "$@"
# shellcheck disable=SC2016
exec unshare --mount --propagation private sh -ec '
	root=$1
	shift
	mount -t proc proc "$root/proc"
	mount --rbind /dev "$root/dev"
	mount -t tmpfs tmpfs "$root/tmp"
	exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root chroot "$root" "$@"' sh "$root" "$@"
