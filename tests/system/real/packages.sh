#!/usr/bin/env bash
# packages.sh: lays out the mail servers that tests/system/real runs, under build/real/.
#
# Postfix, Exim, OpenSMTPD and Dovecot are downloaded as packages and unpacked, not installed: they
# would conflict with each other, take the place of the machine's own mail server and start daemons.
# Only the libraries that they link to are installed. `mailparser` comes from npm, where npm is.
# What is there already costs nothing.
set -eu
cd "$(dirname "$0")/../../.."

beds=$PWD/build/real
tree=$beds/tree
servers=(postfix exim4-daemon-light opensmtpd dovecot-core)
done_mark=$beds/servers.txt

say() { printf '%s\n' "$*" >&2; }

unpack_servers() {
	local stage package
	stage=$(mktemp -d)
	# shellcheck disable=SC2064
	trap "rm -rf '$stage'" EXIT
	if ! (cd "$stage" && apt-get -qq download "${servers[@]}" >log 2>&1); then
		# Lists may be old, or missing on a fresh machine.
		local root=()
		[ "$(id -u)" = 0 ] || root=(sudo)
		"${root[@]}" apt-get -qq -o DPkg::Lock::Timeout=300 update >"$stage/log" 2>&1 || true
		(cd "$stage" && apt-get -qq download "${servers[@]}" >>log 2>&1) ||
			{ cat "$stage/log" >&2; say "Could not download: ${servers[*]}"; exit 1; }
	fi
	rm -rf "$tree" "$done_mark"
	mkdir -p "$tree"
	for package in "$stage"/*.deb; do
		dpkg-deb --fsys-tarfile "$package" | tar -x -C "$tree" --no-same-owner --no-same-permissions
		dpkg-deb -f "$package" Depends
	done | tr ',' '\n' | sed 's/|.*//; s/(.*//; s/[[:space:]]//g' |
		grep -E '^(lib|zlib1g|netbase)' | grep -v '^libc6$' | sort -u >"$beds/libraries.txt"
	deploy/packages.sh "$beds/libraries.txt"
	(cd "$stage" && printf '%s\n' *.deb) >"$done_mark"
}

parsers() {
	command -v npm >/dev/null || { say "no npm: the comparison with mailparser is left out"; return; }
	[ -d "$beds/node/node_modules/mailparser" ] && return
	mkdir -p "$beds/node"
	npm install --silent --no-audit --no-fund --no-package-lock --prefix "$beds/node" \
		mailparser@3 >&2 || say "npm could not install mailparser: that comparison is left out"
}

mkdir -p "$beds"
[ -f "$done_mark" ] || unpack_servers
parsers
