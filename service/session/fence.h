/* fence - what is done for a message right before the steps that cannot be taken back
 *
 * Whoever hands in a delivery may want to note that its MAIL is about to be written, and to say
 * whether the last byte of its data may be: that is asked when all before it is written, and the
 * session waits for the answer. Without a yes that byte is never written. Of a message in parts
 * each is asked for, and it is told when one is over.
 *
 * Threads: a session asks from its worker's. The answer may come from any, and later than the
 * session lives, but not later than the delivery. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>

struct part;
struct worker;

enum fence_answer { FENCE_NONE, FENCE_ASKED, FENCE_YES, FENCE_NO };

/* { 0 } with its functions filled in. They must not wait; NULL: not wanted. */
struct fence {
	void (*begin)(struct fence *fence); /* MAIL is about to be written */
	void (*ask)(struct fence *fence);   /* is to call fence_tell, once */
	/* A part of it is over (parts.h), and another is to begin. May change `ask`. */
	void (*part)(struct fence *fence);
	_Atomic(struct worker *) asker;
	atomic_int answer;
	const struct part *asks_for; /* while `ask` is called */
};

/* May the last byte go? `worker` is woken when there is an answer; NULL: nobody is. False: somebody
 * asked before, and did not live to hear it. That answer comes first, and may be for others: it is
 * to be asked again behind it. */
bool fence_ask(struct fence *fence, struct worker *worker);
/* FENCE_ASKED: it is still to come. An answer is given once. */
enum fence_answer fence_hear(struct fence *fence);
void fence_tell(struct fence *fence, bool may_go);
