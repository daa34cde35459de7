/* raw - what the header as a whole must be, and the pieces that go on the wire */
#include "smtp/buf.h"
#include "smtp/message/raw_part.h"

enum { NAME_SHOWN = 64 };

static enum err refuse(
	struct smtp_raw_fault *fault, const struct smtp_raw_field *field, const char *why)
{
	*fault = (struct smtp_raw_fault){ .why = why };
	if (field) {
		fault->line = field->line;
		fault->field = field->name;
	}
	return ERR_VALUE;
}

/* ---- the fields together */

/* Those that RFC 5322 3.6 and RFC 2045 let stand once; two are read differently by different
 * programs. Resent- fields are single within their block. */
static bool is_single(const struct smtp_raw_field *field)
{
	return field->kind != SMTP_RAW_OTHER && field->kind != SMTP_RAW_RETURN_PATH &&
	       field->kind != SMTP_RAW_RESENT_OTHER && !field->older;
}

static enum err check_singles(const struct smtp_raw *raw, const struct smtp_raw_field **firsts,
	struct smtp_raw_fault *fault)
{
	for (size_t i = 0; i < raw->field_count; i++) {
		const struct smtp_raw_field *field = &raw->fields[i];

		if (is_single(field) && firsts[field->kind])
			return refuse(fault, field,
				smtp_raw_is_resent(field)
					? "it may stand only once in a Resent- block"
					: "it may stand only once");
		if (!field->older && !firsts[field->kind])
			firsts[field->kind] = field;
	}
	return OK;
}

/* Each resending has its Resent-From. Without one, what looks like an older block is a part of the
 * first that other fields cut off: whom the message is for cannot be told. */
static enum err check_resent(const struct smtp_raw *raw, const struct smtp_raw_field **firsts,
	struct smtp_raw_fault *fault)
{
	const struct smtp_raw_field *first = NULL, *older = NULL;
	bool older_from = false;

	for (size_t i = 0; i < raw->field_count; i++) {
		const struct smtp_raw_field *field = &raw->fields[i];

		if (smtp_raw_is_resent(field) && !first)
			first = field;
		if (field->older && !older)
			older = field;
		older_from |= field->older && field->kind == SMTP_RAW_RESENT_FROM;
	}
	if (first && !firsts[SMTP_RAW_RESENT_FROM])
		return refuse(fault, first, "the Resent- block has no Resent-From");
	if (older && !older_from)
		return refuse(fault, older, "the Resent- fields do not stand together");
	return OK;
}

/* A Message-ID as RFC 5322 3.6.4 has it, or nothing. */
static struct text read_message_id(const struct smtp_raw_field *field)
{
	struct text id = field ? field->value : (struct text){ 0 };

	/* A fold before or behind it is nothing of its own. */
	while (id.len && (unsigned char)id.at[0] <= ' ')
		id = text_from(id, 1);
	while (id.len && (unsigned char)id.at[id.len - 1] <= ' ')
		id.len--;
	if (id.len < 3 || id.at[0] != '<' || text_find(id, '>') != id.len - 1 ||
		text_find(id, ' ') < id.len || text_has_control(id))
		return (struct text){ 0 };
	return id;
}

static enum err check_header(struct smtp_raw *raw, struct smtp_raw_fault *fault)
{
	const struct smtp_raw_field *firsts[SMTP_RAW_KINDS] = { NULL };
	enum err err = check_singles(raw, firsts, fault);

	if (!err)
		err = check_resent(raw, firsts, fault);
	if (!err && !firsts[SMTP_RAW_FROM])
		err = refuse(fault, NULL, "the header has no From");
	raw->is_resent = firsts[SMTP_RAW_RESENT_FROM] != NULL;
	raw->has_date = firsts[SMTP_RAW_DATE] != NULL;
	raw->has_message_id = firsts[SMTP_RAW_MESSAGE_ID] != NULL;
	raw->message_id = read_message_id(firsts[SMTP_RAW_MESSAGE_ID]);
	return err;
}

/* ---- what goes on the wire */

