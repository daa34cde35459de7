#!/usr/bin/env bash
# quickstart.sh [SUITE]: the README's first command, as a new user runs it: the sources in a folder of
# their own, the curl line pasted as printed. With a SUITE (bookworm, trixie) on a fresh Debian of that
# name, as root; ends with 77 where that cannot be had.
set -eu
cd "$(dirname "$0")/../.."
suite=${1:-}
if [ -n "$suite" ] && [ "$(id -u)" != 0 ]; then
	sudo -n true 2>/dev/null || { echo "a fresh Debian needs root or sudo"; exit 77; }
	exec sudo -n "$0" "$@"
fi
root=$(mktemp -d /var/tmp/lettergate-quickstart.XXXXXX)
trap 'rm -rf --one-file-system "$root"' EXIT
trap 'exit 130' INT TERM

tree=$root/home/lettergate
mkdir -p "$tree"
if [ -n "$suite" ]; then
	base=$(tests/deploy/base.sh "$suite") || exit $?
	tar -C "$root" -xf "$base"
	cp -L /etc/resolv.conf /etc/hosts "$root/etc/"
fi
tar -c --exclude=./build --exclude=./.git . | tar -C "$tree" -x
cp tests/deploy/paste.sh "$root/paste.sh"

# Paths as they are seen from where the commands run.
if [ -n "$suite" ]; then
	inside="$PWD/tests/deploy/inside.sh $root" seen=
else
	inside= seen=$root
fi
quickstart=$seen/home/lettergate/deploy/quickstart.sh

# shellcheck disable=SC2086
{
echo "Building, from another folder"
(cd / && $inside "$quickstart" --no-run)
echo "Running it, pasting its line"
tests/deploy/alone.sh $inside "$seen/paste.sh" "$quickstart"
echo "A build that fails says so"
echo '#error "on purpose"' >> "$tree/service/main.c"
if $inside "$quickstart" > "$root/out" 2>&1; then
	echo "it did not fail"
	exit 1
fi
grep -q 'on purpose' "$root/out" && grep -q 'the build failed' "$root/out" || { cat "$root/out"; exit 1; }
}
