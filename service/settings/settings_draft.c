#include "service/settings/settings_draft.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum err draft_refuse(struct draft *draft, enum err err, const char *format, ...)
{
	char line[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	for (char *at = line; *at; at++) /* one line, whatever was quoted */
		if ((unsigned char)*at < 0x20 || *at == 0x7f)
			*at = '?';
	buf_clear(draft->why);
	buf_add_string(draft->why, line);
	return err;
}

static void write_lower(const char *name, char *out, size_t room)
{
	size_t len = 0;

	for (; name[len] && len + 1 < room; len++)
		out[len] = byte_lower(name[len]);
	out[len] = 0;
}

const char *draft_label(struct draft *draft, const char *name)
{
	char lower[64], label[400];
	const char *kept;

	if (!draft->pointer)
		return name;
	write_lower(name + strlen("SMTP_"), lower, sizeof(lower));
	snprintf(label, sizeof(label), "%s: %s/%s", draft->file, draft->pointer, lower);
	kept = draft_copy(draft, text_of(label));
	return kept ? kept : name;
}

const char *draft_spelling(struct draft *draft, const char *name)
{
	char lower[64];
	const char *kept;

	if (!draft->pointer)
		return name;
	write_lower(name + strlen("SMTP_"), lower, sizeof(lower));
	kept = draft_copy(draft, text_of(lower));
	return kept ? kept : name;
}

const char **draft_values(struct draft *draft)
{
	const char **values = region_zalloc(draft->region, settings_count, sizeof(*values));

	for (size_t i = 0; values && i < settings_count; i++)
		values[i] = draft->given[i].value;
	return values;
}

const char *draft_copy(struct draft *draft, struct text text)
{
	return region_copy(draft->region, text).at;
}

struct given *draft_given(struct draft *draft, const char *name)
{
	return &draft->given[setting_named(text_of(name))];
}

bool draft_has(const struct draft *draft, const char *name)
{
	const struct given *given = &draft->given[setting_named(text_of(name))];

	return given->value && given->source == draft->source;
}

enum err draft_take(struct draft *draft, size_t index, struct text value, const char *label)
{
	struct given *given = &draft->given[index];

	if (value.len == 0)
		return OK;
	if (given->value && given->source == draft->source)
		return draft_refuse(draft, ERR_VALUE, "%s and %s are both given; leave one out",
			given->label, label);
	if (memchr(value.at, 0, value.len))
		return draft_refuse(draft, ERR_VALUE, "%s: there is a NUL byte in it", label);
	*given = (struct given){ .value = draft_copy(draft, value),
		.label = draft_copy(draft, text_of(label)),
		.source = draft->source };
	return given->value && given->label ? OK : ERR_MEMORY;
}

static enum err read_all(int fd, struct buf *out)
{
	ssize_t got = 1;

	while (got > 0) {
		char *room = buf_reserve(out, 4096);

		if (!room)
			return out->err;
		got = read(fd, room, 4096);
		if (got < 0 && errno == EINTR)
			got = 1;
		else if (got > 0)
			buf_took(out, (size_t)got);
	}
	return got < 0 ? ERR_IO : OK;
}

enum err draft_read_file(struct draft *draft, const char *path, const char *label, struct buf *out)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	enum err err = fd < 0 ? ERR_IO : read_all(fd, out);

	if (err == ERR_IO)
		err = draft_refuse(
			draft, ERR_IO, "%s: cannot read %s: %s", label, path, strerror(errno));
	else if (err == ERR_LIMIT)
		err = draft_refuse(draft, ERR_VALUE, "%s: %s is larger than 1 MB", label, path);
	if (fd >= 0)
		close(fd);
	return err;
}

enum err draft_take_file(struct draft *draft, size_t index, const char *path, const char *label)
{
	struct buf read = buf_born(SETTING_FILE_BYTES + 8192);
	enum err err = draft_read_file(draft, path, label, &read);
	struct text value = buf_text(&read);

	if (!err && value.len && value.at[value.len - 1] == '\n')
		value.len--;
	if (!err && value.len && value.at[value.len - 1] == '\r')
		value.len--;
	if (!err && value.len == 0)
		err = draft_refuse(draft, ERR_VALUE, "%s: %s is empty", label, path);
	if (!err)
		err = draft_take(draft, index, value, label);
	if (!err) {
		draft->given[index].path = draft_copy(draft, text_of(path));
		err = draft->given[index].path ? OK : ERR_MEMORY;
	}
	buf_wipe(&read);
	return err;
}
