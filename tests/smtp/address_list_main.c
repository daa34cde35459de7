/* address_list_read: reads address lists, for tests that compare with parsers that are not ours
 *
 * One list a line, in hexadecimal. Answers each with a line: "-" and why it is refused, or "+" and
 * NAME:ADDRESS of every mailbox, in hexadecimal too. */
#include "smtp/address/address_list.h"

#include <stdio.h>
#include <stdlib.h>

enum { LIST_MAX = 1 << 16 };

static size_t from_hex(const char *line, char *out)
{
	size_t len = 0;

	while (byte_hex(line[2 * len]) >= 0 && byte_hex(line[2 * len + 1]) >= 0) {
		out[len] = (char)(byte_hex(line[2 * len]) * 16 + byte_hex(line[2 * len + 1]));
		len++;
	}
	return len;
}

static void print_hex(const char *before, struct text text)
{
	fputs(before, stdout);
	for (size_t i = 0; i < text.len; i++)
		printf("%02x", (unsigned char)text.at[i]);
}

static void answer(struct text value)
{
	struct smtp_list_fault fault = { 0 };
	struct smtp_mailboxes list = { 0 };
	struct region *region;

	if (region_open(1 << 24, &region))
		exit(1);
	if (smtp_address_list_parse(value, SMTP_COMMENTS_SKIPPED, 1000, region, &list, &fault))
		printf("- address %zu: %s", fault.place, fault.why ? fault.why : "out of memory");
	else
		putchar('+');
	for (size_t i = 0; i < list.count; i++) {
		print_hex(" ", list.at[i].name);
		print_hex(":", list.at[i].address);
	}
	putchar('\n');
	region_close(region);
}

int main(void)
{
	static char line[2 * LIST_MAX + 2], value[LIST_MAX];

	while (fgets(line, sizeof(line), stdin))
		answer((struct text){ value, from_hex(line, value) });
	return ferror(stdin) || fflush(stdout) ? 1 : 0;
}
