#include "service/webhook/webhook_place.h"

#include <inttypes.h>

enum { VERSION = 1, NUMBERS = 5 };

bool webhook_place_is_lost(const struct webhook_place *place, uint64_t first)
{
	return place->head > place->cursor && place->head < first;
}

void webhook_place_write(const struct webhook_place *place, struct buf *out)
{
	buf_addf(out, "%d %" PRIu64 " %" PRIu64 " %u %" PRId64, VERSION, place->cursor, place->head,
		place->tries, place->due_ms > 0 ? place->due_ms : 0);
}

enum err webhook_place_read(struct text text, struct webhook_place *place_out)
{
	uint64_t numbers[NUMBERS];

	for (int i = 0; i < NUMBERS; i++)
		if (!text_to_u64(text_cut(&text, ' '), &numbers[i]))
			return ERR_SYNTAX;
	if (text.len || numbers[0] != VERSION || numbers[3] > UINT16_MAX || numbers[4] > INT64_MAX)
		return ERR_SYNTAX;
	*place_out = (struct webhook_place){ .cursor = numbers[1],
		.head = numbers[2],
		.tries = (unsigned)numbers[3],
		.due_ms = (int64_t)numbers[4] };
	return OK;
}
