/* channel - c-ares within a loop: its sockets and its time-outs
 *
 * Used by the loop's thread only. Nothing blocks, but for the files that are read when it is made
 * ready. */
#pragma once

#include <ares.h>
#include <uv.h>

#include "smtp/err.h"

struct channel;

MUST_USE enum err channel_open(uv_loop_t *loop, struct channel **channel_out);
/* Closes its handles: run the loop once more after it. What is being asked is answered with
 * ARES_EDESTRUCTION before this returns. NULL is fine. */
void channel_close(struct channel *channel);

/* To be called before channel_ask: reads which name servers there are, if that is not known. */
MUST_USE enum err channel_make_ready(struct channel *channel);
/* They may be others by now. Nothing may be being asked. */
void channel_forget(struct channel *channel);

/* Asks for the addresses of one family. answered() comes once, perhaps before this returns. */
void channel_ask(struct channel *channel, const char *host, int family,
	ares_addrinfo_callback answered, void *self);
