/* store - the verbs behind the queue: what a backend has to do, one job at a time
 *
 * Backends: store_sqlite*.c, store_pg*.c. Never called by two threads at a
 * time. All run between begin and commit; what they did counts only when commit gave OK, and
 * after rollback none of it ever was.
 *
 * What the verbs answer: ERR_LIMIT, the queue is full; ERR_MISSING, there is no such message, or it
 * is another key's; ERR_VALUE, not in the state that it is in, or somebody else has its lease:
 * with these three nothing was written. ERR_SYNTAX, what is kept is damaged; ERR_IO, the store
 * cannot be written or read, or has no room for more; ERR_MEMORY: these ask for a rollback.
 * A verb of a job may answer OK before it knows: then the commit brings what it found, and a
 * refusal in the job's `err`. Commit alone may answer ERR_DOUBT: whether it was done shows when the
 * store can be read again.
 *
 * Leases end by a clock that nobody sets, so they are given for a while, not until a moment. */
#pragma once

#include "service/store/store_job.h"

struct store_verbs {
	enum err (*begin)(void *self);
	enum err (*commit)(void *self);
	void (*rollback)(void *self);
	/* NULL: never. After a rollback: what failed was for others in the way, or a connection
	 * that broke; nothing of it was done, and all of it may be done again at once. */
	bool (*may_again)(void *self);
	enum err (*accept)(void *self, struct accept_job *accept);
	enum err (*claim)(void *self, struct claim_job *claim);
	enum err (*fence)(void *self, struct fence_job *fence);
	enum err (*renew)(void *self, struct renew_job *renew);
	enum err (*release)(void *self, struct release_job *release);
	enum err (*settle)(void *self, struct settle_job *settle);
	enum err (*change)(void *self, struct change_job *change);
	enum err (*look_up)(void *self, struct look_up_job *look_up);
	enum err (*body)(void *self, struct body_job *body);
	enum err (*list)(void *self, struct list_job *list);
	enum err (*events)(void *self, struct events_job *events);
	enum err (*once_begin)(void *self, struct once_begin_job *begin);
	enum err (*once_end)(void *self, struct once_end_job *end);
	enum err (*note)(void *self, struct note_job *note);
	enum err (*template)(void *self, struct template_job *template);
	enum err (*templates)(void *self, struct templates_job *templates);
	enum err (*counts)(void *self, struct counts_job *counts);
	/* Makes due what has become so, takes back leases that are over. */
	enum err (*tick)(void *self, struct tick *tick);
	/* Forgets some of what need not be kept. */
	enum err (*sweep)(void *self, struct sweep *sweep);
	/* Outside of a transaction. There is something new for the others that share the store; and
	 * did one of them say so? Either may be lost, or come late. NULL: there are no others. */
	void (*tell)(void *self);
	bool (*hears)(void *self);
	/* Writes something that changes nothing. ERR_IO: no message could be accepted either. NULL:
	 * a transaction without anything tells as much. */
	enum err (*prove)(void *self);
	/* After something failed: what is wrong, in plain words, for whoever has to mend it.
	 * Static. NULL, as a verb or as an answer: nothing is known. */
	const char *(*trouble)(void *self);
	/* Outside of a transaction, now and then: what keeps it fast. */
	enum err (*tidy)(void *self);
	void (*close)(void *self);
};

struct strikes;

struct store {
	const struct store_verbs *verbs;
	void *self;
	bool is_shared; /* other processes claim from it too: a lease may be lost while we live */
	struct strikes *strikes; /* its own; NULL: it finds strikes by itself, or not at all */
};
