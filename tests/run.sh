#!/usr/bin/env bash
# Installs what building and testing need (Debian 12 or 13, as root or with sudo), builds, and runs
# every test. Ends with "N passed, N failed, N skipped"; exits 0 only if nothing failed.
#
#     tests/run.sh                    everything, in three lanes beside each other
#     tests/run.sh units system       these stages alone, one after the other
#     tests/run.sh --list             the stages
#
# Logs stay in build/log/.
set -u
cd "$(dirname "$0")/.." || exit 1

# The stages of a lane run one after the other. The first lane computes; the others mostly wait, for
# time-outs and relays or for packages to come. All that installs packages is in one lane.
lanes=("static build tidy units" "system system-asan system-tsan fuzz" "container quickstart systemd deploy real")
nice=(10 0 10) # who waits for answers in time goes before who computes
read -ra stages <<< "${lanes[*]}"
presets=(release asan tsan fuzz) # gcc, clang, gcc, clang
log=build/log
passed=0 failed=0 skipped=0

# What tests write goes with the run, also what one that was killed left behind.
scratch=/tmp/lettergate-tests.$$
export FAST_FOLDER=/dev/shm/lettergate-tests.$$
[ -w /dev/shm ] || FAST_FOLDER=$scratch/fast
make_folders() {
	rm -rf "$scratch" "$FAST_FOLDER"
	mkdir -m 711 "$scratch" && mkdir -m 711 "$FAST_FOLDER"
	trap 'rm -rf "$scratch" "$FAST_FOLDER"' EXIT
}

# A stage that ends no more counts as failed. Python is Debian's: pytest is installed for that one.
pytest=(/usr/bin/python3 -m pytest -q -rfEs --disable-warnings -p no:cacheprovider)
# Sanitizers write what they find to files, so that no report is lost in a daemon's output: each stage
# has its own.
reports_of() { # reports_of STAGE
	reports=$PWD/$log/report-$1
	export ASAN_OPTIONS="log_path=$reports.asan:detect_stack_use_after_return=1:strict_string_checks=1"
	export UBSAN_OPTIONS="log_path=$reports.ubsan:print_stacktrace=1"
	export TSAN_OPTIONS="log_path=$reports.tsan:second_deadlock_stack=1"
	[ ! -f tests/tsan.supp ] || TSAN_OPTIONS+=":suppressions=$PWD/tests/tsan.supp"
}
# Older sanitizers do not get along with many random bits in addresses (mmap_rnd_bits = 32).
still=()
! setarch "$(uname -m)" -R true 2>/dev/null || still=(setarch "$(uname -m)" -R)

