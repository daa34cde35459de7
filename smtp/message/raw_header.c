/* raw_header - the header block of a raw message: which fields, from where to where */
#include "smtp/message/raw_part.h"

struct walk {
	struct text message;
	size_t at;   /* bytes taken */
	size_t line; /* the one that comes next, from 1 */
	struct smtp_raw_fault *fault;
};

static const struct known {
	struct text name;
	enum smtp_raw_kind kind;
	bool left_out;
} known[] = {
	{ TEXT("From"), SMTP_RAW_FROM, false },
	{ TEXT("Sender"), SMTP_RAW_SENDER, false },
	{ TEXT("Reply-To"), SMTP_RAW_REPLY_TO, false },
	{ TEXT("To"), SMTP_RAW_TO, false },
	{ TEXT("Cc"), SMTP_RAW_CC, false },
	{ TEXT("Bcc"), SMTP_RAW_BCC, true },
	{ TEXT("Subject"), SMTP_RAW_SUBJECT, false },
	{ TEXT("Date"), SMTP_RAW_DATE, false },
	{ TEXT("Message-ID"), SMTP_RAW_MESSAGE_ID, false },
	{ TEXT("In-Reply-To"), SMTP_RAW_IN_REPLY_TO, false },
	{ TEXT("References"), SMTP_RAW_REFERENCES, false },
	{ TEXT("MIME-Version"), SMTP_RAW_MIME_VERSION, false },
	{ TEXT("Content-Type"), SMTP_RAW_CONTENT_TYPE, false },
	{ TEXT("Content-Transfer-Encoding"), SMTP_RAW_CONTENT_ENCODING, false },
	{ TEXT("Return-Path"), SMTP_RAW_RETURN_PATH, true },
	{ TEXT("Resent-From"), SMTP_RAW_RESENT_FROM, false },
	{ TEXT("Resent-Sender"), SMTP_RAW_RESENT_SENDER, false },
	{ TEXT("Resent-To"), SMTP_RAW_RESENT_TO, false },
	{ TEXT("Resent-Cc"), SMTP_RAW_RESENT_CC, false },
	{ TEXT("Resent-Bcc"), SMTP_RAW_RESENT_BCC, true },
	{ TEXT("Resent-Date"), SMTP_RAW_RESENT_DATE, false },
	{ TEXT("Resent-Message-ID"), SMTP_RAW_RESENT_MESSAGE_ID, false },
};

/* `field` NULL: it has no name yet. */
static enum err refuse(struct walk *walk, enum err err, size_t line,
	const struct smtp_raw_field *field, const char *why)
{
	*walk->fault = (struct smtp_raw_fault){ .line = line, .why = why };
	if (field)
		walk->fault->field = field->name;
	return err;
}

/* The line that starts at `at`, with its end. */
static struct text line_at(struct text message, size_t at)
{
	struct text left = text_from(message, at);

	return text_head(left, text_find(left, '\n') + 1);
}

static bool is_empty(struct text line)
{
	return text_equal(line, TEXT("\n")) || text_equal(line, TEXT("\r\n"));
}

static struct text without_end(struct text lines)
{
	if (lines.len && lines.at[lines.len - 1] == '\n')
		lines.len--;
	if (lines.len && lines.at[lines.len - 1] == '\r')
		lines.len--;
	return lines;
}

/* ftext: printable ASCII but the colon (RFC 5322 2.2) */
static size_t name_len(struct text line)
{
	size_t len = 0;

	while (len < line.len && line.at[len] > ' ' && line.at[len] < 0x7f && line.at[len] != ':')
		len++;
	return len;
}

/* Why a line that should begin a field does not; NULL: it does. */
static const char *wrong_start(struct text line)
{
	struct text behind = text_from(line, name_len(line));

	if (behind.len < line.len && text_starts(behind, TEXT(":")))
		return NULL;
	if (behind.len < line.len && text_starts(text_trim(behind), TEXT(":")))
		return "there are blanks between the field's name and its colon";
	return "this is no header field; an empty line ends the header";
}

/* The same of the message's first line, where the usual mistakes have words of their own. */
static const char *wrong_first(struct text message)
{
	struct text line = line_at(message, 0);

	if (message.len == 0)
		return "the message is empty";
	if (is_empty(line))
		return "the message begins with an empty line: it has no header";
	if (byte_is_blank(line.at[0]))
		return "the message begins with a blank, not with a header field";
	if (text_starts(line, TEXT("\xef\xbb\xbf")))
		return "the message begins with a byte order mark";
	if (text_starts(line, TEXT("From ")) || text_starts(line, TEXT(">From ")))
		return "the message begins with the From line of an mbox file";
	if (wrong_start(line))
		return "the message does not begin with a header field";
	return NULL;
}

/* Its length up to the empty line, and how many fields begin in it. */
static enum err measure(struct walk *walk, size_t *len_out, size_t *fields_out)
{
	size_t at = 0, fields = 0, lines = 0;
	struct text line;

