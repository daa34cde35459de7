/* raw_part - the steps of reading a raw message (for raw*.c) */
#pragma once

#include "smtp/message/raw.h"

static inline bool smtp_raw_is_resent(const struct smtp_raw_field *field)
{
	return field->kind >= SMTP_RAW_RESENT_FROM;
}

/* What one pass over lines finds. { 0 } is the start. */
struct smtp_raw_scan {
	size_t lines;     /* one that lacks its end included */
	size_t bare;      /* line ends that are LF alone */
	size_t longest;   /* bytes of the longest line, without its end */
	size_t long_line; /* the first one over SMTP_RAW_LINE, from 1; 0: none */
};

/* Goes over `bytes`, which begin a line. ERR_VALUE: a NUL or a CR alone; *scan_out then counts the
 * lines before it, and *why_out says what. */
MUST_USE enum err smtp_raw_scan(
	struct text bytes, struct smtp_raw_scan *scan_out, const char **why_out);

/* Reads the header block: fields, field_count, header_eight_bit, lines and longest_line of *raw.
 * *len_out: its bytes, without the empty line behind it. */
MUST_USE enum err smtp_raw_header_read(struct text message, struct region *region,
	struct smtp_raw *raw, size_t *len_out, struct smtp_raw_fault *fault_out);

/* Reads senders, sender_count and envelope_from out of the fields. */
MUST_USE enum err smtp_raw_senders_read(
	struct region *region, struct smtp_raw *raw, struct smtp_raw_fault *fault_out);
