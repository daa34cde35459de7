#!/bin/sh
# paste.sh QUICKSTART: runs it, pastes the curl line that it prints, ends it as Ctrl-C does.
set -eu
out=$(mktemp)
cd /tmp
"$1" > "$out" 2>&1 &
gateway=$!
trap 'kill "$gateway" 2>/dev/null || true; rm -f "$out"' EXIT
for _ in $(seq 600); do
	grep -q '^curl ' "$out" && break
	kill -0 "$gateway" 2>/dev/null || { cat "$out"; exit 1; }
	sleep 0.1
done
line=$(grep -m 1 '^curl ' "$out") || { cat "$out"; echo "no curl line"; exit 1; }
answer=$(sh -c "$line")
echo "$answer"
case $answer in
*'"outcome":"captured"'*) ;;
*) exit 1 ;;
esac
kill -TERM "$gateway"
wait "$gateway"
