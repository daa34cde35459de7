/* check - goes through all that stands between this machine and a message sent, step by step
 *
 * Who signs (DKIM), the access token, look-up, every address, greeting, EHLO, STARTTLS,
 * certificate, AUTH and, if wanted, MAIL and RCPT; each with its time, what was found, and for what
 * is wrong the change that mends it. Sends no message. Runs in a loop of its own and blocks the
 * calling thread. Words from the relay hold no control characters; secrets are in none. */
#pragma once

#include "service/settings/settings.h"

struct oauth;

enum check_mark {
	CHECK_OK,
	CHECK_WARNING, /* works, and could be better */
	CHECK_FAILED,
	CHECK_SKIPPED,
};

/* Strings live as long as the report, and are never NULL. */
struct check_step {
	const char *name;
	enum check_mark mark;
	int64_t us;        /* how long it took; -1: takes no time */
	const char *words; /* what was found; several lines where there is a line end in it */
	const char *hint;  /* what to change; "": nothing */
};

enum { CHECK_STEPS = 48 };

/* { 0 } is an empty one. */
struct check_report {
	struct check_step steps[CHECK_STEPS];
	size_t count;
	bool is_sendable; /* a message could be sent */
	const char *why;  /* not: in a few words; "": it could */
	struct region *region;
};

struct check_wish {
	const char *to;   /* the recipient to ask about, as an addr-spec; NULL: stop before MAIL */
	const char *from; /* "": the null sender; NULL: check_sender */
	/* Told of each step as soon as it is done; NULL: nobody is. */
	void (*told)(void *owner, const struct check_step *step);
	/* Asked now and then: why the check shall end at once, in a few words, or NULL. NULL:
	 * nobody is asked, it ends when the relay's patience does. */
	const char *(*is_over)(void *owner);
	void *owner;
	/* A running gateway's, for this relay; NULL: the token, if one is needed, is fetched for
	 * the check alone. */
	struct oauth *oauth;
};

/* What goes into MAIL where nothing is asked for: the user, if it is an address, else the
 * postmaster of the name that we introduce ourselves by, else (an address) nobody. Appends it. */
void check_sender(const struct relay_settings *settings, struct buf *out);
/* Of settings->relays[relay]. A relay that cannot be reached is no error but in the report.
 * ERR_MEMORY; ERR_TLS with a line in *why: certificates in the settings that cannot be used. */
MUST_USE enum err check_relay(struct settings *settings, size_t relay,
	const struct check_wish *wish, struct check_report *report_out, struct buf *why);
/* Can the store that is set be used? One step is told, and nothing is changed. False: serve would
 * not start with it. */
bool check_store(const struct settings *settings, const struct check_wish *wish);
void check_report_free(struct check_report *report);
