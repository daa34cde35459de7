#include "service/relay/fate.h"

#include "service/clock.h"
#include "service/relay/settle.h"

#include <stdlib.h>

enum { CAUSE_BYTES = 32768 };

/* Those that are left of a list, and a copy of the cause. */
struct fate {
	struct fate *next;
	struct delivery *list;
	struct fate_cause cause; /* its relay is held */
	struct smtp_said said;
	struct buf texts;
};

static void settle_one(
	struct worker *worker, struct delivery *delivery, const struct fate_cause *cause)
{
	const struct relay_settings *settings = relay_settings(cause->relay);
	struct result *result = &delivery->result;

	result->relay_name = region_copy(delivery->region, text_of(settings->name));
	result->relay_host = region_copy(delivery->region, text_of(settings->host));
	result->tls = cause->tls;
	if (delivery->trace)
		buf_add(delivery->trace, cause->trace);
	result->connect_us = now_us() - cause->began_us;
	settle_failed(worker->lettergate, delivery, &cause->verdict, cause->said, cause->words);
}

/* Up to `most` of them; gives those that are left. */
static struct delivery *settle_some(
	struct worker *worker, struct delivery *list, const struct fate_cause *cause, size_t most)
{
	struct delivery *next;

	for (; list && most; list = next, most--) {
		next = list->next;
		list->next = NULL;
		settle_one(worker, list, cause);
	}
	return list;
}

/* ---- those that are left */

static struct fate *fate_new(struct delivery *list, const struct fate_cause *cause)
{
	struct fate *fate = calloc(1, sizeof(*fate));
	size_t words, trace;

	if (!fate)
		return NULL;
	fate->list = list;
	fate->cause = *cause;
	fate->said = *cause->said;
	fate->texts = buf_born(CAUSE_BYTES);
	buf_add(&fate->texts, cause->said->text);
	words = fate->texts.len;
	buf_addf(&fate->texts, "%s", cause->words);
	buf_add_byte(&fate->texts, '\0');
	trace = fate->texts.len;
	buf_add(&fate->texts, cause->trace);
	if (fate->texts.err) {
		buf_free(&fate->texts);
		free(fate);
		return NULL;
	}
	fate->said.text.at = fate->texts.at;
	fate->cause.said = &fate->said;
	fate->cause.words = fate->texts.at + words;
	fate->cause.trace = (struct text){ fate->texts.at + trace, fate->texts.len - trace };
	relay_hold(cause->relay);
	return fate;
}

static void fate_free(struct fate *fate)
{
	relay_release(fate->cause.relay);
	buf_free(&fate->texts);
	free(fate);
}

/* ---- the interface */

void fate_meet(struct worker *worker, struct delivery *list, const struct fate_cause *cause)
{
	struct fate **end = &worker->fates;
	struct fate *fate;

	list = settle_some(worker, list, cause, worker->is_stopping ? SIZE_MAX : SETTLE_AT_ONCE);
	if (!list)
		return;
	fate = fate_new(list, cause);
	if (!fate) {
		(void)settle_some(worker, list, cause, SIZE_MAX);
		return;
	}
	while (*end)
		end = &(*end)->next;
	*end = fate;
	worker_wake(worker);
}

static void go_on(struct worker *worker, size_t most)
{
	struct fate *fate = worker->fates;

	fate->list = settle_some(worker, fate->list, &fate->cause, most);
	if (fate->list)
		return;
	worker->fates = fate->next;
	fate_free(fate);
}

void fate_go_on(struct worker *worker)
{
	if (worker->fates)
		go_on(worker, SETTLE_AT_ONCE);
	if (worker->fates)
		worker_wake(worker);
}

void fate_end(struct worker *worker)
{
	while (worker->fates)
		go_on(worker, SIZE_MAX);
}
