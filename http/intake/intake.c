#include "http/intake/intake_own.h"

/* ---- parts */

static enum err refuse(struct intake *intake, const char *why)
{
	intake->why = why;
	return ERR_VALUE;
}

/* Fields that a file may fill: curl -F text=@letter.txt. */
static bool is_text_field(struct text name)
{
	static const char *const names[] = { "message", "text", "html", "subject", "metadata",
		"headers", "calendar", "template", "envelope", "list_unsubscribe", "dsn" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (text_equal(name, text_of(names[i])))
			return true;
	return false;
}

/* attachment, attachments, attachment[], attachments[]: as each framework has it. */
static bool is_named(struct text name, struct text wanted)
{
	struct text rest = text_from(name, wanted.len);

	if (text_starts(rest, TEXT("s")))
		rest = text_from(rest, 1);
	return text_starts(name, wanted) && (!rest.len || text_equal(rest, TEXT("[]")));
}

static bool is_plain_encoding(struct text encoding)
{
	return !encoding.len || text_equal_nocase(encoding, TEXT("7bit")) ||
	       text_equal_nocase(encoding, TEXT("8bit")) ||
	       text_equal_nocase(encoding, TEXT("binary"));
}

/* attachments=[…] with a type, as Python's requests, Java and .NET write a field of JSON. */
static bool is_json_list(const struct form_part *part)
{
	struct text type = part->content_type;

	return text_equal(part->name, TEXT("attachments")) && !part->is_file &&
	       text_equal_nocase(text_trim(text_cut(&type, ';')), TEXT("application/json"));
}

/* The name as a Content-ID. What none may hold is a _, one for each character: not its %20, as a
 * reader that undoes the quoting in cid:my%20logo.png (RFC 2392 section 2) looks for a blank. */
static struct text id_of(struct region *region, struct text name)
{
	struct text id = region_copy(region, name);
	char *to = (char *)id.at;

	id.len = 0;
	for (size_t i = 0; to && i < name.len && id.len < CONTENT_ID_BYTES; i++)
		if (((unsigned char)name.at[i] & 0xc0) != 0x80) /* none inside of a character */
			to[id.len++] = is_content_id_byte(name.at[i]) ? name.at[i] : '_';
	return id;
}

/* Is the last file's id, which was made of its name, another's? */
static bool is_id_taken(const struct intake *intake)
{
	const struct file *last = &intake->files[intake->file_count - 1];

	for (const struct file *file = intake->files; file < last; file++)
		if (text_equal(file->content_id, last->content_id))
			return !text_equal(last->content_id, last->filename);
	return false;
}

/* An inline part is named by its Content-ID, else by its file's name. */
static enum err begin_file(struct intake *intake, const struct form_part *part)
{
	struct file *file;

	if (intake->file_count == FILES_MAX)
		return refuse(intake, "attachments: at most 100 are taken");
	file = &intake->files[intake->file_count++];
	file->part = (struct spool_part){ .spool = &intake->spool, .at = intake->spool.len };
	file->is_inline = is_named(part->name, TEXT("inline"));
	file->filename = region_copy(intake->region, part->filename);
	file->content_type = region_copy(intake->region, part->content_type);
	file->content_id = part->content_id.len || !file->is_inline
				   ? region_copy(intake->region, part->content_id)
				   : id_of(intake->region, part->filename);
	intake->file = file;
	if (!part->content_id.len && file->content_id.len && is_id_taken(intake))
		return refuse(intake, "two files have one name in cid: give them a Content-ID");
	return file->filename.at && file->content_type.at && file->content_id.at ? OK : ERR_MEMORY;
}

static enum err begin_part(void *self, const struct form_part *part)
{
	struct intake *intake = self;
	bool is_for_files =
		is_named(part->name, TEXT("attachment")) || is_named(part->name, TEXT("inline"));

	intake->where = region_copy(intake->region, part->name);
	if (!is_plain_encoding(part->transfer_encoding))
		return refuse(intake, "a part comes as it is, without a transfer encoding");
	if (is_for_files && (part->is_file || part->content_type.len) && !is_json_list(part))
		return begin_file(intake, part);
	if (is_for_files && !text_equal(part->name, TEXT("attachments"))) /* these may be JSON */
		return refuse(intake, "a file is wanted, as in attachment=@report.pdf");
	if (part->is_file && !is_text_field(part->name))
		return refuse(intake, "files go in the fields attachment and inline");
	intake->file = NULL;
	buf_clear(&intake->value);
	return intake->where.at ? OK : ERR_MEMORY;
}

static enum err take_content(void *self, struct text piece)
{
	struct intake *intake = self;

	if (intake->file)
		return spool_add(&intake->spool, piece);
	buf_add(&intake->value, piece);
	return intake->value.err;
}

static enum err end_part(void *self)
{
	struct intake *intake = self;
	struct file *file = intake->file;
	struct entry entry = { .name = intake->where };

	if (file) { /* a browser sends the field of a file that was not chosen empty */
		file->part.len = intake->spool.len - file->part.at;
		if (!file->filename.len && !file->part.len)
			intake->file_count--;
		return OK;
	}
	if (intake->value.len > FIELD_COPIED) {
		entry.held = intake->value;
		entry.value = buf_text(&entry.held);
		intake->value = buf_born(intake->value.limit);
	} else {
		entry.value = region_copy(intake->region, buf_text(&intake->value));
	}
	if (!entry.value.at)
		return ERR_MEMORY;
	intake->field_bytes += entry.held.room ? entry.held.room : entry.value.len;
	buf_add(&intake->fields, (struct text){ (const char *)&entry, sizeof(entry) });
	if (intake->fields.err)
		buf_free(&entry.held);
	return intake->fields.err == ERR_LIMIT ? refuse(intake, "there are too many fields")
					       : intake->fields.err;
}

/* ---- the interface */

bool intake_fits(struct text content_type)
{
	return text_equal_nocase(
		text_trim(text_cut(&content_type, ';')), TEXT("multipart/form-data"));
}

struct intake *intake_open(struct text content_type, size_t most, struct region *region)
{
	struct intake *intake = region_zalloc(region, 1, sizeof(*intake));
	struct form_reader calls = { begin_part, take_content, end_part, intake };
	struct text boundary;

	if (!intake)
		return NULL;
	intake->region = region;
	spool_open(&intake->spool);
	intake->fields = buf_born(FIELDS_MAX * sizeof(struct entry));
	intake->value = buf_born(most);
	intake->json = buf_born(most * 2);
	intake->err = form_boundary(content_type, &boundary, &intake->why);
	if (!intake->err)
		form_begin(&intake->form, boundary, FORM_PARTS, &calls);
	return intake;
}

void intake_close(struct intake *intake)
{
	if (!intake)
		return;
	spool_close(&intake->spool);
	for (size_t i = 0; i < entry_count(intake); i++)
		buf_free(&entries_of(intake)[i].held);
	buf_free(&intake->fields);
	buf_free(&intake->value);
	buf_free(&intake->json);
}

/* Of what went wrong nothing is kept: the rest of it may take long to arrive. */
void intake_feed(struct intake *intake, struct text piece)
{
	if (intake->err)
		return;
	intake->err = form_feed(&intake->form, piece);
	if (intake->err)
		spool_close(&intake->spool);
}

size_t intake_held(const struct intake *intake)
{
	return spool_held(&intake->spool) + intake->fields.room + intake->value.room +
	       intake->field_bytes + intake->json.room;
}

enum err intake_end(
	struct intake *intake, struct intake_whole *whole_out, struct complaints *complaints)
{
	struct json_at at = { NULL, intake->where, 0 };

	if (!intake->err)
		intake->err = form_end(&intake->form); /* which may end the last field */
	buf_free(&intake->value);
	if (intake->err == ERR_IO || intake->err == ERR_MEMORY)
		return intake->err;
	if (intake->err) {
		complain(complaints, intake->where.len ? &at : NULL, "%s",
			intake->why        ? intake->why
			: intake->form.why ? intake->form.why
					   : "the form is larger than is taken");
		return intake->err;
	}
	intake_write_json(intake, complaints);
	if (intake->json.err)
		return intake->json.err;
	*whole_out = (struct intake_whole){ intake->json.at, intake->json.len, intake->outside,
		intake->outside_count,
		{ .files = intake->contents, .file_count = intake->file_count } };
	return complaints->count ? ERR_VALUE : OK;
}