# count NAME PASSED FAILED SKIPPED
count() {
	passed=$((passed + $2)) failed=$((failed + $3)) skipped=$((skipped + $4))
	local line="$2 passed"
	[ "$3" = 0 ] || line+=", $3 FAILED"
	[ "$4" = 0 ] || line+=", $4 skipped"
	printf '  %-44s %s\n' "$1" "$line"
}
# show LOG [LINES]: of a build's log what went wrong, else the end
show() {
	if grep -qE '(error|FAILED):' "$1" && [[ $1 == */build-* ]]; then
		grep -E -A 5 -m 20 '(error|undefined reference)' "$1"
	else
		tail -n "${2:-80}" "$1"
	fi | sed 's/^/    | /'
}
skip() { # skip NAME REASON
	count "$1" 0 0 1
	echo "    $2"
}
# check SECONDS NAME COMMAND…: one test, told by the exit status; 77 means skipped. The seconds are for
# what hangs: twice and more what it takes with all cores busy.
check() {
	local limit=$1 name=$2 out status
	shift 2
	out="$log/${name//[^a-zA-Z0-9]/-}.log"
	timeout --kill-after=10 "$limit" "$@" > "$out" 2>&1 < /dev/null
	status=$?
	case $status in
	0) count "$name" 1 0 0 ;;
	77) skip "$name" "$(tail -n 1 "$out")" ;;
	*)
		count "$name" 0 1 0
		[ $status != 124 ] || echo "    not done within $limit s" >> "$out"
		show "$out"
		;;
	esac
	return $status
}
# summed NUMBER-WORD…: the last count of these words on standard input, 0 if there is none
summed() { grep -Eo "[0-9]+ $1" | tail -n 1 | grep -Eo '[0-9]+' || echo 0; }
# check_all SECONDS NAME COMMAND…: many tests; adds up the closing line, "N passed, N failed" or pytest's.
# None is a failure, or skipped if the command ends with 77.
check_all() {
	local limit=$1 name=$2 out line status bad
	shift 2
	out="$log/${name//[^a-zA-Z0-9]/-}.log"
	timeout --kill-after=30 "$limit" "$@" > "$out" 2>&1 < /dev/null
	status=$?
	[ $status != 77 ] || { skip "$name" "$(tail -n 1 "$out")"; return; }
	line=$(grep -E '^[= ]*[0-9]+ (passed|failed|skipped|errors?)\b' "$out" | tail -n 1)
	bad=$(($(summed failed <<< "$line") + $(summed 'errors?' <<< "$line")))
	if [ $status != 0 ] && [ $bad = 0 ]; then
		bad=1
		echo "ended with status $status (124: not done within $limit s) and no failed test" >> "$out"
	fi
	count "$name" "$(summed passed <<< "$line")" $bad "$(summed skipped <<< "$line")"
	grep '^SKIPPED' "$out" | sed 's/^/    /'
	[ $bad = 0 ] || show "$out" 150
}
# no_reports NAME: a sanitizer's report is a failure, wherever it came from.
no_reports() {
	local found=("$reports".*)
	[ -e "${found[0]}" ] || { count "$1: no sanitizer report" 1 0 0; return; }
	count "$1: no sanitizer report" 0 "${#found[@]}" 0
	cat "${found[@]}" > "$log/reports-$1.log"
	rm -f "${found[@]}"
	head -n 120 "$log/reports-$1.log" | sed 's/^/    | /'
}
need() { # need PRESET: builds it, or waits for it if the stage "build" of another lane does
	local made
	[ -f "$log/built-$1" ] || [ -n "$others" ] || build_preset "$1"
	until [ -f "$log/built-$1" ]; do
		[ "$SECONDS" -lt 1800 ] || { count "$1 was never built" 0 1 0; return 1; }
		sleep 1
	done
	read -r made < "$log/built-$1"
	[ "$made" = yes ]
}
# has_threads PROGRAM: all else has nothing to show to the thread sanitizer, nor has what only reads
has_threads() {
	[[ $1 != */test_http_@(form|mail|mustache*|template) ]] &&
		nm -u "$1" 2> /dev/null | grep -qE '\b(pthread|uv_thread)_create'
}
build_preset() {
	local made=no wanted=all program
	# No other program of these builds is ever run.
	[ "$1" != fuzz ] || wanted=fuzz_all
	if [ "$1" = tsan ] && need release; then
		wanted=lettergate
		for program in build/release/tests/test_*; do
			! has_threads "$program" || wanted+=" $(basename "$program")"
		done
	fi
	# shellcheck disable=SC2016,SC2086
	check 1200 "build $1" sh -ec 'preset=$1; shift; cmake --preset "$preset" -DLETTERGATE_TESTS=ON &&
		cmake --build "build/$preset" --target "$@" -- -k 0' sh "$1" $wanted && made=yes
	echo $made > "$log/built-$1.part" && mv "$log/built-$1.part" "$log/built-$1"
}

