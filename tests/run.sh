#!/usr/bin/env bash
# Installs what building and testing need (Debian, as root or with sudo), builds, runs everything that
# exists. Ends with "N passed, N failed"; exits 0 only if nothing failed.
set -u
cd "$(dirname "$0")/.." || exit 1

packages="build-essential clang cmake ninja-build pkg-config check libssl-dev libidn2-dev"
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }
install_missing() {
	local missing=""
	for package in $packages; do
		dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' ||
			missing="$missing $package"
	done
	[ -z "$missing" ] && return 0
	# shellcheck disable=SC2086
	as_root env DEBIAN_FRONTEND=noninteractive sh -c \
		"apt-get update -qq && apt-get install -y -qq --no-install-recommends $missing" >/dev/null
}
install_missing || { echo "could not install:$packages" >&2; exit 1; }

passed=0 failed=0
note() { # note NAME STATUS
	if [ "$2" = 0 ]; then passed=$((passed + 1)); else failed=$((failed + 1)); echo "FAILED: $1"; fi
}

# Adds up libcheck's closing lines; a program that ends without one counts as a failure.
run_units() {
	local program line
	for program in "build/$1"/tests/test_*; do
		[ -f "$program" ] && [ -x "$program" ] || continue
		"$program" > build/unit.log 2>&1
		line=$(grep -Eo 'Checks: [0-9]+, Failures: [0-9]+, Errors: [0-9]+' build/unit.log)
		if [ -z "$line" ]; then
			cat build/unit.log
			note "$1 $program (no result)" 1
			continue
		fi
		read -r checks failures errors <<< "$(tr -dc '0-9 ' <<< "$line")"
		failed=$((failed + failures + errors))
		passed=$((passed + checks - failures - errors))
		echo "$1 $(basename "$program"): $line"
		[ $((failures + errors)) = 0 ] || cat build/unit.log
	done
}

mkdir -p build
tests/forbidden.sh
note "forbidden calls" $?
for preset in release clang asan tsan; do
	cmake --preset "$preset" > build/cmake.log 2>&1 && cmake --build "build/$preset" >> build/cmake.log 2>&1
	status=$?
	note "build $preset" $status
	[ $status = 0 ] || { cat build/cmake.log; continue; }
	run_units "$preset"
done

echo "$passed passed, $failed failed"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
