/* raw_read - how tests of raw messages read one, and what they are told */
#pragma once

#include "smtp/buf.h"
#include "smtp/message/raw.h"

#include <check.h>

static inline enum err read_raw(
	struct text in, struct region *region, struct smtp_raw *raw, struct smtp_raw_fault *fault)
{
	*raw = (struct smtp_raw){ 0 };
	*fault = (struct smtp_raw_fault){ 0 };
	return smtp_raw_read(in, region, raw, fault);
}

/* Valid until the next use of `out`. */
static inline const char *words_of(const struct smtp_raw_fault *fault, struct buf *out)
{
	buf_clear(out);
	smtp_raw_fault_write(fault, out);
	buf_add_byte(out, 0);
	ck_assert_int_eq(out->err, OK);
	return out->at;
}
