/* intake_json - the parts of a form as one JSON object (of intake.h) */
#include "http/intake/intake_own.h"

#include <string.h>

/* What is an object or a list in JSON is written as such in a field. */
static bool is_object_field(struct text name)
{
	static const char *const names[] = { "headers", "metadata", "dsn", "list_unsubscribe",
		"envelope", "template", "calendar" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (text_equal(name, text_of(names[i])))
			return true;
	return false;
}

/* Is it JSON? Else it is complained about where it stands, by its own place. */
static bool is_json(struct intake *intake, const struct entry *entry, struct complaints *complaints)
{
	struct json_at at = { NULL, entry->name, 0 };
	struct json json;

	if (!json_check(entry->value, intake->region, &json))
		return true;
	complain(complaints, &at, "the field holds no JSON: %s, at byte %zu",
		json.why ? json.why : "out of memory", json.at);
	return false;
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
	} else if (text_is_utf8(value) && entry->held.room) {
		json_add_reference(&intake->json, intake->outside_count);
		intake->outside[intake->outside_count++] = value;
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

static void add_member_if(struct buf *json, const char *name, struct text value)
{
	if (value.len)
		json_add_member(json, name, value);
}

static void add_file(struct intake *intake, size_t number)
{
	struct file *file = &intake->files[number];
	struct buf *json = &intake->json;

	json_add_comma(json);
	buf_add_byte(json, '{');
	add_member_if(json, "filename", file->filename);
	add_member_if(json, "content_type", file->content_type);
	add_member_if(json, "content_id", file->content_id);
	json_add_member(json, "disposition", file->is_inline ? TEXT("inline") : TEXT("attachment"));
	buf_add_byte(json, '}');
	intake->contents[number] = spool_content(&file->part);
}

/* ---- attachments: of the field `message`, then of fields of their own, then files; one list */

static struct text trim_space(struct text text)
{
	while (text.len && byte_is_space(text.at[0]))
		text = text_from(text, 1);
	while (text.len && byte_is_space(text.at[text.len - 1]))
		text.len--;
	return text;
}

/* What stands between the brackets or braces of well-formed JSON. */
static struct text inside(struct text json)
{
	json = trim_space(json);
	return trim_space((struct text){ json.at + 1, json.len - 2 });
}

static bool is_attachments(const struct entry *entry)
{
	return text_equal(entry->name, TEXT("attachments"));
}

static void add_elements(struct intake *intake, struct entry *entry, struct complaints *complaints)
{
	struct json_at at = { NULL, entry->name, 0 };

	entry->is_told = true;
	if (!is_json(intake, entry, complaints))
		return;
	if (trim_space(entry->value).at[0] != '[') {
		complain(complaints, &at, "a list is wanted");
	} else if (inside(entry->value).len) {
		json_add_comma(&intake->json);
		buf_add(&intake->json, inside(entry->value));
	}
}

/* All that is not yet told, behind what stands in an open list. */
static void add_attachments(struct intake *intake, struct complaints *complaints)
{
	for (size_t i = 0; i < entry_count(intake); i++)
		if (is_attachments(&entries_of(intake)[i]))
			add_elements(intake, &entries_of(intake)[i], complaints);
	for (size_t i = 0; i < intake->file_count; i++)
		add_file(intake, i);
	intake->attachments_told = true;
}

static bool has_attachments(const struct intake *intake)
{
	bool found = intake->file_count > 0;

	for (size_t i = 0; i < entry_count(intake); i++)
		found |= is_attachments(&entries_of(intake)[i]);
	return found && !intake->attachments_told;
}

/* Behind the string that stands at `at` in well-formed JSON. */
static size_t skip_string(struct text json, size_t at)
{
	for (at++; json.at[at] != '"'; at++)
		at += json.at[at] == '\\';
	return at + 1;
}

/* Behind the value at `at`: before the comma that follows, or at the end. */
static size_t skip_value(struct text json, size_t at)
{
	size_t depth = 0;

	while (at < json.len && (depth || json.at[at] != ',')) {
		depth += json.at[at] == '{' || json.at[at] == '[';
		depth -= json.at[at] == '}' || json.at[at] == ']';
		at = json.at[at] == '"' ? skip_string(json, at) : at + 1;
	}
	return at;
}

/* The value of the member `attachments` among an object's members; `at` NULL: there is none. A name
 * with escapes is not known, and so stands twice: that is an error, as it should be. */
static struct text find_attachments(struct text members)
{
	for (size_t at = 0; at < members.len; at++) {
		size_t start = at + text_find(text_from(members, at), '"');
		size_t colon = skip_string(members, start), end;
		struct text name = text_head(text_from(members, start), colon - start);

		colon += text_find(text_from(members, colon), ':');
		end = skip_value(members, colon + 1);
		if (text_equal(name, TEXT("\"attachments\"")))
			return trim_space(
				text_head(text_from(members, colon + 1), end - colon - 1));
		at = end;
	}
	return (struct text){ 0 };
}

/* Puts a text between those that are there. */
static void insert(struct buf *json, size_t at, struct text text)
{
	if (!text.len || !buf_reserve(json, text.len))
		return;
	memmove(json->at + at + text.len, json->at + at, json->len - at);
	memcpy(json->at + at, text.at, text.len);
	buf_took(json, text.len);
}

/* More attachments in the list, which stands in the JSON already, or where it has null instead. */
static void add_to_list(struct intake *intake, struct text list, struct complaints *complaints)
{
	struct buf json = intake->json, more = buf_born(json.limit);
	size_t start = (size_t)(list.at - json.at), end = start + list.len - 1;
	bool is_empty = list.at[0] != '[' || !inside(list).len;

	if (list.at[0] != '[') {
		memcpy(json.at + start, "[]  ", 4);
		end = start + 1;
	}
	buf_add_byte(&more, '[');
	intake->json = more;
	add_attachments(intake, complaints);
	more = intake->json;
	intake->json = json;
	if (!more.err && more.len > 1) {
		more.at[0] = ',';
		insert(&intake->json, end, text_from(buf_text(&more), is_empty ? 1 : 0));
	}
	if (more.err)
		intake->json.err = more.err;
	buf_free(&more);
}

/* The members of a long one stay in its memory, to which the rest is then added. They are the
 * first: see add_fields. */
static struct text place_members(struct intake *intake, struct entry *entry, struct text members)
{
	struct buf *json = &intake->json;
	size_t limit = json->limit, start;

	if (entry->held.room && json->len == 1) {
		buf_free(json);
		*json = entry->held;
		json->limit = limit;
		json->len = (size_t)(members.at + members.len - json->at);
		entry->held = (struct buf){ 0 };
		return members;
	}
	json_add_comma(json);
	start = json->len;
	buf_add(json, members);
	return json->err ? (struct text){ 0 } : text_from(buf_text(json), start);
}

/* May more attachments stand in what `message` has of them? */
static bool takes_more(struct text list)
{
	return !list.len || list.at[0] == '[' || text_equal(list, TEXT("null"));
}

static void add_members(struct intake *intake, struct entry *entry, struct complaints *complaints)
{
	struct json_at at = { NULL, entry->name, 0 };
	struct text members, list = { 0 };

	if (!is_json(intake, entry, complaints))
		return;
	if (trim_space(entry->value).at[0] != '{') {
		complain(complaints, &at, "a JSON object is wanted");
		return;
	}
	members = inside(entry->value);
	if (!members.len)
		return;
	members = place_members(intake, entry, members);
	if (members.len && has_attachments(intake))
		list = find_attachments(members);
	if (!takes_more(list))
		complain(complaints, &(struct json_at){ .name = TEXT("attachments") },
			"a list is wanted");
	else if (list.len)
		add_to_list(intake, list, complaints);
}

/* ---- all of them */

static bool is_message(const struct entry *entry)
{
	return text_equal(entry->name, TEXT("message"));
}

size_t intake_to_come(const struct intake *intake)
{
	size_t bytes = 0, messages = 0;

	for (size_t i = 0; i < entry_count(intake); i++) {
		const struct entry *entry = &entries_of(intake)[i];
		bool is_copied =
			!entry->held.room || is_attachments(entry) || is_object_field(entry->name);

		is_copied |= is_message(entry) && messages > 0;
		messages += is_message(entry);
		bytes += is_copied ? entry->value.len : 0;
	}
	return bytes;
}

static void add_fields(struct intake *intake, struct complaints *complaints)
{
	struct entry *entries = entries_of(intake);

	for (size_t i = 0; i < entry_count(intake); i++)
		if (is_message(&entries[i]))
			add_members(intake, &entries[i], complaints);
	for (size_t i = 0; i < entry_count(intake); i++)
		if (!entries[i].is_told && !is_attachments(&entries[i]) && !is_message(&entries[i]))
			add_field(intake, i, complaints);
}

void intake_write_json(struct intake *intake, struct complaints *complaints)
{
	buf_add_byte(&intake->json, '{');
	add_fields(intake, complaints);
	if (has_attachments(intake)) {
		json_add_name(&intake->json, "attachments");
		buf_add_byte(&intake->json, '[');
		add_attachments(intake, complaints);
		buf_add_byte(&intake->json, ']');
	}
	buf_add_byte(&intake->json, '}');
}
