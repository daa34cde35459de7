/* store_idle - the verbs of a test's own store that have nothing to do */
#pragma once

#include "service/store/store.h"

static inline enum err nothing(void *self)
{
	(void)self;
	return OK;
}

static inline void no_more(void *self)
{
	(void)self;
}

static inline enum err tick(void *self, struct tick *tick)
{
	(void)self;
	tick->next_ms = INT64_MAX;
	return OK;
}

static inline enum err sweep(void *self, struct sweep *sweep)
{
	(void)self;
	(void)sweep;
	return OK;
}
