/* webhook_sign - how whoever receives an event knows that we sent it (Standard Webhooks 1.0) */
#pragma once

#include "smtp/buf.h"

/* Two while one takes the place of the other. */
enum { WEBHOOK_KEYS = 2, WEBHOOK_KEY_LEAST = 24, WEBHOOK_KEY_MOST = 64 };

struct webhook_keys {
	size_t count;
	struct {
		unsigned char bytes[WEBHOOK_KEY_MOST];
		size_t len;
	} at[WEBHOOK_KEYS];
};

/* "whsec_…", base64 of 24 to 64 bytes; two with a blank between them, the one in use first. NULL:
 * *keys_out has them; else what is wrong, as a phrase. */
const char *webhook_keys_read(struct text secrets, struct webhook_keys *keys_out);
/* Appends the value of webhook-signature: "v1,…" for each key, with a blank between. `id` and
 * `time_s` (since 1970) are what webhook-id and webhook-timestamp say. */
void webhook_sign(const struct webhook_keys *keys, struct text id, int64_t time_s, struct text body,
	struct buf *out);
