#include "service/keys/keys_file.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "http/json/json.h"

/* While an entry is read. */
struct reading {
	const char *path;
	struct json json;
	struct region *region;
	struct buf *why;
	size_t index; /* of the entry */
	struct key_entry *entry;
};

static enum err wrong(const struct reading *reading, const char *member, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* "PATH: /keys/0/member: …" */
static enum err wrong(const struct reading *reading, const char *member, const char *format, ...)
{
	char words[400];
	va_list args;

	va_start(args, format);
	vsnprintf(words, sizeof(words), format, args);
	va_end(args);
	buf_clear(reading->why);
	buf_addf(reading->why, "%s: /keys/%zu%s%s: %s", reading->path, reading->index,
		member ? "/" : "", member ? member : "", words);
	return ERR_VALUE;
}

static struct text string_of(const struct reading *reading, const cJSON *value)
{
	return json_string(&reading->json, value);
}

/* ---- members */

static enum err read_id(struct reading *reading, const cJSON *value)
{
	struct text id = string_of(reading, value);
	const char *why;

	if (!key_id_is_good(id, &why))
		return wrong(reading, "id", "%s", why);
	reading->entry->id = region_copy(reading->region, id);
	return reading->entry->id.at ? OK : ERR_MEMORY;
}

static int hex_of(char byte)
{
	if (byte_is_digit(byte))
		return byte - '0';
	byte = byte_lower(byte);
	return byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : -1;
}

static enum err read_digest(struct reading *reading, const cJSON *value, unsigned char *out)
{
	struct text text = string_of(reading, value);
	bool good = text_starts(text, TEXT("sha256:")) && text.len == 7 + 2 * KEY_HASH_BYTES;

	for (size_t i = 0; i < KEY_HASH_BYTES && good; i++) {
		int high = hex_of(text.at[7 + 2 * i]), low = hex_of(text.at[8 + 2 * i]);

		good = high >= 0 && low >= 0;
		if (good)
			out[i] = (unsigned char)(high << 4 | low);
	}
	return good ? OK
		    : wrong(reading, value->string,
			      "give sha256: and 64 hexadecimal digits, the hash of the whole key");
}

static enum err read_hash(struct reading *reading, const cJSON *value)
{
	return read_digest(reading, value, reading->entry->hash);
}

static enum err read_old_hash(struct reading *reading, const cJSON *value)
{
	return read_digest(reading, value, reading->entry->old_hash);
}

static enum err read_scopes(struct reading *reading, const cJSON *value)
{
	const cJSON *member;
	unsigned scope;

	if (!cJSON_IsArray(value) || !value->child)
		return wrong(reading, "scopes", "give a list of scopes");
	reading->entry->scopes = 0;
	cJSON_ArrayForEach(member, value)
	{
		if (!key_scope_named(string_of(reading, member), &scope))
			return wrong(reading, "scopes",
				"there are send, read, templates, trace and admin");
		reading->entry->scopes |= scope;
	}
	return OK;
}

static enum err read_list(struct reading *reading, const cJSON *value, bool patterns,
	const struct text **out, size_t *count_out)
{
	size_t count = 0;
	struct text *all;
	const cJSON *member;
	const char *why;

	if (!cJSON_IsArray(value) || !value->child)
		return wrong(reading, value->string,
			"give a list of strings, or leave it out to allow everything");
	cJSON_ArrayForEach(member, value) count++;
	all = region_zalloc(reading->region, count, sizeof(*all));
	count = 0;
	cJSON_ArrayForEach(member, value)
	{
		struct text text = string_of(reading, member);

		if (!cJSON_IsString(member) || text.len == 0 ||
			(patterns ? !key_pattern_is_good(text, &why) : text_has_control(text)))
			return wrong(reading, value->string, "\"%.*s\" %s",
				text.len > 80 ? 80 : (int)text.len, text.at ? text.at : "",
				patterns && text.len ? why : "is no name");
		if (all)
			all[count] = region_copy(reading->region, text);
		if (!all || !all[count++].at)
			return ERR_MEMORY;
	}
	*out = all;
	*count_out = count;
	return OK;
}

static enum err read_from(struct reading *reading, const cJSON *value)
{
	return read_list(reading, value, true, &reading->entry->from, &reading->entry->from_count);
}

static enum err read_to(struct reading *reading, const cJSON *value)
{
	return read_list(reading, value, true, &reading->entry->to, &reading->entry->to_count);
}

static enum err read_relays(struct reading *reading, const cJSON *value)
{
	return read_list(
		reading, value, false, &reading->entry->relays, &reading->entry->relay_count);
}

static enum err read_rate(struct reading *reading, const cJSON *value)
{
	if (!key_rate_read(string_of(reading, value), &reading->entry->rate,
		    &reading->entry->rate_window_s))
		return wrong(reading, "rate", "give a rate like 50/s, 100/m or 1000/h");
	return OK;
}

static enum err read_daily(struct reading *reading, const cJSON *value)
{
	double daily = cJSON_IsNumber(value) ? value->valuedouble : 0;

	if (daily < 1 || daily > 4e9 || daily != (double)(uint32_t)daily)
		return wrong(reading, "daily", "give a whole number of messages a day");
	reading->entry->daily = (uint32_t)daily;
	return OK;
}

static enum err read_expires(struct reading *reading, const cJSON *value)
{
	if (!key_time_read(string_of(reading, value), &reading->entry->expires_ms))
		return wrong(reading, "expires", "give a time like 2027-01-01T00:00:00Z");
	return OK;
}

static enum err read_old_expires(struct reading *reading, const cJSON *value)
{
	if (!key_time_read(string_of(reading, value), &reading->entry->old_expires_ms))
		return wrong(reading, "old_expires", "give a time like 2027-01-01T00:00:00Z");
	return OK;
}

static const struct {
	const char *name;
	enum err (*read)(struct reading *reading, const cJSON *value);
} members[] = { { "id", read_id }, { "hash", read_hash }, { "scopes", read_scopes },
	{ "from", read_from }, { "to", read_to }, { "relays", read_relays }, { "rate", read_rate },
	{ "daily", read_daily }, { "expires", read_expires }, { "old_hash", read_old_hash },
	{ "old_expires", read_old_expires } };

enum { MEMBERS = sizeof(members) / sizeof(members[0]) };

/* ---- entries */

static enum err read_member(struct reading *reading, const cJSON *member)
{
	struct text name = json_name(&reading->json, member);

	for (size_t i = 0; i < MEMBERS; i++)
		if (text_equal(name, text_of(members[i].name)))
			return members[i].read(reading, member);
	return wrong(reading, member->string,
		"no such member; there are id, hash, scopes, from, to, relays, rate, daily and "
		"expires");
}

static enum err read_entry(struct reading *reading, const cJSON *object)
{
	const cJSON *member;
	enum err err = OK;

	if (!cJSON_IsObject(object))
		return wrong(reading, NULL, "give an object");
	reading->entry->scopes = SCOPE_SEND | SCOPE_READ;
	cJSON_ArrayForEach(member, object)
	{
		err = read_member(reading, member);
		if (err)
			return err;
	}
	if (!reading->entry->id.len)
		return wrong(reading, "id", "is missing");
	if (!cJSON_GetObjectItemCaseSensitive(object, "hash"))
		return wrong(reading, "hash", "is missing");
	if (!cJSON_GetObjectItemCaseSensitive(object, "old_hash") !=
		!cJSON_GetObjectItemCaseSensitive(object, "old_expires"))
		return wrong(reading, "old_expires", "belongs with old_hash");
	return OK;
}

static enum err read_entries(struct reading *reading, const cJSON *list, struct key_list *out)
{
	struct key_list made = { 0 };
	const cJSON *object;
	enum err err;

	cJSON_ArrayForEach(object, list) made.count++;
	made.at = region_zalloc(reading->region, made.count + 1, sizeof(*made.at));
	if (!made.at)
		return ERR_MEMORY;
	made.count = 0;
	cJSON_ArrayForEach(object, list)
	{
		reading->index = made.count;
		reading->entry = &made.at[made.count++];
		err = read_entry(reading, object);
		if (err)
			return err;
	}
	*out = made;
	return OK;
}

static enum err say(struct buf *why, enum err err, const char *path, const char *words)
{
	buf_clear(why);
	buf_addf(why, "%s: %s", path, words);
	return err;
}

static enum err read_body(struct reading *reading, struct buf *body, struct key_list *out)
{
	struct json *json = &reading->json;
	const cJSON *list;
	size_t line = 1;
	enum err err = json_parse(body->at, body->len, reading->region, json);

	if (err == ERR_MEMORY)
		return err;
	if (err) {
		for (size_t i = 0; i < json->at && i < body->len; i++)
			line += body->at[i] == '\n';
		buf_clear(reading->why);
		buf_addf(reading->why, "%s: line %zu: %s", reading->path, line, json->why);
		return ERR_SYNTAX;
	}
	list = cJSON_GetObjectItemCaseSensitive(json->root, "keys");
	if (!cJSON_IsObject(json->root) || !cJSON_IsArray(list) || json->root->child->next)
		return say(reading->why, ERR_SYNTAX, reading->path,
			"give an object with one member, the list \"keys\"");
	return read_entries(reading, list, out);
}

static enum err read_all(int fd, struct buf *out)
{
	ssize_t got = 1;

	while (got > 0 && !out->err) {
		char *room = buf_reserve(out, 65536);

		got = room ? read(fd, room, 65536) : 0;
		if (got > 0)
			buf_took(out, (size_t)got);
		else if (got < 0 && errno == EINTR)
			got = 1;
	}
	return got < 0 ? ERR_IO : out->err;
}

enum err keys_file_read(
	const char *path, struct region *region, struct key_list *list_out, struct buf *why)
{
	struct reading reading = { .path = path, .region = region, .why = why };
	struct buf body = buf_born(KEYS_FILE_BYTES);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	enum err err = fd < 0 ? ERR_IO : read_all(fd, &body);

	if (err == ERR_IO)
		err = say(why, errno == ENOENT ? ERR_MISSING : ERR_IO, path, strerror(errno));
	else if (err == ERR_LIMIT)
		err = say(why, err, path, "is larger than 16 MB");
	else if (!err && body.len == 0)
		err = say(why, ERR_SYNTAX, path, "is empty; give {\"keys\":[]} at least");
	else if (!err)
		err = read_body(&reading, &body, list_out);
	if (err == ERR_MEMORY)
		err = say(why, err, path, "out of memory");
	if (fd >= 0)
		close(fd);
	buf_free(&body);
	return err;
}
