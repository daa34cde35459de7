#include "http/intake.h"

#include "http/form.h"
#include "http/reading.h"
#include "http/spool.h"

#include <string.h>

enum { FILES_MAX = ATTACHMENTS_MAX, FIELDS_MAX = FORM_PARTS };

struct entry {
	struct text name, value;
	bool is_told; /* it is in the JSON */
};

struct file {
	struct text filename, content_type, content_id;
	bool is_inline;
	struct spool_part part;
};

struct intake {
	struct form form;
	struct region *region;
	enum err err;       /* the first thing that went wrong: see intake_end */
	const char *why;    /* ERR_VALUE: in words */
	struct text where;  /* … and the part's name */
	struct buf fields;  /* entries */
	size_t field_bytes; /* of their values, which lie in the region */
	struct spool
		spool; /* of all files: one descriptor, and little memory for many small ones */
	struct file files[FILES_MAX];
	size_t file_count;
	struct file *file; /* whose part it is; NULL: a field's */
	struct buf value;  /* of the field whose part it is */
	struct buf json;
	struct smtp_content contents[FILES_MAX];
};

static struct entry *entries_of(const struct intake *intake)
{
	return (struct entry *)(void *)intake->fields.at;
}

static size_t entry_count(const struct intake *intake)
{
	return intake->fields.len / sizeof(struct entry);
}

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
	file->content_id = region_copy(intake->region,
		part->content_id.len || !file->is_inline ? part->content_id : part->filename);
	intake->file = file;
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
	if (is_for_files && (part->is_file || part->content_type.len))
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
	entry.value = region_copy(intake->region, buf_text(&intake->value));
	if (!entry.value.at)
		return ERR_MEMORY;
	intake->field_bytes += entry.value.len;
	buf_add(&intake->fields, (struct text){ (const char *)&entry, sizeof(entry) });
	return intake->fields.err == ERR_LIMIT ? refuse(intake, "there are too many fields")
					       : intake->fields.err;
}

/* ---- fields as JSON */

