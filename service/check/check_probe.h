/* check_probe - what does a port speak that does not speak SMTP as it was expected to?
 *
 * Up to three tries, each on a connection of its own: to listen, to begin TLS and then listen, and
 * to ask in HTTP. The first that is answered in a way that is known ends it. Runs in its owner's
 * loop. No certificate is looked at, and nothing is said that is secret. */
#pragma once

#include "service/session/link.h"
#include "service/session/speech.h"

enum probe_try { PROBE_LISTEN = 1 << 0, PROBE_TLS = 1 << 1, PROBE_HTTP = 1 << 2 };
enum { PROBE_HEARD = 512 };

struct probe_wish {
	struct resolver *resolver;
	uv_loop_t *loop;
	const char *host; /* an address; must live as long as the probe */
	uint16_t port;
	const char *name;     /* for SNI; "": none */
	unsigned tries;       /* of enum probe_try; made in their order */
	uint64_t patience_us; /* with each answer */
};

/* { 0 } is one that was never begun; its place must not move until probe_end. */
struct probe {
	struct probe_wish wish;
	bool is_begun;
	/* What was found; SPEECH_NONE: nothing that is known. */
	enum speech speech;
	bool behind_tls;
	struct text line; /* the first that was heard, raw; in `heard` */
	/* the try under way */
	enum probe_try now; /* 0: none */
	unsigned left;
	uint64_t since_us;
	struct link *link; /* NULL: closed */
	SSL *ssl;
	bool is_tls, is_over, has_asked;
	char heard[PROBE_HEARD];
	size_t heard_len;
};

void probe_begin(struct probe *probe, const struct probe_wish *wish);
/* To be called often, not from within a link's events. True: it is over. */
bool probe_tick(struct probe *probe);
/* Also one that was never begun, or is not over. */
void probe_end(struct probe *probe);
