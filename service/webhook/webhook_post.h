/* webhook_post - one event to one receiver, once (Standard Webhooks 1.0)
 *
 * https only, to addresses that it may reach, without redirects; what the receiver answers is read
 * up to a bound and thrown away. */
#pragma once

#include "http/event.h"
#include "service/settings/settings.h"
#include "service/web.h"

/* The label `result`. */
enum webhook_result {
	WEBHOOK_DELIVERED, /* 2xx */
	WEBHOOK_FAILED,    /* any other status, or no answer */
	WEBHOOK_THROTTLED, /* 429, 502, 503, 504: not so fast */
	WEBHOOK_GONE,      /* 410: never again */
	WEBHOOK_FORBIDDEN, /* its address is not one that may be reached */
	WEBHOOK_GIVEN_UP,  /* of an event: that was the last try */
	WEBHOOK_RESULTS,
};
const char *webhook_result_name(enum webhook_result result);

struct webhook_try {
	const struct settings *settings;
	const struct webhook_settings *webhook;
	const struct event *event;
	const char *id; /* event_id */
	struct web *web;
	const atomic_bool *must_stop; /* ends it within a second, as failed */
};

struct webhook_answer {
	long status;            /* 0: there was none */
	uint32_t retry_after_s; /* as it asks; 0: it does not */
};

/* *why says why not. */
enum webhook_result webhook_post(
	const struct webhook_try *attempt, struct webhook_answer *answer_out, struct buf *why);
/* What a status means. */
enum webhook_result webhook_judge(long status);
