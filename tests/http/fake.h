/* fake - a gateway without relays, the server in front of it on a loopback port, and a client
 *
 * What the fake does with a delivery is set by `mode`. A test fails where something takes longer
 * than ten seconds. */
#pragma once

#include "fake_template.h"
#include "http/server/server.h"
#include "smtp/buf.h"

#include <pthread.h>
#include <stdatomic.h>

enum fake_mode {
	FAKE_ACCEPTS, /* within submit */
	FAKE_PARKS,   /* until fake_settle_all, on the test's own thread */
	FAKE_REJECTS,
	FAKE_DEFERS,
	FAKE_KNOWS_NOT,
	FAKE_IS_OVERLOADED,
	FAKE_DRAINS,
	FAKE_HAS_NO_RELAY
};

struct fake {
	struct gateway gateway;
	_Atomic enum fake_mode mode;
	const char *key; /* NULL: whoever asks is let in */
	struct caller caller;
	struct rate_state rate;
	bool over_rate;
	enum err sign_err;     /* what becomes of every signature */
	uint64_t budget;       /* bytes that may be in flight */
	struct text words;     /* what is said to who is refused; empty: the usual */
	size_t records, crowd; /* what is listed, and with how many recipients each; 0: the usual */
	enum repeat finds;     /* under every idempotency key; REPEAT_NONE: nothing */
	struct text first_answer; /* where that is REPEAT_AGAIN */
	atomic_uint begun, ended; /* with a key: of each that begins the answer is remembered */
	atomic_uint_fast64_t reserved;
	atomic_uint submitted, observed, parked_count;
	atomic_uint_fast64_t skew_us; /* added to the clock */
	pthread_mutex_t lock;         /* over all below */
	struct delivery *parked;
	struct buf message;               /* the last delivery's, as it would go out */
	struct buf envelope;              /* "from;to,to\n" */
	struct buf remembered;            /* the last answer that was */
	unsigned char digest[DIGEST_LEN]; /* the last delivery's */
	char signed_for[256], message_id[512], seen_route[64], seen_client[64], seen_request_id[80];
	unsigned seen_status;
	size_t seen_replayed;
	char checked[64], checked_to[260]; /* the relay that was checked last, and the recipient */
	enum checking_start checking;      /* what becomes of checks */
	bool all_or_none, has_trace;
	uint64_t patience_us;
	struct fake_templates templates;
};

void fake_open(struct fake *fake);
void fake_close(struct fake *fake);
void fake_settle_all(struct fake *fake);
void fake_await_parked(struct fake *fake, unsigned count);
uint64_t fake_now_us(struct fake *fake);

struct served {
	struct fake fake;
	struct server_settings settings;
	struct server_listener listener;
	struct server *server;
	int port;
};

/* Fills in usual settings and a listener on a free port; then served_start. */
void served_prepare(struct served *served);
void served_start(struct served *served);
void served_stop(struct served *served);

struct answer {
	unsigned status;
	struct buf head, body;
};

#define A_MAIL                                                                                     \
	"{\"from\":\"a@example.com\",\"to\":\"b@example.org\",\"subject\":\"Hi\",\"text\":"        \
	"\"Hello\"}"

int client_connect(int port);
/* POST /send with more headers, each ending in CRLF. */
void client_post(int fd, const char *more, const char *body);
void client_send(int fd, const char *text);
/* False: the connection ended before the answer did. `is_head`: there is no body. */
bool client_read(int fd, bool is_head, struct answer *answer);
/* True: the other side has closed, and nothing was left to read. */
bool client_sees_end(int fd);
void answer_free(struct answer *answer);
/* "" where it is not there; static. */
const char *answer_header(const struct answer *answer, const char *name);
bool answer_has(const struct answer *answer, const char *words);

/* One POST with a JSON body on a connection of its own; gives the status. */
unsigned post(int port, const char *path, const char *json, struct answer *answer);
unsigned get(int port, const char *path, struct answer *answer);
