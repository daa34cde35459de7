#!/bin/sh
# packages.sh LIST…: installs the Debian packages that the lists name, as root or with sudo. What is
# there already costs nothing. No daemon of a new package is started.
set -eu

say() { printf '%s\n' "$*" >&2; }
[ "$#" -gt 0 ] || { say "usage: packages.sh LIST…"; exit 2; }
command -v dpkg-query >/dev/null && command -v apt-get >/dev/null || {
	say "This needs Debian 12 or 13 (no apt-get here). The packages are in: $*"
	exit 1
}

missing=
for package in $(sed 's/#.*//' "$@"); do
	dpkg-query -W -f='${Status}\n' "$package" 2>/dev/null | grep -q 'ok installed' ||
		missing="$missing $package"
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" = 0 ]; then
	as_root=
elif command -v sudo >/dev/null; then
	as_root=sudo
else
	say "These packages are missing, and installing them needs root or sudo:$missing"
	exit 1
fi

# A policy-rc.d that answers 101 keeps daemons down; one that is there already is left alone.
guard=/usr/sbin/policy-rc.d
log=$(mktemp)
if [ -e "$guard" ]; then
	trap 'rm -f "$log"' EXIT
else
	trap 'rm -f "$log"; $as_root rm -f "$guard"' EXIT
	printf '#!/bin/sh\nexit 101\n' | $as_root tee "$guard" >/dev/null
	$as_root chmod 755 "$guard"
fi
trap 'exit 130' INT TERM

apt() {
	$as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 "$@" \
		</dev/null >>"$log" 2>&1
}
say "Installing:$missing"
# shellcheck disable=SC2086
if ! { apt update && apt install -y --no-install-recommends $missing; }; then
	tail -n 20 "$log" >&2
	say "Could not install:$missing"
	exit 1
fi
