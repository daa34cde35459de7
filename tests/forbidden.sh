#!/usr/bin/env bash
# Finds calls that the project does without: those that cannot know how much room there is, those that
# hide errors, and every way to start a program (S-12).
cd "$(dirname "$0")/.." || exit 1
calls='strcpy|strcat|strncpy|strncat|sprintf|vsprintf|strtok|atoi|atol|gets|alloca|system|popen|exec[lv]p?e?|posix_spawnp?|fork'
found=$(grep -nE "(^|[^a-zA-Z0-9_])($calls)[[:space:]]*\(" smtp/*.[ch] http/*.[ch] service/*.[ch] 2>/dev/null)
arrows=$(grep -nE '#include "(http|service)/|#include "\.\./' smtp/*.[ch] 2>/dev/null
	grep -nE '#include "service/|#include "\.\./' http/*.[ch] 2>/dev/null)
[ -z "$found$arrows" ] && exit 0
printf '%s\n' "$found" "$arrows"
exit 1
