/* sink - an SMTP relay that takes everything and keeps nothing, to measure what feeds it
 *
 * One thread, epoll. Counts what it took in a file that the benchmark maps (struct sink_counts),
 * and can be told there, while it runs, to be slow. Never used to test what is right: only to
 * count. */
#pragma once

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Laid out as bench.py reads it: eight 64-bit numbers. */
struct sink_counts {
	uint64_t port;
	uint64_t connections, messages;
	uint64_t bytes;   /* of content */
	uint64_t turns;   /* times that a client had to wait for us */
	uint64_t lag_ms;  /* set from outside: what arrives is looked at only so much later */
	uint64_t hold_ms; /* set from outside: the answer to a message waits so long */
	uint64_t held;    /* answers that wait now */
};

struct sink_settings {
	SSL_CTX *tls;  /* NULL: plain */
	bool starttls; /* else TLS from the first byte */
	bool pipelining, chunking;
};

enum { SINK_IN = 1 << 18, SINK_OUT = 1 << 14 };

struct sink_conn {
	int fd;
	SSL *ssl; /* NULL: plain */
	enum { SINK_COMMAND, SINK_DATA, SINK_BDAT } mode;
	bool last, closing, starting; /* last: BDAT LAST; starting: TLS begins behind the reply */
	uint64_t chunk_left;
	unsigned dot;    /* bytes of CR LF . CR LF seen */
	uint64_t due_ms; /* 0: nothing waits; else when to go on */
	bool due_reply;  /* what waits is the answer to a message, else the input */
	struct sink_conn *next_due;
	size_t in_len, out_len;
	char in[SINK_IN], out[SINK_OUT];
};

/* Takes as much of conn->in as it can and appends replies to conn->out. */
void sink_take(
	struct sink_conn *conn, const struct sink_settings *settings, struct sink_counts *counts);
/* Appends a reply line. */
void sink_say(struct sink_conn *conn, const char *line);
