#!/usr/bin/env bash
# base.sh SUITE: prints the path of an archive with a fresh, minimal Debian of that name, made by
# debootstrap when it is not there yet; as root. Ends with 77 and a reason where it cannot be had.
set -eu
cd "$(dirname "$0")/../.."
suite=$1
base=$PWD/build/base/$suite.tar
mkdir -p build/base
if [ ! -f "$base" ]; then
	deploy/packages.sh tests/deploy/packages.txt >&2 || { echo "no debootstrap" >&2; exit 77; }
	# shellcheck disable=SC2016
	mirror=$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' |
		grep -m 1 -E '/debian/?$' || echo http://deb.debian.org/debian)
	made=$(mktemp -d /var/tmp/lettergate-base.XXXXXX)
	trap 'rm -rf "$made"' EXIT
	debootstrap --variant=minbase "$suite" "$made" "$mirror" > "build/base/$suite.log" 2>&1 || {
		tail -n 5 "build/base/$suite.log" >&2
		echo "debootstrap could not make $suite from $mirror" >&2
		exit 77
	}
	chmod 755 "$made"
	# How this machine reaches its mirror holds in there too.
	apt-config dump | grep -E '^Acquire::(Check|https?::)' > "$made/etc/apt/apt.conf.d/90local" || true
	tar -C "$made" -c . > "$base.part"
	mv "$base.part" "$base"
fi
echo "$base"
