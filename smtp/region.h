/* region - memory that belongs to one request and goes with one free
 *
 * Allocations are bumped out of blocks and never freed one by one. Not for use by two threads at a
 * time; who holds the request holds its region. */
#pragma once

#include "smtp/err.h"
#include "smtp/text.h"

struct region;

/* `limit`: most bytes that it will ever hand out (ERR_LIMIT behaviour: NULL from then on). */
MUST_USE enum err region_open(size_t limit, struct region **region_out);
void region_close(struct region *region); /* NULL is fine */
/* Overwrites all that it handed out with zeros: there were secrets in it. To be closed as before.
 */
void region_wipe(struct region *region); /* NULL is fine */

/* Aligned for any type, not cleared; NULL when memory or limit is at its end. */
void *region_alloc(struct region *region, size_t len);
/* The same, all bytes 0; `count * len` is checked for overflow. */
void *region_zalloc(struct region *region, size_t count, size_t len);
/* A copy that lives as long as the region, with a NUL behind it that is not counted. On no memory
 * the copy is empty and `at` is NULL. */
struct text region_copy(struct region *region, struct text text);
/* The piece handed out last, `at` of `len` bytes, becomes `kept` bytes, no more than `len`; the
 * rest goes back. Where it stands then, which may be elsewhere. */
void *region_shrink(struct region *region, void *at, size_t len, size_t kept);
/* Bytes handed out so far. */
size_t region_used(const struct region *region);
/* Bytes that its limit still allows. */
size_t region_left(const struct region *region);
/* Why `len` bytes were not to be had: ERR_LIMIT, its limit does not allow them; else ERR_MEMORY. */
enum err region_why_not(const struct region *region, size_t len);
