#include "service/command/terminal.h"

#include <stdbool.h>
#include <string.h>

/* Bytes of the letter that `text` begins with; what is no UTF-8 counts byte by byte. */
static size_t letter_len(struct text text)
{
	size_t len = 1;

	if ((unsigned char)text.at[0] < 0xc0)
		return 1;
	while (len < text.len && len < 4 && ((unsigned char)text.at[len] & 0xc0) == 0x80)
		len++;
	return len;
}

/* C1; the marks, embeddings, overrides and isolates of Unicode's bidirectional algorithm. */
static bool is_hidden(struct text letter)
{
	const unsigned char *at = (const unsigned char *)letter.at;

	if (letter.len == 1)
		return at[0] < 0x20 || at[0] == 0x7f;
	if (letter.len == 2)
		return (at[0] == 0xc2 && at[1] < 0xa0) || (at[0] == 0xd8 && at[1] == 0x9c);
	if (letter.len != 3 || at[0] != 0xe2)
		return false;
	return (at[1] == 0x80 &&
		       (at[2] == 0x8e || at[2] == 0x8f || (at[2] >= 0xaa && at[2] <= 0xae))) ||
	       (at[1] == 0x81 && at[2] >= 0xa6 && at[2] <= 0xa9);
}

void terminal_letter(struct text *rest, FILE *out)
{
	struct text letter = { rest->at, letter_len(*rest) };

	if (is_hidden(letter))
		putc('?', out);
	else
		fwrite(letter.at, 1, letter.len, out);
	*rest = text_from(*rest, letter.len);
}

void terminal_put(struct text text, FILE *out)
{
	while (text.len)
		terminal_letter(&text, out);
}
