#!/bin/bash
# booted.sh: runs inside the Debian that boot.sh booted; "done" is its last line if all went well.
set -eu
trap 'systemctl status lettergate.service --no-pager -l; journalctl -u lettergate --no-pager -n 30' ERR
url=http://127.0.0.1:8080
shown() { systemctl show lettergate.service -p "$1" --value; }

systemctl enable --now lettergate.socket lettergate.service
curl -sS --fail-with-body -m 20 $url/send -H 'Authorization: Bearer test-key-0123456789' \
	-H 'Content-Type: application/json' \
	-d '{"from":"shop@example.com","to":"ann@example.org","subject":"Hello","text":"Hello."}' |
	grep '"outcome":"captured"'

echo "It is nobody in particular"
pid=$(shown MainPID)
grep -E '^Uid:\s+[1-9]' "/proc/$pid/status"
grep '^NoNewPrivs:.*1' "/proc/$pid/status"
[ "$(shown DynamicUser)" = yes ]

echo "A reload keeps the process"
systemctl reload lettergate.service
sleep 0.5
[ "$(shown MainPID)" = "$pid" ] && [ "$(shown ActiveState)" = active ]

echo "A restart refuses nobody"
(
	for _ in $(seq 30); do
		curl -sS -m 20 -o /dev/null -w '%{http_code}\n' $url/healthz || echo refused
		sleep 0.05
	done
) > /answers &
asking=$!
sleep 0.4
systemctl restart lettergate.service
wait $asking
sort /answers | uniq -c
[ "$(grep -c '^200$' /answers)" = 30 ]
[ "$(shown MainPID)" != "$pid" ]

echo "The queue has its folder, and what it took outlives the process"
echo STORE=sqlite:/var/lib/lettergate/queue.db >> /etc/lettergate/settings
systemctl restart lettergate.service
at=$(date -u -d '+1 hour' +%Y-%m-%dT%H:%M:%SZ)
where=$(curl -sS --fail-with-body -m 20 $url/send -H 'Authorization: Bearer test-key-0123456789' \
	-H 'Content-Type: application/json' -o /dev/null -w '%header{location}' \
	-d '{"from":"shop@example.com","to":"ann@example.org","text":"Hello.","send_at":"'"$at"'"}')
systemctl kill -s KILL lettergate.service
curl -sS --fail-with-body -m 20 --retry 10 --retry-connrefused $url"$where" \
	-H 'Authorization: Bearer test-key-0123456789' | grep '"state":"scheduled"'

echo "The socket starts it by itself"
systemctl stop lettergate.service 2>&1
[ "$(shown Result) $(shown ExecMainStatus)" = "success 0" ]
curl -sS --fail -m 20 $url/readyz
[ "$(shown ActiveState)" = active ]
echo done
