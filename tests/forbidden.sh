#!/usr/bin/env bash
# Finds calls that the project does without: those that cannot know how much room there is, those that
# hide errors, and every way to start a program (S-12).
cd "$(dirname "$0")/.." || exit 1
calls='strcpy|strcat|strncpy|strncat|sprintf|vsprintf|strtok|atoi|atol|gets|alloca|system|popen|exec[lv]p?e?|posix_spawnp?|fork'
found=$(grep -rnE --include="*.[ch]" "(^|[^a-zA-Z0-9_])($calls)[[:space:]]*\(" smtp http service)
arrows=$(grep -rnE --include='*.[ch]' '#include "(http|service)/|#include "\.\./' smtp
	grep -rnE --include='*.[ch]' '#include "service/|#include "\.\./' http)
[ -z "$found$arrows" ] && exit 0
printf '%s\n' "$found" "$arrows"
exit 1