stage_static() {
	check 60 "forbidden calls" tests/forbidden.sh
	check 300 "format" tests/format.sh
	check 60 "shell scripts" sh -c 'for s in $(find tests deploy .ci -name "*.sh") .ci/run; do bash -n "$s" || exit 1; done'
}
stage_build() {
	for preset in "${presets[@]}"; do
		build_preset "$preset"
	done
}
stage_tidy() {
	need asan && check 1500 "clang-tidy" tests/tidy.sh build/asan
}
# Adds up libcheck's closing lines; a program that ends without one counts as a failure. A test whose
# data is not there passes with a line "skipped: …". In the release build each test has a process of its
# own; with sanitizers, where a process is dear, they share one.
units_of() {
	local program programs=() out line checks failures errors left sums=(0 0 0)
	local run=() fork=yes own=$FAST_FOLDER/$1
	mkdir -m 711 "$own"
	case $1 in asan | tsan) run=("${still[@]}") fork=no ;; esac
	for program in "build/$1"/tests/test_*; do
		[ -f "$program" ] && [ -x "$program" ] || continue
		[ "$1" != tsan ] || has_threads "$program" || continue
		programs+=("$program")
	done
	for program in "${programs[@]}"; do # as many at a time as there are cores
		while [ "$(jobs -rp | wc -l)" -ge "$(nproc)" ]; do wait -n; done
		FAST_FOLDER=$own CK_FORK=$fork CK_TIMEOUT_MULTIPLIER=5 timeout --kill-after=10 900 "${run[@]}" "$program" \
			> "$log/$1-$(basename "$program").log" 2>&1 < /dev/null &
	done
	wait
	for program in "${programs[@]}"; do
		out="$log/$1-$(basename "$program").log"
		line=$(grep -Eo 'Checks: [0-9]+, Failures: [0-9]+, Errors: [0-9]+' "$out" | tail -n 1)
		read -r checks failures errors <<< "$(tr -dc '0-9 ' <<< "${line:-0 0 1}")"
		left=$(grep -c '^skipped: ' "$out")
		sums=($((sums[0] + checks - failures - errors - left)) $((sums[1] + failures + errors)) $((sums[2] + left)))
		if [ $((failures + errors)) != 0 ]; then
			[ -n "$line" ] || sums=($((sums[0] + 1)) "${sums[@]:1}")
			echo "  $program: ${line:-no result}"
			show "$out"
		fi
	done
	[ $((sums[0] + sums[1])) -gt 0 ] || sums[1]=1 # none at all is a failure too
	count "units, $1" "${sums[0]}" "${sums[1]}" "${sums[2]}"
	check 10 "units, $1: no folder is left" rmdir "$own"
	cat "$log/$1"-test_*.log | grep '^skipped: ' | sed 's/^/    /'
}
stage_units() {
	for preset in release asan tsan; do
		need "$preset" && units_of "$preset"
		case $preset in asan | tsan) no_reports "units-$preset" ;; esac
	done
}
stage_fuzz() {
	need fuzz || return
	# Two at a time and beside other lanes, half of the time is their own.
	check_all 1500 "fuzz targets, a short run" "${still[@]}" nice -n 10 tests/fuzz/run.sh 16
	no_reports fuzz
}
system_of() { # system_of PRESET SLOW SECONDS
	need "$1" || return
	local run=() less=()
	[ "$2" = 1 ] || run=("${still[@]}")
	# The thread sanitizer leaves out, for time, what sends one message after the other.
	[ "$1" != tsan ] || less=(
		--ignore=tests/system/test_{address_list,auth,check_store,check_words,commands,dkim}.py
		--ignore=tests/system/test_{dkim_verify,fault_proxy,injection,large_answers,message}.py
		--ignore=tests/system/test_{messages_page,odd_ends,property,property_smuggling}.py
		--ignore=tests/system/test_{relay_faults,relay_pipelining}.py
		--ignore=tests/system/test_{replies,scripted_relay,way_faults,ways_in}.py)
	LETTERGATE_BIN=$PWD/build/$1/service/lettergate LETTERGATE_SLOW=$2 \
		check_all "$3" "system, $1" "${run[@]}" "${pytest[@]}" -n 3 --dist loadfile \
		--basetemp="$scratch/system-$1" tests/system --ignore=tests/system/real "${less[@]}"
	case $1 in asan | tsan) no_reports "system-$1" ;; esac
	rm -rf "$scratch/system-$1" # some gigabytes
}
stage_system() { system_of release 1 1200; }
stage_system-asan() { system_of asan 4 1500; }
stage_system-tsan() { system_of tsan 8 1500; }
stage_real() {
	need release || return
	check 600 "mail servers for real relays" tests/system/real/packages.sh || return
	LETTERGATE_BIN=$PWD/build/release/service/lettergate LETTERGATE_PORTS=14000 \
		check_all 1500 "real relays" "${pytest[@]}" --basetemp="$scratch/real" tests/system/real
}
stage_deploy() {
	need release || return
	LETTERGATE_BIN=$PWD/build/release/service/lettergate \
		check_all 1200 "deploy: files, HAProxy, systemd" tests/deploy/alone.sh "${pytest[@]}" \
		--basetemp="$scratch/deploy" tests/deploy
}
stage_systemd() {
	need release && check 1200 "systemd: the units, booted" tests/deploy/boot.sh build/release/service/lettergate
}
stage_container() { check_all 1500 "container: built, run, drained" tests/deploy/container.sh; }
stage_quickstart() {
	# Where no fresh one can be had
	[ "$(id -u)" = 0 ] || sudo -n true 2> /dev/null || check 900 "quickstart, here" tests/deploy/quickstart.sh
	check 1500 "quickstart, a fresh Debian 13" tests/deploy/quickstart.sh trixie
	check 1500 "quickstart, a fresh Debian 12" tests/deploy/quickstart.sh bookworm
}

