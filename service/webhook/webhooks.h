/* webhooks - all receivers of events, each with a thread of its own
 *
 * Each gets its events one after the other, in the order in which they were written, at least once:
 * how far it is stands in the store, behind a lease, so that of several processes one at a time
 * sends them. An event that it does not take holds back those behind it until it is given up; a
 * receiver that is dead or slow holds up nobody else. */
#pragma once

#include "service/log/log.h"
#include "service/metrics/metrics.h"

struct queue;
struct webhooks;

/* New receivers begin behind the events that there are now. */
MUST_USE enum err webhooks_open(struct queue *queue, struct log *log, struct metrics *metrics,
	struct webhooks **webhooks_out);
/* At the start, and after a reload: those of the settings are there from now on, those that had
 * been told to stop go on, others end. ERR_MEMORY: one of them could not be begun. */
MUST_USE enum err webhooks_adjust(struct webhooks *webhooks, struct settings *settings);
/* Events may have been written. Any thread; does not wait. */
void webhooks_news(struct webhooks *webhooks);
/* Begins nothing more. */
void webhooks_stop(struct webhooks *webhooks);
/* Receivers that said 410. */
unsigned webhooks_gone(struct webhooks *webhooks);
/* Of those whose events we post; how many they are. Room for WEBHOOKS_MAX. */
size_t webhooks_look(struct webhooks *webhooks, int64_t now_ms, struct webhook_gauges *gauges_out);
/* What is under way has a second to end by itself. Before the queue is closed. NULL is fine. */
void webhooks_end(struct webhooks *webhooks);
/* After that. NULL is fine. */
void webhooks_close(struct webhooks *webhooks);
