/* keeper - the queue within the running gateway: who opens it, looks after it, and closes it
 *
 * Without STORE none of this does anything. */
#pragma once

#include "service/lettergate.h"

/* Opens the store and its queue. A line in *why. */
MUST_USE enum err keeper_open(
	struct lettergate *lettergate, const struct settings *settings, struct buf *why);
/* Begins to send; the relays are there. */
MUST_USE enum err keeper_start(struct lettergate *lettergate);
/* What a reload changes. */
void keeper_reload(struct lettergate *lettergate, struct settings *settings);
void keeper_tick(struct lettergate *lettergate, uint64_t now_us);
/* Nothing more is taken out of the queue, no more events are posted. */
void keeper_stop(struct lettergate *lettergate);
/* Who waits for an event, or a verdict, is answered, and nobody waits any more. */
void keeper_answer_all(struct lettergate *lettergate);
/* Messages that are out of the queue, and their verdict not yet in it. */
unsigned keeper_out(const struct lettergate *lettergate);
/* When nobody uses the queue any more. */
void keeper_close(struct lettergate *lettergate);
