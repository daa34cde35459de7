/* link - one connection to a relay: bytes, and TLS
 *
 * Non-blocking, in one loop, used by its thread only. The owner is told when it is connected (or is
 * not), and from then on whenever something can be read or written. TLS is done directly on the
 * descriptor: what link_write took has reached the kernel, as whole records. */
#pragma once

#include "service/session/race.h"
#include "service/session/tls.h"

struct link;

enum link_event {
	LINK_CONNECTED,
	LINK_READY,  /* bytes to read, or room to write if it was wanted */
	LINK_FAILED, /* never connected: link_loss says why */
};
/* Nothing touches the link behind it, so that the owner may close it here. */
typedef void link_told(void *owner, enum link_event event);

enum link_io {
	LINK_DONE,
	LINK_AGAIN, /* not now: LINK_READY will come */
	LINK_LOST,  /* broken: link_loss says why */
};

/* Starts with the look-up. `host` must live as long as the link. LINK_FAILED does not come before
 * this returns. */
MUST_USE enum err link_open(struct resolver *resolver, uv_loop_t *loop, const char *host,
	uint16_t port, link_told *told, void *owner, struct link **link_out);
/* Hangs up at once; memory goes with the loop's next turn. NULL is fine. */
void link_close(struct link *link);

/* Is it still at the look-up? */
bool link_is_looking_up(const struct link *link);
/* One read; len 0 only with AGAIN and LOST. Call again while link_has_more. */
enum link_io link_read(struct link *link, char *at, size_t room, size_t *len_out);
bool link_has_more(const struct link *link);
/* What arrived next is acknowledged at once: a relay with Nagle's algorithm on holds back its next
 * words until then, 40 ms at each step of an opening. Holds for a while only. */
void link_acknowledge(struct link *link);
/* Writes what it can; *len_out is what the kernel took, also with AGAIN. */
enum link_io link_write(struct link *link, struct text bytes, size_t *len_out);
/* Has the relay sent something that was not read yet? Before TLS. */
bool link_has_arrived(struct link *link);
/* Nothing is under way: TLS gives back the memory that it reads and writes in, until it needs it.
 */
void link_rest(struct link *link);
/* Does nothing but time pass on it? True: an idle link has nothing to read, not even its end. */
bool link_is_quiet(struct link *link);

/* The TLS handshake: call on LINK_READY until it is DONE or LOST. Bytes that arrived in clear
 * behind the relay's go-ahead are LOST. `tls` must outlive the link. */
enum link_io link_shake_hands(struct link *link, struct tls *tls);
/* "TLSv1.3"; NULL: in clear. Static. */
const char *link_tls(const struct link *link);
/* NULL before the handshake. For those who want to show certificates. */
SSL *link_ssl(const struct link *link);
/* The address that was reached, "192.0.2.1:25"; "" before. */
const char *link_address(const struct link *link);

/* It was connected, and then turned out to be of no use: other addresses are tried before this one
 * for a while. True: there is another, and it is not doubted. */
bool link_doubt(struct link *link);
/* It is of use. */
void link_trust(struct link *link);

/* Why it broke, in class and words; words are "" where there are none, and the link's own. */
enum smtp_loss link_loss(const struct link *link);
const char *link_words(const struct link *link);
/* The owner gives up on it before it is connected: `loss` is why. */
void link_give_up(struct link *link, enum smtp_loss loss);
