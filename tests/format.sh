#!/usr/bin/env bash
# Every C file is as .clang-format says. Skips (77) where clang-format is another major version than
# the one that the files were formatted with: versions differ in small things.
cd "$(dirname "$0")/.." || exit 1
wanted=14
version=$(clang-format --version | grep -Eo 'version [0-9]+' | tr -dc 0-9)
[ "$version" = $wanted ] || { echo "clang-format is version $version, the check is for $wanted"; exit 77; }
find smtp http service tests -name '*.[ch]' -print0 | xargs -0 clang-format --dry-run -Werror
