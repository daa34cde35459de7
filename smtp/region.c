#include "smtp/region.h"

#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_BLOCK = 8192 - 64, LATER_BLOCK = 16384 - 64 };

struct block {
	struct block *older;
	size_t room, used;
	alignas(max_align_t) char at[];
};

/* Lives at the start of its own first block, of a size that keeps what follows aligned. */
struct region {
	alignas(max_align_t) struct block *newest;
	size_t limit, used;
};

static struct block *block_new(size_t room, struct block *older)
{
	struct block *block = malloc(sizeof(*block) + room);

	if (block) {
		block->older = older;
		block->room = room;
		block->used = 0;
	}
	return block;
}

static void *take(struct block *block, size_t len)
{
	void *at;

	if (block->room - block->used < len)
		return NULL;
	at = block->at + block->used;
	block->used += len;
	return at;
}

enum err region_open(size_t limit, struct region **region_out)
{
	struct block *block = block_new(FIRST_BLOCK, NULL);
	struct region *region = block ? take(block, sizeof(*region)) : NULL;

	if (!region)
		return ERR_MEMORY;
	*region = (struct region){ block, limit, 0 };
	*region_out = region;
	return OK;
}

void region_close(struct region *region)
{
	struct block *older;

	for (struct block *block = region ? region->newest : NULL; block; block = older) {
		older = block->older;
		free(block);
	}
}

void region_wipe(struct region *region)
{
	for (struct block *block = region ? region->newest : NULL; block; block = block->older) {
		size_t own = block->at == (char *)region ? sizeof(*region) : 0;

		explicit_bzero(block->at + own, block->used - own);
	}
}

/* A large piece gets a block of its own, placed behind the newest, so that the rest of the newest
 * is not lost for small ones. */
static void *take_large(struct region *region, size_t len)
{
	struct block *block = block_new(len, region->newest->older);

	if (!block)
		return NULL;
	region->newest->older = block;
	return take(block, len);
}

static bool pad_up(size_t len, size_t *padded_out)
{
	size_t padded;

	if (__builtin_add_overflow(len, alignof(max_align_t) - 1, &padded))
		return false;
	*padded_out = padded & ~(alignof(max_align_t) - 1);
	return true;
}

/* What `len` bytes take; false: more than the limit still allows. */
static bool pad(const struct region *region, size_t len, size_t *padded_out)
{
	return pad_up(len, padded_out) && *padded_out <= region->limit - region->used;
}

void *region_alloc(struct region *region, size_t len)
{
	size_t padded;
	void *at;

	if (!pad(region, len, &padded))
		return NULL;
	at = take(region->newest, padded);
	if (!at && padded > LATER_BLOCK / 4)
		at = take_large(region, padded);
	if (!at) {
		struct block *block = block_new(LATER_BLOCK, region->newest);

		if (!block)
			return NULL;
		region->newest = block;
		at = take(block, padded);
	}
	if (at)
		region->used += padded;
	return at;
}

void *region_zalloc(struct region *region, size_t count, size_t len)
{
	size_t total;
	void *at;

	if (__builtin_mul_overflow(count, len, &total))
		return NULL;
	at = region_alloc(region, total);
	return at ? memset(at, 0, total) : NULL;
}

/* A large piece, in a block of its own, may move where the allocator cannot cut it in place. */
static void *shrink_large(struct region *region, struct block *large, size_t kept)
{
	struct block *cut = realloc(large, sizeof(*large) + kept);

	if (!cut) /* stays as it is */
		return large->at;
	region->used -= cut->used - kept;
	cut->room = cut->used = kept;
	region->newest->older = cut;
	return cut->at;
}

void *region_shrink(struct region *region, void *at, size_t len, size_t kept)
{
	struct block *newest = region->newest, *large = newest->older;
	size_t padded, padded_kept;

	if (!pad_up(len, &padded) || !pad_up(kept, &padded_kept) || padded_kept >= padded)
		return at;
	if (large && large->at == at)
		return shrink_large(region, large, padded_kept);
	if (newest->at + newest->used == (char *)at + padded) {
		newest->used -= padded - padded_kept;
		region->used -= padded - padded_kept;
	}
	return at;
}

struct text region_copy(struct region *region, struct text text)
{
	char *at = text.len < SIZE_MAX ? region_alloc(region, text.len + 1) : NULL;

	if (!at)
		return (struct text){ 0 };
	if (text.len)
		memcpy(at, text.at, text.len);
	at[text.len] = 0;
	return (struct text){ at, text.len };
}

size_t region_used(const struct region *region)
{
	return region->used;
}

size_t region_left(const struct region *region)
{
	return region->limit - region->used;
}

enum err region_why_not(const struct region *region, size_t len)
{
	size_t padded;

	return pad(region, len, &padded) ? ERR_MEMORY : ERR_LIMIT;
}
