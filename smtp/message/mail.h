/* mail - a message as its sender describes it, and the envelope it travels in
 *
 * Plain values; every text is borrowed from the request's region or body. */
#pragma once

#include "smtp/address/address.h"
#include "smtp/message/content.h"

enum smtp_notify {
	SMTP_NOTIFY_NEVER = 1,
	SMTP_NOTIFY_SUCCESS = 2,
	SMTP_NOTIFY_FAILURE = 4,
	SMTP_NOTIFY_DELAY = 8
};
enum smtp_return { SMTP_RETURN_UNSAID, SMTP_RETURN_HEADERS, SMTP_RETURN_FULL };

struct smtp_envelope {
	struct text from; /* empty: the null sender */
	struct text *to;
	size_t count;
	bool needs_utf8; /* some address is not ASCII: MAIL with SMTPUTF8 (RFC 6531) */
	unsigned notify; /* of enum smtp_notify; 0: unsaid (RFC 3461) */
	enum smtp_return ret;
	struct text envelope_id; /* ENVID, as given, unencoded; empty: none */
};

/* Some of a list's mailboxes under one name (RFC 5322 3.4). */
struct smtp_group {
	struct text name;    /* UTF-8, unquoted */
	size_t first, count; /* its members among the list's mailboxes; count 0: it has none */
};

struct smtp_mailboxes {
	const struct smtp_mailbox *at; /* all of them, in groups or not */
	size_t count;
	const struct smtp_group *groups; /* in the order of `first` */
	size_t group_count;
};

struct smtp_header {
	struct text name, value; /* value: UTF-8, one line */
};

struct smtp_attachment {
	struct text filename;     /* UTF-8; empty: none */
	struct text content_type; /* "type/subtype[; parameters]"; empty: by the filename's ending,
				     else application/octet-stream */
	struct text content_id;   /* without <>; empty: none */
	bool is_inline;
	struct smtp_content
		content; /* to go out as base64; referenced, never copied. Where
			    smtp_type_needs_lines, SMTP_BASE64: a message, or a report
			    about one, goes as it is, else it is application/octet-stream */
};

/* Is it a type that base64 is not allowed for: message/rfc822 and its like? */
bool smtp_type_needs_lines(struct text content_type);

/* An invitation: a third alternative beside text and html, and a file for those who read neither.
 */
struct smtp_calendar {
	struct text method;  /* a word of RFC 5546: "REQUEST" */
	struct text content; /* RFC 5545, line ends of any kind; empty: none */
};

struct smtp_mail {
	struct smtp_mailbox from;
	struct smtp_mailboxes to, cc, reply_to; /* bcc is only in the envelope */
	struct text subject;
	struct text text, html; /* UTF-8; line ends of any kind */
	bool has_text, has_html;
	struct smtp_calendar calendar;
	const struct smtp_attachment *attachments;
	size_t attachment_count;
	const struct smtp_header *headers;
	size_t header_count;
	struct text message_id; /* with <> */
	int64_t date_s;         /* seconds since 1970, written in UTC (+0000) */
};
