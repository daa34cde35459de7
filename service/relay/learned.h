/* learned - at which idle time, age and number of messages a relay hangs up, where it does not say
 *
 * Two sessions that ended alike, one of which began when the other was over, teach a limit, unless
 * a third went beyond it. (Sessions that live at the same time may end for one reason, as a restart
 * of the relay is.) What is known is kept under, and forgotten after an hour, to be tried anew.
 * Pure: `now_us` is monotonic. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum learned_limit { LEARNED_IDLE, LEARNED_MESSAGES, LEARNED_LIFETIME, LEARNED_LIMITS };

struct learned {
	struct learned_one {
		uint32_t limit;    /* ms, or messages; 0: not known */
		uint64_t since_us; /* when it was learned, or forgotten */
		uint32_t ended;    /* where the last session was ended by the relay; 0: none was */
		uint64_t ended_us;
		uint32_t survived;        /* the most that a session was of use at or behind */
		uint32_t survived_before; /* … in the hour before what was known was forgotten */
	} limits[LEARNED_LIMITS];
	uint32_t recipients; /* most that it took in one transaction; 0: not known */
	uint64_t recipients_us;
	/* When it hung up on a session in use, without a word: for the first time, and last, if it
	 * did to two that were not up at the same time; 0: never. */
	uint64_t hung_up_once_us, hung_up_us;
};

/* A session that is over; or one that is not, for what it got through. */
struct session_life {
	bool ended_by_relay; /* without being asked to, and for no fault of a message */
	bool without_a_word; /* … nor with one */
	uint64_t opened_us, used_us, ended_us; /* used: when it last took a message; 0: never */
	uint32_t quiet_ms;                     /* how long nothing was heard before its end */
	uint32_t longest_quiet_ms;             /* … behind which it took another message */
	uint32_t messages;                     /* that it took */
};

/* True: a limit was learned, or was refuted. */
bool learned_from(struct learned *learned, const struct session_life *life);
/* It took so many recipients and said of the next that they are too many. */
void learned_recipients(struct learned *learned, uint32_t taken, uint64_t now_us);
void learned_forget_old(struct learned *learned, uint64_t now_us);
/* What to keep to: for times a tenth less than where it hung up. 0: no limit known. */
uint32_t learned_limit(const struct learned *learned, enum learned_limit which);
/* The lower of two, of which 0 is none. */
uint32_t lesser_limit(uint32_t one, uint32_t other);
const char *learned_limit_name(enum learned_limit which); /* "idle", "messages", "lifetime" */
