#!/usr/bin/env bash
# Builds the image from Dockerfile, on a Debian 13 base made here by debootstrap, and runs what came
# out: tests/deploy/container. Ends with pytest's closing line, or with 77 and a reason where the tools
# cannot be had.
set -eu
cd "$(dirname "$0")/../.."
if [ "$(id -u)" != 0 ]; then
	sudo -n true 2>/dev/null || { echo "building an image needs root or sudo"; exit 77; }
	exec sudo -n "$0" "$@"
fi
deploy/packages.sh tests/deploy/packages.txt || { echo "no buildah or no debootstrap"; exit 77; }
base=$(tests/deploy/base.sh trixie)

work=$PWD/build/container
mkdir -p "$work"
policy=$work/policy.json
echo '{"default": [{"type": "insecureAcceptAnything"}]}' > "$policy"
# Nothing is pushed, pulled or shared: a store of its own, plain copies, no namespaces but chroot.
export STORAGE_DRIVER=vfs BUILDAH_ISOLATION=chroot BUILDAH_FORMAT=docker
image() { buildah --root "$work/store" --runroot "$work/run" "$@"; }

mounted=
finish() {
	[ -z "$mounted" ] || image rm --all > /dev/null 2>&1 || true
	rm -rf "$work/store" "$work/run"
}
trap finish EXIT
trap 'exit 130' INT TERM
rm -rf "$work/store" "$work/run"
scratch=$(image from scratch)
image add --quiet "$scratch" "$base" / > /dev/null
image commit --quiet --rm --signature-policy "$policy" "$scratch" localhost/base > /dev/null
echo "Building the image"
image build --quiet --pull-never --signature-policy "$policy" --build-arg BASE=localhost/base \
	--network host --tag localhost/lettergate . > "$work/build.log" 2>&1 || {
	tail -n 60 "$work/build.log"
	echo "the image did not build"
	exit 1
}
image inspect --type image localhost/lettergate > "$work/image.json"
container=$(image from --pull-never --signature-policy "$policy" localhost/lettergate)
mounted=$(image mount "$container")
echo "Image: $(du -sm "$mounted" | cut -f1) MB"

LETTERGATE_IMAGE=$work/image.json LETTERGATE_IMAGE_ROOT=$mounted tests/deploy/alone.sh \
	/usr/bin/python3 -m pytest -q -rfEs -p no:cacheprovider tests/deploy/container