/* What is an object or a list in JSON is written as such in a field. */
static bool is_object_field(struct text name)
{
	static const char *const names[] = { "headers", "metadata", "dsn", "list_unsubscribe",
		"envelope", "template", "calendar", "attachments" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (text_equal(name, text_of(names[i])))
			return true;
	return false;
}

/* Does a copy of it parse? Else it is complained about where it stands, by its own place. */
static bool is_json(struct intake *intake, const struct entry *entry, struct complaints *complaints)
{
	struct text copy = region_copy(intake->region, entry->value);
	struct json_at at = { NULL, entry->name, 0 };
	struct json json = { 0 };

	if (copy.at && !json_parse((char *)copy.at, copy.len, intake->region, &json))
		return true;
	complain(complaints, &at, "the field holds no JSON: %s, at byte %zu",
		json.why ? json.why : "out of memory", json.at);
	return false;
}

static void add_members(struct intake *intake, struct entry *entry, struct complaints *complaints)
{
	struct json_at at = { NULL, entry->name, 0 };
	struct text members = entry->value;

	while (members.len && byte_is_space(members.at[0]))
		members = text_from(members, 1);
	while (members.len && byte_is_space(members.at[members.len - 1]))
		members.len--;
	if (!is_json(intake, entry, complaints))
		return;
	if (members.at[0] != '{') {
		complain(complaints, &at, "a JSON object is wanted");
		return;
	}
	members = (struct text){ members.at + 1, members.len - 2 };
	for (size_t i = 0; i < members.len; i++)
		if (!byte_is_space(members.at[i])) {
			json_add_comma(&intake->json);
			buf_add(&intake->json, members);
			return;
		}
}

/* What is true or false in JSON: `text` may be false, and is else a text, be it "true". */
static bool is_bare(const struct entry *entry)
{
	bool is_false = text_equal(entry->value, TEXT("false"));

	if (text_equal(entry->name, TEXT("trace")))
		return is_false || text_equal(entry->value, TEXT("true"));
	return is_false && text_equal(entry->name, TEXT("text"));
}

static void add_value(
	struct intake *intake, const struct entry *entry, struct complaints *complaints)
{
	struct json_at at = { NULL, entry->name, 0 };
	struct text value = entry->value;

	if (is_object_field(entry->name)) {
		if (is_json(intake, entry, complaints))
			buf_add(&intake->json, value);
	} else if (is_bare(entry)) {
		buf_add(&intake->json, value);
	} else if (text_is_utf8(value)) {
		json_add_string(&intake->json, value);
	} else {
		complain(complaints, &at, "the field is not UTF-8");
	}
}

static size_t count_named(const struct intake *intake, struct text name)
{
	size_t count = 0;

	for (size_t i = 0; i < entry_count(intake); i++)
		count += text_equal(entries_of(intake)[i].name, name);
	return count;
}

/* All fields of the first one's name. */
static void add_field(struct intake *intake, size_t first, struct complaints *complaints)
{
	struct text name = entries_of(intake)[first].name;
	bool is_list = count_named(intake, name) > 1 || text_equal(name, TEXT("tags"));

	json_add_comma(&intake->json);
	json_add_string(&intake->json, name);
	buf_add_byte(&intake->json, ':');
	if (is_list)
		buf_add_byte(&intake->json, '[');
	for (size_t i = first; i < entry_count(intake); i++) {
		struct entry *entry = &entries_of(intake)[i];

		if (!text_equal(entry->name, name))
			continue;
		if (i > first)
			buf_add_byte(&intake->json, ',');
		add_value(intake, entry, complaints);
		entry->is_told = true;
	}
	if (is_list)
		buf_add_byte(&intake->json, ']');
}

static void add_fields(struct intake *intake, struct complaints *complaints)
{
	for (size_t i = 0; i < entry_count(intake); i++) {
		if (entries_of(intake)[i].is_told)
			continue;
		if (text_equal(entries_of(intake)[i].name, TEXT("message")))
			add_members(intake, &entries_of(intake)[i], complaints);
		else
			add_field(intake, i, complaints);
	}
}

static void add_member_if(struct buf *json, const char *name, struct text value)
{
	if (value.len)
		json_add_member(json, name, value);
}

static void add_files(struct intake *intake)
{
	struct buf *json = &intake->json;

	if (!intake->file_count)
		return;
	json_add_name(json, "attachments");
	buf_add_byte(json, '[');
	for (size_t i = 0; i < intake->file_count; i++) {
		struct file *file = &intake->files[i];

		json_add_comma(json);
		buf_add_byte(json, '{');
		add_member_if(json, "filename", file->filename);
		add_member_if(json, "content_type", file->content_type);
		add_member_if(json, "content_id", file->content_id);
		json_add_member(
			json, "disposition", file->is_inline ? TEXT("inline") : TEXT("attachment"));
		json_add_name(json, "content");
		buf_add(json, TEXT("{"));
		json_add_member_u64(json, "part", i);
		buf_add(json, TEXT("}}"));
		intake->contents[i] = spool_content(&file->part);
	}
	buf_add_byte(json, ']');
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

	buf_free(&intake->value);
	if (!intake->err)
		intake->err = form_end(&intake->form);
	if (intake->err == ERR_IO || intake->err == ERR_MEMORY)
		return intake->err;
	if (intake->err) {
		complain(complaints, intake->where.len ? &at : NULL, "%s",
			intake->why        ? intake->why
			: intake->form.why ? intake->form.why
					   : "the form is larger than is taken");
		return intake->err;
	}
	buf_add_byte(&intake->json, '{');
	add_fields(intake, complaints);
	add_files(intake);
	buf_add_byte(&intake->json, '}');
	if (intake->json.err)
		return intake->json.err;
	*whole_out = (struct intake_whole){ intake->json.at, intake->json.len,
		{ .files = intake->contents, .file_count = intake->file_count } };
	return complaints->count ? ERR_VALUE : OK;
}
