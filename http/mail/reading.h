/* reading - how the fields of a message in JSON are read (for mail*.c)
 *
 * A reader takes a value and its place, and complains with a JSON pointer where it is not what it
 * should be. A table of fields decides which reader takes which member; every other is unknown. */
#pragma once

#include "http/mail/mail.h"
#include "smtp/message/hidden.h"

#include <cjson/cJSON.h>

enum { RECIPIENTS_MAX = 1000, HEADERS_MAX = 100, ATTACHMENTS_MAX = 100, LINE_BYTES = 998 };

struct template_wish;

struct reading {
	const struct json *json;
	struct region *region;
	struct complaints *complaints;
	struct posted *posted;
	const struct mail_besides *besides; /* NULL: nothing */
	struct smtp_mailboxes bcc;
	struct template_wish *template; /* NULL: none */
	bool text_off, has_from, has_envelope_from, has_envelope_to;
	struct smtp_header *headers; /* HEADERS_MAX of them; NULL: none yet */
	struct smtp_attachment *attachment;
	const struct smtp_content *file; /* its content, which the object has not; NULL: none */
	struct text url_type;            /* of its data: URL; empty: none */
	struct list_unsubscribe {
		struct text url, mailto;
		bool one_click;
	} list;
};

typedef void reader(struct reading *reading, const cJSON *value, const struct json_at *at);

struct field {
	const char *name;
	reader *read;
};

/* Calls each member's reader. What is unknown is complained about, with the name that was probably
 * meant. */
void read_object(struct reading *reading, const cJSON *value, const struct json_at *at,
	const struct field *fields, size_t count);

/* That the region has no room, by ERR_LIMIT or ERR_MEMORY; this is then the problem as a whole. */
void complain_of_room(struct reading *reading, const struct json_at *at, enum err err);
/* Memory in the region, all bytes 0; NULL was complained about. */
void *reading_room(
	struct reading *reading, const struct json_at *at, size_t count, size_t bytes_each);
/* A copy in the region of what was written. False: that, or the writing, had no memory, which was
 * complained about. */
bool reading_keep(struct reading *reading, const struct json_at *at, const struct buf *written,
	struct text *copy_out);

bool read_text(struct reading *reading, const cJSON *value, const struct json_at *at,
	struct text *text_out);
/* A string that will stand in a header or on a line of its own: no control, at most `most` bytes.
 */
bool read_line_of(struct reading *reading, const cJSON *value, const struct json_at *at,
	size_t most, struct text *text_out);
/* The same of at most LINE_BYTES. */
bool read_line(struct reading *reading, const cJSON *value, const struct json_at *at,
	struct text *text_out);
/* Text of many lines: CR, LF and TAB, and no other control. */
bool read_lines(struct reading *reading, const cJSON *value, const struct json_at *at,
	struct text *text_out);
bool read_bool(
	struct reading *reading, const cJSON *value, const struct json_at *at, bool *bool_out);
/* One of some words (NULL behind the last), by its place. */
bool read_word(struct reading *reading, const cJSON *value, const struct json_at *at,
	const char *const *words, size_t *word_out);
/* An RFC 3339 time. */
bool read_time(struct reading *reading, const cJSON *value, const struct json_at *at,
	int64_t *seconds_out);

/* mail_address.c */
reader read_from, read_envelope;
void read_mailbox(struct reading *reading, const cJSON *value, const struct json_at *at,
	struct smtp_mailbox *mailbox);
void read_name(
	struct reading *reading, const cJSON *value, const struct json_at *at, struct text *name);
/* mail_recipients.c */
reader read_to, read_cc, read_bcc, read_reply_to;
/* Out of what was read: the envelope, whole. */
void fill_envelope(struct reading *reading, const struct json_at *at);
/* What holds for every envelope, whatever it was made of. */
void finish_envelope(struct reading *reading, const struct json_at *at);
/* mail_raw.c */
reader read_raw;
/* The message itself, unencoded. */
void take_raw(struct reading *reading, struct text message, const struct json_at *at);
void fill_raw_envelope(struct reading *reading, const struct json_at *at);
/* mail_bytes.c */
/* Base64, which goes out wrapped anew, a data: URL of it, or a Buffer, which is bytes. The URL's
 * type goes to *type_out, as it stands; else that is let be. */
bool read_bytes(struct reading *reading, const cJSON *value, const struct json_at *at,
	struct smtp_content *content_out, struct text *type_out);
/* What read_bytes gave as bytes. Base64 is decoded where it lies: the body is ours to change, and
 * nobody reads it again. */
void unwrap_bytes(struct smtp_content *content);
/* mail_calendar.c */
reader read_calendar;
/* mail_header.c */
reader read_headers, read_message_id, read_in_reply_to, read_references, read_date, read_priority;
void keep_header(
	struct reading *reading, const struct json_at *at, struct text name, struct text value);
/* mail_list.c */
reader read_list_unsubscribe;
/* mail_attachment.c */
enum { CONTENT_ID_BYTES = 200 };
reader read_attachments;
/* May it stand in a Content-ID? */
bool is_content_id_byte(char byte);
/* mail_template.c */
reader read_template;
/* Renders the template that the message wants into the fields that it leaves to it. False: it was
 * complained about. */
bool fill_template(struct reading *reading, const struct json_at *at);
/* mail_wish.c */
reader read_dsn, read_relay, read_tags, read_metadata, read_delivery, read_partial, read_deadline,
	read_trace, read_send_at, read_on_unknown, read_dry_run;
