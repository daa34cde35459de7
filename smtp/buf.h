/* buf - bytes that grow, up to a limit they are born with
 *
 * The only growing memory of the project. The first error sticks: after it every buf_add… does
 * nothing, so a caller appends freely and asks once, at the end, through `err`. */
#pragma once

#include "smtp/err.h"
#include "smtp/text.h"

struct buf {
	char *at;
	size_t len;
	size_t room;  /* bytes allocated */
	size_t limit; /* most that len may ever be */
	enum err err; /* the first thing that went wrong: ERR_MEMORY or ERR_LIMIT */
};

/* An empty buf that will never hold more than `limit` bytes. Allocates nothing yet. */
struct buf buf_born(size_t limit);
/* An empty buf in memory that stays the caller's: it never grows, and is not to be freed. */
struct buf buf_over(char *at, size_t room);
void buf_free(struct buf *buf);  /* leaves an empty buf of the same limit; NULL is fine */
void buf_wipe(struct buf *buf);  /* as buf_free, overwriting the bytes first: for secrets */
void buf_clear(struct buf *buf); /* len and err to nothing, memory kept */

void buf_add(struct buf *buf, struct text text);
void buf_add_string(struct buf *buf, const char *string);
void buf_add_byte(struct buf *buf, char byte);
void buf_add_u64(struct buf *buf, uint64_t value);
void buf_addf(struct buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* `len` bytes of room behind the end for the caller to fill, then to take up with buf_took; NULL
 * (and a sticky error) if there cannot be so many. */
char *buf_reserve(struct buf *buf, size_t len);
void buf_took(struct buf *buf, size_t len);
/* What it holds; valid until the next change. */
struct text buf_text(const struct buf *buf);