	while (at < walk->message.len && !is_empty(line = line_at(walk->message, at))) {
		lines++;
		fields += !byte_is_blank(line.at[0]);
		at += line.len;
		if (fields > SMTP_RAW_FIELDS)
			return refuse(
				walk, ERR_LIMIT, lines, NULL, "the header has over 1000 fields");
		if (at > SMTP_RAW_HEADER_BYTES)
			return refuse(walk, ERR_LIMIT, lines, NULL, "the header is over 1 MB");
	}
	*len_out = at;
	*fields_out = fields;
	return OK;
}

static void set_kind(struct smtp_raw_field *field)
{
	if (text_starts_nocase(field->name, TEXT("Resent-")))
		field->kind = SMTP_RAW_RESENT_OTHER;
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (text_equal_nocase(field->name, known[i].name)) {
			field->kind = known[i].kind;
			field->left_out = known[i].left_out;
		}
}

/* The first line and those that begin with a blank (RFC 5322 2.2.3). */
static struct text field_lines(const struct walk *walk)
{
	size_t end = walk->at;

	do
		end += line_at(walk->message, end).len;
	while (end < walk->message.len && byte_is_blank(walk->message.at[end]));
	return text_head(text_from(walk->message, walk->at), end - walk->at);
}

/* A field that is left out may have lines as long as it likes. */
static enum err check_field(
	struct walk *walk, struct smtp_raw_field *field, const struct smtp_raw_scan *scan)
{
	if (field->left_out)
		return OK;
	if (scan->long_line)
		return refuse(walk, ERR_LIMIT, walk->line + scan->long_line - 1, field,
			"the line is over 998 bytes");
	if (!text_is_utf8(field->whole))
		return refuse(walk, ERR_VALUE, walk->line, field,
			"it holds bytes that are neither ASCII nor UTF-8");
	return OK;
}

static enum err read_field(
	struct walk *walk, struct smtp_raw_field *field_out, struct smtp_raw_scan *scan_out)
{
	struct smtp_raw_field field = { .whole = field_lines(walk), .line = walk->line };
	const char *why;
	enum err err = smtp_raw_scan(field.whole, scan_out, &why);

	if (err)
		return refuse(walk, err, walk->line + scan_out->lines, NULL, why);
	why = wrong_start(field.whole);
	if (why)
		return refuse(walk, ERR_SYNTAX, walk->line, NULL, why);
	field.name = text_head(field.whole, name_len(field.whole));
	field.value = without_end(text_from(field.whole, field.name.len + 1));
	field.size = field.whole.len + scan_out->bare;
	set_kind(&field);
	err = check_field(walk, &field, scan_out);
	if (!err)
		*field_out = field;
	return err;
}

/* Fills in as many fields as were counted. */
static enum err read_fields(struct walk *walk, struct smtp_raw_field *fields, struct smtp_raw *raw)
{
	enum err err = OK;

	for (size_t i = 0; !err && i < raw->field_count; i++) {
		struct smtp_raw_scan scan;

		err = read_field(walk, &fields[i], &scan);
		if (err)
			break;
		walk->at += fields[i].whole.len;
		walk->line += scan.lines;
		raw->lines += scan.lines;
		if (fields[i].left_out)
			continue;
		if (scan.longest > raw->longest_line)
			raw->longest_line = scan.longest;
		raw->header_eight_bit |= !text_is_ascii(fields[i].whole);
	}
	return err;
}

/* A resending puts its fields together at the top (RFC 5322 3.6.6): the first run of Resent- fields
 * counts, those below are history. What is left out parts no run: nobody who gets the message would
 * see it so. */
static void mark_older(struct smtp_raw_field *fields, size_t count)
{
	size_t i = 0;

	while (i < count && !smtp_raw_is_resent(&fields[i]))
		i++;
	while (i < count && (smtp_raw_is_resent(&fields[i]) || fields[i].left_out))
		i++;
	for (; i < count; i++)
		fields[i].older = smtp_raw_is_resent(&fields[i]);
}

enum err smtp_raw_header_read(struct text message, struct region *region, struct smtp_raw *raw,
	size_t *len_out, struct smtp_raw_fault *fault_out)
{
	struct walk walk = { .message = message, .line = 1, .fault = fault_out };
	const char *why = wrong_first(message);
	struct smtp_raw_field *fields;
	size_t len;
	enum err err;

	if (why)
		return refuse(&walk, ERR_SYNTAX, message.len ? 1 : 0, NULL, why);
	err = measure(&walk, &len, &raw->field_count);
	if (err)
		return err;
	fields = region_zalloc(region, raw->field_count, sizeof(*fields));
	if (!fields)
		return ERR_MEMORY;
	walk.message = text_head(message, len);
	raw->fields = fields;
	err = read_fields(&walk, fields, raw);
	if (err)
		return err;
	mark_older(fields, raw->field_count);
	*len_out = len;
	return OK;
}
