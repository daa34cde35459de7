/* oauth_own - what keeps a token (for oauth.c and oauth_fetch.c alone) */
#pragma once

#include "service/oauth/oauth.h"
#include "service/oauth/oauth_grant.h"

#include <pthread.h>

struct oauth {
	atomic_uint references;
	/* frozen */
	struct region *region;
	const char *relay, *url;
	struct text shown_url;    /* without a query, for people */
	struct oauth_grant grant; /* as the settings have it */
	/* set by oauth_start */
	struct oauth_crew *crew;       /* NULL: the thread is its own */
	struct log *log;               /* the crew's; NULL: nothing is logged */
	struct relay_metrics *metrics; /* NULL: nothing is counted */
	pthread_t thread;              /* without a crew */
	bool is_running;
	atomic_bool must_stop;
	pthread_mutex_t lock;   /* over all that follows, and is_running */
	pthread_cond_t changed; /* there may be something to do for the thread */
	struct oauth_life life;
	struct buf token;
	struct buf refresh_token; /* in place of the grant's; empty: that counts */
	struct oauth_facts facts;
	const char *hint;
	char words[OAUTH_FAILURE_WORDS];
};

/* One request, and what came of it. By the thread, without the lock, when the life says that it has
 * begun. */
void oauth_fetch(struct oauth *oauth);
/* Overwrites a secret that lies in a region of ours. */
void oauth_wipe_text(struct text secret);
