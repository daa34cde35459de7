/* records - what is remembered of deliveries, in memory (GET /messages/{id})
 *
 * The last 10,000 results stay for ten minutes, so that an answer that came too late for its caller
 * can still be read. In development mode the captured messages themselves stay too. All functions
 * may be called by every thread. */
#pragma once

#include "http/gateway.h"

struct records;

/* `most` records for `keep_ms`; `raw_bytes`: most bytes of captured messages together. */
MUST_USE enum err records_open(
	size_t most, int64_t keep_ms, uint64_t raw_bytes, struct records **records_out);
void records_close(struct records *records);

/* Copies what is worth remembering; out of memory: it is not remembered. `raw`: the captured
 * message, empty: none. Called before the delivery goes back to its sender. */
void records_add(
	struct records *records, const struct delivery *delivery, int64_t now_ms, struct text raw);
/* The relay's answer came after the delivery was given back as unknown: now it is certain. For
 * those recipients among `places` whose outcome was unknown. */
void records_settle_late(struct records *records, const char *id, struct places places,
	const struct smtp_verdict *verdict, const struct smtp_said *said, struct text queue_id,
	int64_t now_ms);

/* As the functions of the same names in struct gateway. */
bool records_look_up(struct records *records, const struct caller *caller, struct text id,
	void (*see)(const struct record *record, void *context), void *context);
bool records_list(struct records *records, const struct caller *caller, const struct query *query,
	void (*see)(const struct record *record, void *context), void *context);
enum err records_raw(struct records *records, const struct caller *caller, struct text id,
	struct region *region, struct text *raw_out);
