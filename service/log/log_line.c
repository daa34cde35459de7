#include "service/log/log_own.h"

#include <string.h>
#include <time.h>

/* Kept free for what ends a line: the mark that it was cut, brace and LF. */
enum { LINE_END = 16 };

static const char *const level_names[] = { "debug", "info", "warn", "error" };

/* Room for `len` more bytes, else the line is cut here. */
static bool has_room(struct log_line *line, size_t len)
{
	if (line->cut || line->len + len > sizeof(line->at) - LINE_END)
		line->cut = true;
	return !line->cut;
}

static void put(struct log_line *line, const char *at, size_t len)
{
	if (has_room(line, len)) {
		memcpy(line->at + line->len, at, len);
		line->len += len;
	}
}

static void put_string(struct log_line *line, const char *string)
{
	put(line, string, strlen(string));
}

static void put_u64(struct log_line *line, uint64_t value)
{
	char digits[20];
	size_t at = sizeof(digits);

	do {
		digits[--at] = (char)('0' + value % 10);
		value /= 10;
	} while (value);
	put(line, digits + at, sizeof(digits) - at);
}

/* "2026-11-24T10:00:00." is made once a second and thread. */
static void put_time(struct log_line *line)
{
	static _Thread_local char second[24];
	static _Thread_local time_t made;
	struct timespec now;
	struct tm tm;
	unsigned ms;
	char rest[5];

	clock_gettime(CLOCK_REALTIME, &now);
	if (now.tv_sec != made) {
		gmtime_r(&now.tv_sec, &tm);
		strftime(second, sizeof(second), "%Y-%m-%dT%H:%M:%S.", &tm);
		made = now.tv_sec;
	}
	ms = (unsigned)(now.tv_nsec / 1000000);
	rest[0] = (char)('0' + ms / 100);
	rest[1] = (char)('0' + ms / 10 % 10);
	rest[2] = (char)('0' + ms % 10);
	rest[3] = 'Z';
	put(line, second, 20);
	put(line, rest, 4);
}

/* Does the byte go out as it is? Everything else needs a closer look. */
static bool is_plain(unsigned char byte)
{
	return byte >= 0x20 && byte < 0x7f && byte != '"' && byte != '\\';
}

static size_t plain_length(struct text text)
{
	size_t len = 0;

	while (len < text.len && is_plain((unsigned char)text.at[len]))
		len++;
	return len;
}

/* Length of the character at the front if it is well-formed UTF-8 beyond ASCII and no control, line
 * or paragraph separator; else 0. */
static size_t character_length(struct text text)
{
	for (size_t len = 2; len <= 4 && len <= text.len; len++)
		if (text_is_utf8(text_head(text, len)))
			return (unsigned char)text.at[0] >= 0x80 &&
					       !text_has_control(text_head(text, len))
				       ? len
				       : 0;
	return 0;
}

static void put_escape(struct log_line *line, unsigned char byte)
{
	static const char hex[] = "0123456789abcdef";
	char escape[6] = { '\\', 'u', '0', '0', hex[byte >> 4], hex[byte & 15] };

	if (byte == '"' || byte == '\\')
		put(line, (char[]){ '\\', (char)byte }, 2);
	else if (byte == '\n')
		put(line, "\\n", 2);
	else
		put(line, escape, sizeof(escape));
}

/* A control or separator that is well-formed UTF-8, as \uXXXX; gives its length, 0: it is none. */
static size_t put_control(struct log_line *line, struct text text)
{
	const unsigned char *at = (const unsigned char *)text.at;

	if (text.len >= 2 && at[0] == 0xc2 && at[1] >= 0x80 && at[1] < 0xa0) {
		put_escape(line, at[1]); /* U+0080 to U+009F */
		return 2;
	}
	if (text.len >= 3 && at[0] == 0xe2 && at[1] == 0x80 && (at[2] & 0xfeU) == 0xa8) {
		put(line, at[2] == 0xa8 ? "\\u2028" : "\\u2029", 6);
		return 3;
	}
	return 0;
}

/* A byte that is part of no UTF-8 is shown as \u00XX: nothing is lost, and no line broken. */
static void put_escaped(struct log_line *line, struct text text)
{
	while (text.len && !line->cut) {
		size_t len = plain_length(text);

		if (!len)
			len = character_length(text);
		if (len) {
			put(line, text.at, len);
		} else {
			len = put_control(line, text);
			if (!len)
				put_escape(line, (unsigned char)text.at[0]);
		}
		text = text_from(text, len ? len : 1);
	}
}

