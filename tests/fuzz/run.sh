#!/usr/bin/env bash
# run.sh [SECONDS]: builds the fuzz targets and runs each for so long (60), as many at a time as there are
# cores. A crash leaves its input in build/fuzz/crashes/. Ends with "N passed, N failed".
cd "$(dirname "$0")/../.." || exit 1
seconds=${1:-60} passed=0 failed=0
cmake --preset fuzz > /dev/null && cmake --build build/fuzz --target fuzz_all || exit 1
mkdir -p build/fuzz/crashes
rm -f build/fuzz/*.passed

# fuzz NAME: the mark NAME.passed is there afterwards if it went well.
fuzz() {
	mkdir -p "build/fuzz/corpus/$1"
	"build/fuzz/tests/fuzz/fuzz_$1" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -max_len=8192 \
		-dict="tests/fuzz/$1.dict" -artifact_prefix="build/fuzz/crashes/$1-" \
		-print_final_stats=1 "build/fuzz/corpus/$1" "tests/fuzz/$1" > "build/fuzz/$1.log" 2>&1 &&
		touch "build/fuzz/$1.passed"
}

names=()
for program in build/fuzz/tests/fuzz/fuzz_*; do
	[ -x "$program" ] && [ -f "$program" ] || continue
	names+=("${program##*/fuzz_}")
	while [ "$(jobs -rp | wc -l)" -ge "$(nproc)" ]; do wait -n; done
	fuzz "${names[-1]}" &
done
wait
for name in "${names[@]}"; do
	if [ -f "build/fuzz/$name.passed" ]; then
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
