#!/usr/bin/env bash
# tidy.sh [BUILD [NODES]]: runs clang-tidy (.clang-tidy) over the product's files, with the flags of a
# clang build. NODES is how far the analyzer follows one function: its own default, 225000, takes
# three times as long and is for a quiet hour.
cd "$(dirname "$0")/.." || exit 1
build=${1:-build/asan}
extra=()
for word in -analyzer-config "max-nodes=${2:-60000}"; do extra+=(--extra-arg=-Xclang "--extra-arg=$word"); done
[ -f "$build/compile_commands.json" ] || { echo "no compile_commands.json in $build"; exit 1; }
find smtp http service -name '*.c' -print0 |
	xargs -0 -n 4 -P "$(nproc)" clang-tidy --quiet --warnings-as-errors='*' -p "$build" "${extra[@]}" 2>&1 |
	grep -vE '^[0-9]+ warnings? generated|^Suppressed |^Use -header-filter'
exit "${PIPESTATUS[1]}"
