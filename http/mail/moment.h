/* moment - times and durations as they stand in requests */
#pragma once

#include "smtp/text.h"

/* RFC 3339: "2026-12-01T08:00:00Z", "…+01:00"; fractions of seconds are let be. */
bool moment_parse(struct text text, int64_t *seconds_out);
/* "500ms", "30s", "5m", "2h", "7d" → microseconds. */
bool moment_duration(struct text text, uint64_t *us_out);