# run_stage STAGE: its name, its tests' lines, its time
run_stage() {
	local begun=$SECONDS
	reports_of "$1"
	echo "$1"
	"stage_$1"
	echo "  ($((SECONDS - begun)) s)"
}
# lane STAGE…: what they print, and their counts when they are done, go to files.
lane() {
	local stage
	for stage in "$@"; do
		passed=0 failed=0 skipped=0
		run_stage "$stage" > "$log/stage-$stage.txt" 2>&1
		echo "$passed $failed $skipped" > "$log/stage-$stage.part"
		mv "$log/stage-$stage.part" "$log/stage-$stage.counts"
	done
}
# gather STAGE: waits for it and shows it; one that is not done when its lane is over has failed.
gather() {
	local counts=(0 1 0)
	until [ -f "$log/stage-$1.counts" ] || [ -z "$(jobs -rp)" ]; do sleep 1; done
	cat "$log/stage-$1.txt"
	if [ -f "$log/stage-$1.counts" ]; then
		read -ra counts < "$log/stage-$1.counts"
	else
		echo "  $1 did not come to its end"
	fi
	passed=$((passed + counts[0])) failed=$((failed + counts[1])) skipped=$((skipped + counts[2]))
}

case ${1:-} in
--list) printf '%s\n' "${stages[@]}"; exit 0 ;;
-*) sed -n '2,/^set/s/^# \{0,1\}//p' "$0"; exit 2 ;;
esac
for stage in "$@"; do
	[[ " ${stages[*]} " == *" $stage "* ]] || { echo "no stage '$stage': ${stages[*]}" >&2; exit 2; }
done

make_folders
mkdir -p "$log" && rm -f "$log"/report* "$log"/built-* "$log"/stage-*
lists=(deploy/packages-build.txt tests/packages.txt)
[ ! -f tests/system/real/packages.txt ] || lists+=(tests/system/real/packages.txt)
deploy/packages.sh "${lists[@]}" || exit 1

others= # whether other lanes run beside this one
if [ $# -gt 0 ]; then
	for stage in "$@"; do run_stage "$stage"; done
else
	trap 'kill $(jobs -p) $(jobs -p | xargs -r -n 1 pgrep -P) 2>/dev/null; exit 130' INT TERM
	others=yes
	for i in "${!lanes[@]}"; do
		# shellcheck disable=SC2086
		lane ${lanes[i]} &
		renice -n "${nice[i]}" -p $! > /dev/null
	done
	for stage in "${stages[@]}"; do gather "$stage"; done
fi

echo "$((SECONDS / 60)) min $((SECONDS % 60)) s"
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
