#!/bin/sh
# A PostgreSQL of a test's own: in a new folder, with its socket in it, and gone with the test.
#
#     server.sh make FOLDER            a new cluster; 77 where PostgreSQL is not installed
#     server.sh run FOLDER [OPTION…]   becomes the server, which ends with whoever started it
#     server.sh check FOLDER           1 where a table or an index of the running one is damaged
#
# As root it runs as the user `postgres`: the server refuses root.
set -eu

for bin in $(printf '%s\n' /usr/lib/postgresql/*/bin | sort -rV) $(dirname "$(command -v initdb || echo /none)"); do
	[ ! -x "$bin/initdb" ] || break
done
[ -x "$bin/initdb" ] || { echo "PostgreSQL is not installed"; exit 77; }
who=
[ "$(id -u)" != 0 ] || who="--reuid=postgres --regid=postgres --init-groups"
folder=$2

case $1 in
make)
	[ -z "$who" ] || chown postgres "$folder"
	# shellcheck disable=SC2086
	exec setpriv $who "$bin/initdb" --pgdata="$folder/data" --username=lettergate --auth=trust \
		--no-sync --encoding=UTF8 --locale=C > "$folder/initdb.log" 2>&1
	;;
run)
	shift 2
	# shellcheck disable=SC2086
	exec setpriv $who --pdeathsig=INT "$bin/postgres" -D "$folder/data" -k "$folder" "$@" \
		>> "$folder/server.log" 2>&1
	;;
check)
	exec "$bin/pg_amcheck" --install-missing --heapallindexed --parent-check --host="$folder" \
		--username=lettergate postgres
	;;
esac
