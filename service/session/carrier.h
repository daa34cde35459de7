/* carrier - one SMTP session on one connection, carrying one delivery after another
 *
 * Brings smtp/session/session.h and link.h together: what arrives goes into the session, what the
 * session wants to say goes out. When it is ready it pulls its next delivery out of the relay's
 * queue by itself. Lives in one worker's loop. */
#pragma once

#include "service/session/link.h"
#include "service/relay/parts.h"
#include "service/session/worker.h"

struct late;
struct oauth_failure;

/* How long it waits for a late answer, whatever else wants its place: most come then. */
enum { CARRIER_LATE_MS = 1000 };

struct carrier {
	struct carrier *previous, *next, **list; /* in one of its worker's lists */
	struct worker *worker;
	struct relay *relay;       /* held */
	struct berth *berth;       /* its worker's for that relay; NULL: the relay is of the past */
	struct link *link;         /* NULL while it opens: it waits for its token */
	struct smtp_policy policy; /* the relay's, with the token as it is now */
	struct buf token;          /* secret */
	struct smtp_session session;
	enum carrier_stage {
		CARRIER_OPENING, /* not ready yet */
		CARRIER_IDLE,
		CARRIER_BUSY,
		CARRIER_LEAVING, /* says QUIT, waits for nothing else */
	} stage;
	bool is_connected; /* and the session open */
	bool was_taken;    /* the last message was */
	bool is_detached;  /* busy with nothing but an answer that is late */
	bool is_asking; /* all but the end of the data is out, and that waits for its fence … */
	uint64_t asked_ms; /* … since then, by now_boot_us */
	bool has_asked;    /* … for itself: an answer to somebody before it does not count */
	/* … "not so fast, try again in 60 seconds": another session would be an answer to that, and
	 * where this one ends then teaches nothing */
	bool told_to_wait;
	/* the token: it got another in place of one that was refused; why there is none; NULL: no
	 * fault of it */
	bool has_begun_anew;
	const struct oauth_failure *failure;
	enum smtp_loss given_up; /* while it waited for it */
	bool brings;             /* opened for a delivery that needs a fresh session */
	struct delivery *delivery;
	struct part part; /* that is under way */
	struct smtp_transaction transaction;
	char late_id[DELIVERY_ID_LEN + 1]; /* of a delivery given back as unknown; "": none */
	struct places late_places;         /* … whom of it the answer is for */
	struct late *late;                 /* … the same for the store */
	enum session_end end;
	unsigned messages;                 /* begun */
	struct session_life life;          /* of the session; `messages`: taken */
	uint64_t quiet_since_ms, quiet_ms; /* since the last message; before the one under way */
	uint64_t opened_us, ready_us; /* when it began to connect, and when it was ready for work */
	uint64_t begun_us;            /* its delivery's transaction */
	uint64_t since_ms; /* idle, detached or leaving: since when, in the loop's time */
	enum smtp_phase phase;
	uint64_t phase_us; /* when it began */
	struct buf trace;  /* of the opening, until the first delivery took it */
};

/* Starts connecting. The relay must count it as opening already. `berth`: the worker's for this
 * relay; NULL: it is of the past. `delivery`: it needs a fresh session and goes first; NULL: none.
 * False: out of memory; the delivery is settled. */
bool carrier_open(
	struct worker *worker, struct relay *relay, struct berth *berth, struct delivery *delivery);
/* The loop's time, which sessions live by. */
uint64_t carrier_now_ms(const struct carrier *carrier);
/* Opening, without a link: is its token there? */
void carrier_seek_token(struct carrier *carrier);
/* Idle: can it be used? Else it is gone. */
bool carrier_is_fit(struct carrier *carrier);
/* Idle: takes on a delivery that was pulled. */
void carrier_carry(struct carrier *carrier, struct delivery *delivery);
/* Does all that can be done without waiting. The carrier may be gone behind it, as behind all that
 * follow. */
void carrier_pump(struct carrier *carrier);
/* Looks at all deadlines (carrier_tick.c). */
void carrier_tick(struct carrier *carrier);
/* Idle: says goodbye. */
void carrier_leave(struct carrier *carrier, enum session_end end);
/* Settles what is under way, and hangs up. */
void carrier_drop(struct carrier *carrier, enum smtp_loss loss);