/* For people a plain word needs no quotes. */
static bool needs_quotes(const struct log_line *line, struct text value)
{
	if (!line->is_text)
		return true;
	for (size_t i = 0; i < value.len; i++)
		if (!is_plain((unsigned char)value.at[i]) || value.at[i] == ' ' ||
			value.at[i] == '=')
			return true;
	return value.len == 0;
}

/* Gives where the line was, so that a value that does not fit can be taken back whole. */
static size_t put_name(struct log_line *line, const char *name)
{
	size_t before = line->len;

	if (line->is_text) {
		put(line, " ", 1);
		put_string(line, name);
		put(line, "=", 1);
	} else {
		put(line, ",\"", 2);
		put_string(line, name);
		put(line, "\":", 2);
	}
	return before;
}

static void put_value(struct log_line *line, const char *name, struct text value)
{
	size_t before = put_name(line, name);
	bool quoted = needs_quotes(line, value);

	if (quoted)
		put(line, "\"", 1);
	put_escaped(line, value);
	if (quoted)
		put(line, "\"", 1);
	if (line->cut)
		line->len = before;
}

struct log_line log_line(struct log *log, enum log_level level, const char *event)
{
	struct log_line line;

	line.log = log && (int)level >= atomic_load_explicit(&log->level, memory_order_relaxed)
			   ? log
			   : NULL;
	line.cut = false;
	line.len = 0;
	if (!line.log)
		return line;
	line.is_text = atomic_load_explicit(&log->is_text, memory_order_relaxed);
	if (!line.is_text)
		put_string(&line, "{\"time\":\"");
	put_time(&line);
	put_string(&line, line.is_text ? " " : "\",\"level\":\"");
	put_string(&line, level_names[level]);
	if (line.is_text)
		put_string(&line, level == LOG_INFO || level == LOG_WARN ? "  " : " ");
	else
		put_string(&line, "\",\"event\":\"");
	put_string(&line, event);
	if (!line.is_text)
		put(&line, "\"", 1);
	return line;
}

void log_text(struct log_line *line, const char *name, struct text value)
{
	if (line->log && value.len && !line->cut)
		put_value(line, name, value);
}

void log_string(struct log_line *line, const char *name, const char *value)
{
	log_text(line, name, text_of(value));
}

void log_u64(struct log_line *line, const char *name, uint64_t value)
{
	size_t before;

	if (!line->log || line->cut)
		return;
	before = put_name(line, name);
	put_u64(line, value);
	if (line->cut)
		line->len = before;
}

void log_ms(struct log_line *line, const char *name, uint64_t us)
{
	char digits[4] = { '.', (char)('0' + us / 100 % 10), (char)('0' + us / 10 % 10),
		(char)('0' + us % 10) };
	size_t before;

	if (!line->log || line->cut)
		return;
	before = put_name(line, name);
	put_u64(line, us / 1000);
	put(line, digits, sizeof(digits));
	if (line->cut)
		line->len = before;
}

/* "a***@example.com": its first character and the domain. */
static struct text mask(struct text address, char room[SMTP_ADDRESS_MAX + 16])
{
	struct text domain = smtp_address_domain(address);
	size_t first = address.len > domain.len && (unsigned char)address.at[0] >= 0x80
			       ? character_length(address)
			       : 1;

	if (!address.len || !domain.len || domain.len > SMTP_ADDRESS_MAX ||
		address.len < domain.len + 2)
		return TEXT("***");
	if (address.at[0] == '"' || !first)
		first = 0; /* a quoted local part shows nothing of itself */
	memcpy(room, address.at, first);
	memcpy(room + first, "***@", 4);
	memcpy(room + first + 4, domain.at, domain.len);
	return (struct text){ room, first + 4 + domain.len };
}

enum log_addresses log_shown_addresses(const struct log *log)
{
	return (enum log_addresses)atomic_load_explicit(&log->addresses, memory_order_relaxed);
}

void log_address(struct log_line *line, const char *name, struct text address)
{
	char room[SMTP_ADDRESS_MAX + 16];

	if (!line->log || line->cut || !address.len)
		return;
	switch (log_shown_addresses(line->log)) {
	case LOG_MASKED:
		put_value(line, name, mask(address, room));
		break;
	case LOG_FULL:
		put_value(line, name, address);
		break;
	case LOG_NONE:
		break;
	}
}

void log_end(struct log_line *line)
{
	struct text cut;

	if (!line->log) /* nothing else of it is set then */
		return;
	if (line->cut) {
		cut = line->is_text ? TEXT(" cut=true") : TEXT(",\"cut\":true");
		memcpy(line->at + line->len, cut.at, cut.len);
		line->len += cut.len;
	}
	if (!line->is_text)
		line->at[line->len++] = '}';
	line->at[line->len++] = '\n';
	log_hand_over(line->log, (struct text){ line->at, line->len });
	line->log = NULL;
}
