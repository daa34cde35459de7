/* mailboxes - lists of addresses as header fields (RFC 5322 3.4; of part.h) */
#include "smtp/message/encode.h"
#include "smtp/message/part.h"

#include <assert.h>
#include <string.h>

static void add_mailbox(struct buf *out, const struct smtp_mailbox *box, size_t column)
{
	if (!box->name.len) {
		buf_add(out, box->address);
		return;
	}
	column = smtp_phrase_add(out, box->name, column);
	buf_add_string(out, column + box->address.len + 3 > SMTP_MIME_LINE ? "\r\n <" : " <");
	buf_add(out, box->address);
	buf_add_byte(out, '>');
}

/* A blank stands behind an encoded word, whatever follows (RFC 2047 5). */
static size_t add_group_name(struct buf *out, struct text name, size_t column)
{
	bool is_word;

	column = smtp_phrase_add(out, name, column);
	if (column + sizeof(" :;,") - 1 > SMTP_MIME_LINE + 2) { /* 78: RFC 5322 2.1.1 */
		buf_add_string(out, "\r\n :");
		return 2;
	}
	is_word = !out->err && out->len && out->at[out->len - 1] == '=';
	buf_add_string(out, is_word ? " :" : ":");
	return column + (is_word ? 2 : 1);
}

/* The first member goes on the name's line where there is room for all of it. */
static void add_group(struct buf *out, struct smtp_mailboxes list, size_t place, size_t column)
{
	const struct smtp_group *group = &list.groups[place];

	column = add_group_name(out, group->name, column);
	for (size_t i = 0; i < group->count; i++) {
		const struct smtp_mailbox *box = &list.at[group->first + i];
		size_t most = box->name.len + box->address.len + sizeof(" \"\" <>;,") - 1;
		bool fits = i == 0 && column + most <= SMTP_MIME_LINE;

		buf_add_string(out, fits ? " " : i ? ",\r\n " : "\r\n ");
		add_mailbox(out, box, fits ? column + 1 : 1);
	}
	buf_add_byte(out, ';');
}

void smtp_mailboxes_add(struct buf *out, const char *name, struct smtp_mailboxes list)
{
	size_t column = strlen(name) + 2, box = 0, group = 0;

	if (list.count + list.group_count == 0)
		return;
	buf_add_string(out, name);
	buf_add(out, TEXT(": "));
	while (box < list.count || group < list.group_count) {
		if (box + group)
			buf_add(out, TEXT(",\r\n "));
		if (group < list.group_count && list.groups[group].first == box) {
			add_group(out, list, group, column);
			box += list.groups[group++].count;
		} else {
			assert(box < list.count);
			add_mailbox(out, &list.at[box++], column);
		}
		column = 1;
	}
	buf_add(out, TEXT("\r\n"));
}
