/* log_words - what a relay says, without the addresses that relays like to repeat */
#include "service/log/log_own.h"

#include <string.h>

enum { WORDS_MAX = 512 };

/* What may stand in an address, as it is found inside a sentence. */
static bool is_part(char byte)
{
	return (unsigned char)byte > 0x20 && byte != 0x7f && !memchr("<>()[],;:\"'@", byte, 12);
}

/* Is an address around the @ at `at`? Then from where to where. */
static bool find_around(struct text words, size_t at, size_t *from_out, size_t *to_out)
{
	size_t from = at, to = at + 1;

	while (from > 0 && is_part(words.at[from - 1]))
		from--;
	while (to < words.len && is_part(words.at[to]))
		to++;
	*from_out = from;
	*to_out = to;
	return from < at && to > at + 1;
}

static void add_masked(struct buf *out, struct text address, bool show_domain)
{
	size_t at = text_find(address, '@');

	if (!show_domain) {
		buf_add(out, TEXT("***"));
		return;
	}
	if ((unsigned char)address.at[0] < 0x80) /* never half a character */
		buf_add_byte(out, address.at[0]);
	buf_add(out, TEXT("***"));
	buf_add(out, text_from(address, at));
}

void log_words(struct log_line *line, const char *name, struct text words)
{
	struct buf shown = buf_born(2 * WORDS_MAX);
	size_t from, to, done = 0;
	enum log_addresses how;

	if (!line->log || !words.at || text_find(words, '@') == words.len) {
		log_text(line, name, words);
		return;
	}
	how = log_shown_addresses(line->log);
	words = text_head(words, WORDS_MAX);
	for (size_t at = 0; at < words.len && how != LOG_FULL; at++) {
		if (words.at[at] != '@' || !find_around(words, at, &from, &to) || from < done)
			continue;
		buf_add(&shown, (struct text){ words.at + done, from - done });
		add_masked(&shown, (struct text){ words.at + from, to - from }, how == LOG_MASKED);
		done = to;
		at = to - 1;
	}
	buf_add(&shown, text_from(words, done));
	log_text(line, name, shown.err ? TEXT("***") : buf_text(&shown));
	buf_free(&shown);
}
