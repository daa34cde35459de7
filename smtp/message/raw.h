/* raw - a whole message that somebody else composed (RFC 5322), checked and ready to be sent
 *
 * Nothing is copied and nothing re-encoded: `pieces` are what goes on the wire, an LF alone as
 * CRLF. Refused is what a relay or a filter could read otherwise than we do: NUL, a CR alone, lines
 * over 998 bytes, a header that is none, a field that stands twice and may stand once. Bcc and
 * Resent-Bcc are left out, and Return-Path, which the last relay writes (RFC 5321 4.4). */
#pragma once

#include "smtp/message/mail.h"

struct buf;
struct smtp_message;

enum {
	SMTP_RAW_LINE = 998,                 /* bytes of a line without its end (RFC 5322 2.1.1) */
	SMTP_RAW_FIELDS = 1000,              /* header fields */
	SMTP_RAW_HEADER_BYTES = 1024 * 1024, /* all of them together */
	SMTP_RAW_RECIPIENTS = 1000,
	SMTP_RAW_SENDERS = 100,
};

/* What is wrong, and where. `field` is borrowed from the message. */
struct smtp_raw_fault {
	size_t line;       /* from 1; 0: the message as a whole */
	struct text field; /* its name as it stands; empty: none, or none that can be named */
	size_t place;      /* at which of its addresses, from 1; 0: none */
	const char *why;   /* a phrase; NULL: out of memory */
};

/* The fields that mean something to us. */
enum smtp_raw_kind {
	SMTP_RAW_OTHER,
	SMTP_RAW_FROM,
	SMTP_RAW_SENDER,
	SMTP_RAW_REPLY_TO,
	SMTP_RAW_TO,
	SMTP_RAW_CC,
	SMTP_RAW_BCC,
	SMTP_RAW_SUBJECT,
	SMTP_RAW_DATE,
	SMTP_RAW_MESSAGE_ID,
	SMTP_RAW_IN_REPLY_TO,
	SMTP_RAW_REFERENCES,
	SMTP_RAW_MIME_VERSION,
	SMTP_RAW_CONTENT_TYPE,
	SMTP_RAW_CONTENT_ENCODING, /* Content-Transfer-Encoding */
	SMTP_RAW_RETURN_PATH,
	SMTP_RAW_RESENT_FROM,
	SMTP_RAW_RESENT_SENDER,
	SMTP_RAW_RESENT_TO,
	SMTP_RAW_RESENT_CC,
	SMTP_RAW_RESENT_BCC,
	SMTP_RAW_RESENT_DATE,
	SMTP_RAW_RESENT_MESSAGE_ID,
	SMTP_RAW_RESENT_OTHER,
	SMTP_RAW_KINDS
};

struct smtp_raw_field {
	enum smtp_raw_kind kind;
	struct text name;  /* as it stands */
	struct text value; /* behind the colon, folds and all, without the last line end */
	struct text whole; /* all its lines, with their ends */
	uint64_t size;     /* `whole` on the wire */
	size_t line;       /* its first, from 1 */
	bool left_out;     /* in no piece */
	bool older;        /* of a Resent- block below the topmost one: an earlier resending */
};

/* A run of whole lines. Where size is bytes.len, they are wire bytes already. */
struct smtp_raw_piece {
	struct text bytes;
	uint64_t size; /* on the wire, where each line ends in CRLF, also a last one that has no end
			*/
};

/* Who is said to have sent it, and by which field. */
struct smtp_raw_sender {
	const struct smtp_raw_field *field;
	struct text address; /* as smtp_address_parse gives it */
};

struct smtp_raw {
	const struct smtp_raw_piece *pieces; /* in order, at least one */
	size_t piece_count;
	uint64_t size;         /* of all pieces on the wire, before dot-stuffing */
	size_t lines;          /* of the message as it was given */
	size_t longest_line;   /* of what is sent: bytes, without its end */
	bool lacks_end;        /* the last line sent has no end of its own */
	bool header_eight_bit; /* SMTPUTF8 (RFC 6532); always UTF-8 */
	bool body_eight_bit;   /* 8BITMIME (RFC 6152) */
	const struct smtp_raw_field *fields;
	size_t field_count;
	bool is_resent;                /* the topmost Resent- block says from whom and to whom */
	bool has_date, has_message_id; /* else to be put before the first piece */
	struct text message_id;        /* with <>; empty: none, or none of that form */
	/* Every address of From, Sender, Resent-From and Resent-Sender, in order: what a key may
	 * send as is asked of each. */
	const struct smtp_raw_sender *senders;
	size_t sender_count;
	struct text envelope_from; /* unless another is given: of Sender, else of From, the first;
				      of Resent-Sender, else of Resent-From, where it is resent */
};

/* Reads `message`, which is borrowed by all that comes out; lists are in `region`. ERR_SYNTAX,
 * ERR_VALUE or ERR_LIMIT with *fault_out; ERR_MEMORY. Recipients are not looked at. */
MUST_USE enum err smtp_raw_read(struct text message, struct region *region,
	struct smtp_raw *raw_out, struct smtp_raw_fault *fault_out);

/* Where no recipients are given: those of To, Cc and Bcc, or of the topmost Resent- block, in order
 * of appearance, each once, 1 to SMTP_RAW_RECIPIENTS of them. Errors as above. */
MUST_USE enum err smtp_raw_recipients(const struct smtp_raw *raw, struct region *region,
	struct text **to_out, size_t *count_out, struct smtp_raw_fault *fault_out);

/* The message as it goes out: `message_id` (with <>) and the date, in seconds since 1970, are put
 * in front where it has none. Borrows its bytes. ERR_MEMORY. */
MUST_USE enum err smtp_raw_compose(const struct smtp_raw *raw, struct text message_id,
	int64_t date_s, struct region *region, struct smtp_message *message_out);

/* The fault as a phrase: "line 4, field To, address 2: the domain is missing". Long names are
 * cut; all of it is printable ASCII. */
void smtp_raw_fault_write(const struct smtp_raw_fault *fault, struct buf *out);
