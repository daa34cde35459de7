#!/usr/bin/env bash
# run.sh [SECONDS]: builds the fuzz targets and runs each for so long (60). A crash leaves its input in
# build/fuzz/crashes/. Ends with "N passed, N failed".
cd "$(dirname "$0")/../.." || exit 1
seconds=${1:-60} passed=0 failed=0
cmake --preset fuzz > /dev/null && cmake --build build/fuzz --target fuzz_all || exit 1
mkdir -p build/fuzz/crashes
for program in build/fuzz/tests/fuzz/fuzz_*; do
	[ -x "$program" ] && [ -f "$program" ] || continue
	name=${program##*/fuzz_}
	corpus=build/fuzz/corpus/$name
	mkdir -p "$corpus"
	if "$program" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -max_len=8192 \
		-dict="tests/fuzz/$name.dict" -artifact_prefix="build/fuzz/crashes/$name-" \
		-print_final_stats=1 "$corpus" "tests/fuzz/$name" > "build/fuzz/$name.log" 2>&1; then
		passed=$((passed + 1))
		echo "$name: $(grep -o 'number_of_executed_units: [0-9]*' "build/fuzz/$name.log")"
	else
		failed=$((failed + 1))
		echo "$name: CRASHED"
		tail -40 "build/fuzz/$name.log"
	fi
done
echo "$passed passed, $failed failed"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
