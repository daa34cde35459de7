#include "http/near.h"

enum { LONGEST = 32 };

/* Letters in lower case, without '_' and '-'. */
static size_t fold(struct text name, char out[LONGEST])
{
	size_t len = 0;

	for (size_t i = 0; i < name.len && len < LONGEST; i++)
		if (name.at[i] != '_' && name.at[i] != '-')
			out[len++] = byte_lower(name.at[i]);
	return len;
}

static unsigned least(unsigned a, unsigned b, unsigned c)
{
	unsigned ab = a < b ? a : b;

	return ab < c ? ab : c;
}

/* Optimal string alignment: insertions, deletions, changes, and neighbours that swapped places. */
static unsigned distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
	unsigned rows[3][LONGEST + 1] = { 0 };
	unsigned *before = rows[0], *last = rows[1], *row = rows[2];

	for (size_t j = 0; j <= b_len; j++)
		last[j] = (unsigned)j;
	for (size_t i = 1; i <= a_len; i++) {
		unsigned *spare = before;

		row[0] = (unsigned)i;
		for (size_t j = 1; j <= b_len; j++) {
			row[j] = least(
				last[j] + 1, row[j - 1] + 1, last[j - 1] + (a[i - 1] != b[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
				before[j - 2] + 1 < row[j])
				row[j] = before[j - 2] + 1;
		}
		before = last;
		last = row;
		row = spare;
	}
	return last[b_len];
}

size_t near_name(struct text given, size_t count,
	struct text (*name_at)(const void *context, size_t index), const void *context)
{
	char a[LONGEST], b[LONGEST];
	size_t a_len = fold(given, a), best = count;
	unsigned least_yet = a_len < 4 ? 1 : a_len < 7 ? 2 : 3; /* must be under this */

	if (given.len > LONGEST)
		return count;
	for (size_t i = 0; i < count; i++) {
		size_t b_len = fold(name_at(context, i), b);
		unsigned far = distance(a, a_len, b, b_len);

		if (far < least_yet) {
			least_yet = far;
			best = i;
		}
	}
	return best;
}
