#!/bin/sh
# From a fresh Debian 12 or 13 to a gateway that takes mail: installs what the build needs (as root or
# with sudo), builds into build/release, starts `lettergate serve --dev` in the foreground. That prints
# an API key and a curl line to paste into a second terminal; it keeps the mail and sends none.
#
#     deploy/quickstart.sh              build and run
#     deploy/quickstart.sh --no-run     build only
set -eu
cd "$(dirname "$0")/.."

fail() {
	printf 'quickstart: %s\n' "$*" >&2
	exit 1
}
run=yes
case ${1:-} in
'') ;;
--no-run) run=no ;;
*)
	echo "usage: deploy/quickstart.sh [--no-run]" >&2
	exit 2
	;;
esac

deploy/packages.sh deploy/packages-build.txt || fail "the packages for the build are not there"
mkdir -p build || fail "cannot write to $(pwd)"
log=build/quickstart.log
echo "Building (log: $log)"
cmake --preset release -DLETTERGATE_TESTS=OFF > "$log" 2>&1 &&
	cmake --build build/release --target lettergate >> "$log" 2>&1 || {
	grep -E -m 20 'error|Error|FAILED' "$log" >&2 || tail -n 20 "$log" >&2
	fail "the build failed, see $log"
}
program=build/release/service/lettergate
[ -x "$program" ] || fail "the build made no $program"
[ "$run" = yes ] || {
	echo "Built $program"
	exit 0
}
exec "$program" serve --dev