static enum err scan_body(
	struct text body, struct smtp_raw *raw, uint64_t *size_out, struct smtp_raw_fault *fault)
{
	struct smtp_raw_scan scan;
	const char *why;
	enum err err = smtp_raw_scan(body, &scan, &why);
	size_t line = scan.lines + 1;

	if (!err && scan.long_line) {
		err = ERR_LIMIT;
		why = "the line is over 998 bytes";
		line = scan.long_line;
	}
	if (err) {
		*fault = (struct smtp_raw_fault){ .line = raw->lines + line, .why = why };
		return err;
	}
	raw->lines += scan.lines;
	if (scan.longest > raw->longest_line)
		raw->longest_line = scan.longest;
	raw->body_eight_bit = !text_is_ascii(body);
	*size_out = body.len + scan.bare;
	return OK;
}

static size_t count_left_out(const struct smtp_raw *raw)
{
	size_t count = 0;

	for (size_t i = 0; i < raw->field_count; i++)
		count += raw->fields[i].left_out;
	return count;
}

static void add_piece(
	struct smtp_raw *raw, struct smtp_raw_piece *pieces, struct text bytes, uint64_t size)
{
	if (bytes.len)
		pieces[raw->piece_count++] = (struct smtp_raw_piece){ bytes, size };
	raw->size += size;
}

/* There is one: it has From. */
static void end_last_piece(struct smtp_raw *raw, struct smtp_raw_piece *last)
{
	raw->lacks_end = last->bytes.at[last->bytes.len - 1] != '\n';
	if (raw->lacks_end) {
		last->size += 2;
		raw->size += 2;
	}
}

/* The header in runs between the fields left out, and the body from its empty line on. */
static enum err cut_pieces(
	struct text body, uint64_t body_size, struct region *region, struct smtp_raw *raw)
{
	struct smtp_raw_piece *pieces =
		region_zalloc(region, count_left_out(raw) + 2, sizeof(*pieces));
	struct text run = { 0 };
	uint64_t size = 0;

	if (!pieces)
		return ERR_MEMORY;
	raw->pieces = pieces;
	for (size_t i = 0; i < raw->field_count; i++) {
		const struct smtp_raw_field *field = &raw->fields[i];

		if (field->left_out) {
			add_piece(raw, pieces, run, size);
			run = (struct text){ 0 };
			size = 0;
		} else {
			run = (struct text){ run.len ? run.at : field->whole.at,
				run.len + field->whole.len };
			size += field->size;
		}
	}
	add_piece(raw, pieces, run, size);
	add_piece(raw, pieces, body, body_size);
	end_last_piece(raw, &pieces[raw->piece_count - 1]);
	return OK;
}

enum err smtp_raw_read(struct text message, struct region *region, struct smtp_raw *raw_out,
	struct smtp_raw_fault *fault_out)
{
	struct smtp_raw raw = { 0 };
	size_t header_len = 0;
	uint64_t body_size = 0;
	struct text body;
	enum err err = smtp_raw_header_read(message, region, &raw, &header_len, fault_out);

	if (err)
		return err;
	err = check_header(&raw, fault_out);
	if (!err)
		err = smtp_raw_senders_read(region, &raw, fault_out);
	body = text_from(message, header_len);
	if (!err)
		err = scan_body(body, &raw, &body_size, fault_out);
	if (!err)
		err = cut_pieces(body, body_size, region, &raw);
	if (!err)
		*raw_out = raw;
	return err;
}

void smtp_raw_fault_write(const struct smtp_raw_fault *fault, struct buf *out)
{
	struct text name = text_head(fault->field, NAME_SHOWN);

	if (fault->line)
		buf_addf(out, "line %zu", fault->line);
	if (name.len)
		buf_addf(out, ", field %.*s%s", (int)name.len, name.at,
			name.len < fault->field.len ? "..." : "");
	if (fault->place)
		buf_addf(out, ", address %zu", fault->place);
	if (fault->line)
		buf_add(out, TEXT(": "));
	buf_add_string(out, fault->why ? fault->why : err_text(ERR_MEMORY));
}
