#!/usr/bin/env bash
# Measures the gateway beside Fastify + Nodemailer, libcurl and Postfix's smtp-source, and prints a table;
# the figures go to build/bench/result.json. Installs what it needs (Debian 12 or 13, as root or with
# sudo). Timings never fail: exits 0 if every row could be measured and every count was right.
#
#     tests/bench/run.sh                   all rows, in about fifteen minutes
#     tests/bench/run.sh --short           the main rows, fewer rounds, in about three
#     tests/bench/run.sh --rows ready,idle only these; --list names them
#     tests/bench/run.sh --rounds 5 --seconds 4
#     tests/bench/run.sh --markdown docs/benchmarks.md
set -eu
cd "$(dirname "$0")/../.."
out=build/bench

lists=(deploy/packages-build.txt tests/bench/packages.txt)
# A Node.js that is not Debian's brings its own npm, and Debian's does not go with it.
command -v npm > /dev/null || lists+=(tests/bench/packages-node.txt)
deploy/packages.sh "${lists[@]}" >&2
mkdir -p "$out"
cmake --preset release > "$out/build.log"
cmake --build build/release --target lettergate >> "$out/build.log" || { cat "$out/build.log" >&2; exit 1; }

# Fastify 5 wants Node.js 20; Debian 12 has 18.
fastify=5 multipart=9
[ "$(node -p 'parseInt(process.versions.node)')" -ge 20 ] || fastify=4 multipart=8
[ -d "$out/node_modules/fastify" ] && [ -d "$out/node_modules/nodemailer" ] &&
	[ -d "$out/node_modules/@fastify/multipart" ] ||
	npm install --prefix "$out" --no-audit --no-fund --loglevel=error "fastify@$fastify" \
		"@fastify/multipart@$multipart" nodemailer >&2
cp tests/bench/server.js "$out/"

flags=(-std=gnu17 -O2 -Wall -Wextra -Werror)
cc "${flags[@]}" -o "$out/sink" tests/bench/sink.c tests/bench/sink_smtp.c -lssl -lcrypto
cc "${flags[@]}" -o "$out/loader" tests/bench/loader.c
cc "${flags[@]}" -pthread -o "$out/peer_curl" tests/bench/peer_curl.c -lcurl
[ -s "$out/cert.pem" ] || openssl req -x509 -newkey rsa:2048 -nodes -days 3650 -subj /CN=127.0.0.1 \
	-addext subjectAltName=IP:127.0.0.1 -keyout "$out/key.pem" -out "$out/cert.pem" 2> /dev/null
[ -s "$out/dkim-rsa.pem" ] || openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 \
	-out "$out/dkim-rsa.pem" 2> /dev/null
[ -s "$out/dkim-ed25519.pem" ] || openssl genpkey -algorithm ed25519 -out "$out/dkim-ed25519.pem"

ulimit -n "$(ulimit -H -n)"
exec /usr/bin/python3 -B tests/bench/bench.py "$@"
