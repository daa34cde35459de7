#!/usr/bin/env bash
# boot.sh PROGRAM: the systemd units at work: a fresh Debian like this machine's is booted (systemd-nspawn),
# with the program installed as deploy/lettergate.service tells. Ends with 77 and a reason where that
# cannot be had.
set -eu
cd "$(dirname "$0")/../.."
program=$1
if [ "$(id -u)" != 0 ]; then
	sudo -n true 2>/dev/null || { echo "booting a Debian needs root or sudo"; exit 77; }
	exec sudo -n "$0" "$@"
fi
# shellcheck source=/dev/null
suite=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
base=$(tests/deploy/base.sh "$suite") || { echo "no base for \"$suite\""; exit 77; }
deploy/packages.sh tests/deploy/packages.txt || true
command -v systemd-nspawn >/dev/null || { echo "no systemd-nspawn"; exit 77; }

root=$(mktemp -d /var/tmp/lettergate-boot.XXXXXX)
trap 'rm -rf --one-file-system "$root"' EXIT
trap 'exit 130' INT TERM
tar -C "$root" -xf "$base"
cp -L /etc/resolv.conf /etc/hosts "$root/etc/"
libraries=$(ldd "$program" | awk '$3 ~ /^\// { print "*/" $1 }' | xargs dpkg -S | sed 's/:.*//' | sort -u)
# shellcheck disable=SC2086
tests/deploy/inside.sh "$root" sh -ec 'apt-get -qq update; exec env DEBIAN_FRONTEND=noninteractive \
	apt-get -qq install -y --no-install-recommends "$@"' sh curl systemd systemd-sysv $libraries \
	> build/log/boot-packages.log 2>&1 || { tail -n 5 build/log/boot-packages.log; exit 77; }

install -m 755 "$program" "$root/usr/local/bin/lettergate"
install -d -m 700 "$root/etc/lettergate"
{ cat deploy/settings.example; echo SMTP_HOST=capture; echo SMTP_USER=apikey; } > "$root/etc/lettergate/settings"
(umask 077; echo wrong-horse > "$root/etc/lettergate/smtp_pass"; echo test-key-0123456789 > "$root/etc/lettergate/api_key")
cp deploy/lettergate.service deploy/lettergate.socket "$root/etc/systemd/system/"
install -m 755 tests/deploy/booted.sh "$root/booted.sh"
cat > "$root/etc/systemd/system/booted.service" <<'UNIT'
[Service]
ExecStart=/booted.sh
StandardOutput=file:/booted.log
StandardError=inherit
ExecStopPost=/bin/systemctl --no-block poweroff
UNIT
mkdir -p "$root/etc/systemd/system/multi-user.target.wants"
ln -s ../booted.service "$root/etc/systemd/system/multi-user.target.wants/"

timeout --kill-after=10 180 systemd-nspawn --quiet --register=no --keep-unit --private-network \
	--directory "$root" --boot < /dev/null > build/log/boot.log 2>&1 || true
[ -f "$root/booted.log" ] || { tail -n 5 build/log/boot.log; echo "systemd does not boot in here"; exit 77; }
cat "$root/booted.log"
grep -qx done "$root/booted.log"
