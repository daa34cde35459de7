/* fuzz - what every target shares */
#pragma once

#include "smtp/region.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

/* What must hold, whatever comes in: abort() is what the fuzzer takes for a crash. */
static inline void must(bool holds)
{
	if (!holds)
		abort();
}

static inline struct text input(const uint8_t *bytes, size_t len)
{
	return (struct text){ (const char *)bytes, len };
}
