/* outing - one message that is out: claimed, on its way, its verdict not yet on disk (for
 * courier*.c) */
#pragma once

#include "service/queue/courier.h"
#include "service/session/fence.h"
#include "service/store/strikes.h"

struct outing {
	struct delivery delivery;
	struct outing *next, *previous; /* the courier's list */
	struct courier *courier;
	struct stored *stored; /* owns the memory of all of it */
	bool *was_open;        /* of each recipient: he is to be told of */
	bool has_verdict;      /* it is noted in `stored` */
	bool lacks_relay;      /* no relay may take it */
	bool is_relay_gone;    /* … for there is none of the name that it wishes for */
	bool is_in_doubt;      /* its verdict may have been written */
	uint64_t again_us;     /* its verdict could not be written: when to try that again; 0: no */
	int strike;            /* its slot; STRIKE_NONE: its MAIL was not written */
	bool has_begun;        /* its MAIL was, and the store is told so */
	struct fence fence;
	struct fence_job fence_job; /* while `fence` is asked */
	struct fence_job note_job;  /* that it has begun */
	struct settle_job settle;
	struct release_job release;
	struct look_up_job look_up; /* was it? */
	/* Of a message in parts; under the courier's lock, but for `closed` and `part_failed`. */
	enum outing_part {
		PART_NONE,
		PART_OUT,      /* what came of one is being written */
		PART_IN_DOUBT, /* … and nobody knows whether it was */
	} part;
	bool verdict_waits;      /* … for that */
	atomic_bool part_failed; /* it was not: no other part may end */
	bool is_noted_behind;    /* … and what was put since says the same of it */
	/* The recipients as they were put last, if they were. Whoever sends it. */
	struct stored_recipient *noted;
	bool is_noted;
	bool *closed; /* of each recipient: he is one of those that are, or were; NULL: there
			 were none. Whoever sends it */
	struct renew_job behind; /* of nothing: over when all before it is on disk */
};

/* Out of a claimed message and its bytes, in the message's memory; NULL: that is at its end, and
 * the message is still the caller's. */
struct outing *outing_new(struct stored *stored, struct text body, uint64_t attempt_us);
/* A process died over it in a way that another try is not for us to decide: it is set aside, and
 * outing_verdict says so. */
bool outing_is_held(struct outing *outing);
/* Fills in the job that tells the queue what came of the delivery, and gives it; NULL: out of
 * memory, for now. May be called again where the job failed. */
struct job *outing_verdict(struct outing *outing, const struct courier_settings *settings);
