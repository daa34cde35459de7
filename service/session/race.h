/* race - a name's addresses, tried until one is connected (RFC 8305)
 *
 * Looks the name up, tries the first address, and lets the next one join every 250 ms, or as soon
 * as one has failed. In one loop, used by its thread only. */
#pragma once

#include "service/session/resolver.h"

struct race;

/* `fd` is a connected, non-blocking TCP socket, the owner's from here on; -1: the race is lost, see
 * race_loss. The race may be closed here, and only this once it is called. */
typedef void race_over(void *owner, int fd);

/* race_over is not called before this returns. `host` must live as long as the race. */
MUST_USE enum err race_open(struct resolver *resolver, uv_loop_t *loop, const char *host,
	uint16_t port, race_over *over, void *owner, struct race **race_out);
/* Memory goes with the loop's next turn. NULL is fine. */
void race_close(struct race *race);

bool race_is_looking_up(const struct race *race);
/* Why it was lost: the last address's failure, in class and words. */
enum smtp_loss race_loss(const struct race *race);
const char *race_words(const struct race *race);
/* The winner's address, "192.0.2.1:25"; "" before. */
const char *race_address(const struct race *race);
/* Won: its address, and whether there is another one that is not doubted. */
const struct sockaddr_storage *race_winner(const struct race *race);
bool race_has_other(const struct race *race);
