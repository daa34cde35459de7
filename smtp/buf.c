#include "smtp/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BUF_START = 256 };

struct buf buf_born(size_t limit)
{
	return (struct buf){ .limit = limit };
}

struct buf buf_over(char *at, size_t room)
{
	return (struct buf){ .at = at, .room = room, .limit = room };
}

void buf_free(struct buf *buf)
{
	if (!buf)
		return;
	free(buf->at);
	*buf = buf_born(buf->limit);
}

void buf_wipe(struct buf *buf)
{
	if (buf && buf->at)
		explicit_bzero(buf->at, buf->room);
	buf_free(buf);
}

void buf_clear(struct buf *buf)
{
	buf->len = 0;
	buf->err = OK;
}

static enum err grow(struct buf *buf, size_t need)
{
	size_t room = buf->room ? buf->room : BUF_START < buf->limit ? BUF_START : buf->limit;
	char *at;

	if (need > buf->limit)
		return ERR_LIMIT;
	while (room < need)
		room = room > buf->limit / 2 ? buf->limit : room * 2;
	at = realloc(buf->at, room);
	if (!at)
		return ERR_MEMORY;
	buf->at = at;
	buf->room = room;
	return OK;
}

char *buf_reserve(struct buf *buf, size_t len)
{
	size_t need;

	if (buf->err)
		return NULL;
	if (__builtin_add_overflow(buf->len, len, &need))
		buf->err = ERR_LIMIT;
	else if (need > buf->room)
		buf->err = grow(buf, need);
	return buf->err ? NULL : buf->at + buf->len;
}

void buf_took(struct buf *buf, size_t len)
{
	buf->len += len;
}

void buf_add(struct buf *buf, struct text text)
{
	char *room = text.len ? buf_reserve(buf, text.len) : NULL;

	if (!room)
		return;
	memcpy(room, text.at, text.len);
	buf->len += text.len;
}

void buf_add_string(struct buf *buf, const char *string)
{
	buf_add(buf, text_of(string));
}

void buf_add_byte(struct buf *buf, char byte)
{
	char *room = buf_reserve(buf, 1);

	if (!room)
		return;
	*room = byte;
	buf->len++;
}

void buf_add_u64(struct buf *buf, uint64_t value)
{
	char digits[20];
	size_t at = sizeof(digits);

	do {
		digits[--at] = (char)('0' + value % 10);
		value /= 10;
	} while (value);
	buf_add(buf, (struct text){ digits + at, sizeof(digits) - at });
}

void buf_addf(struct buf *buf, const char *format, ...)
{
	size_t room = buf->err ? 0 : buf->room - buf->len;
	va_list args;
	int len;

	va_start(args, format);
	len = vsnprintf(room ? buf->at + buf->len : NULL, room, format, args);
	va_end(args);
	if (len >= 0 && (size_t)len >= room) { /* its NUL would not have fitted */
		if (!buf_reserve(buf, (size_t)len + 1))
			return;
		va_start(args, format);
		(void)vsnprintf(buf->at + buf->len, (size_t)len + 1, format, args);
		va_end(args);
	}
	buf->len += len > 0 && !buf->err ? (size_t)len : 0;
}

struct text buf_text(const struct buf *buf)
{
	return (struct text){ buf->at, buf->len };
}
