#include "http/json/json_escape.h"

#include <string.h>

/* The four digits behind \u. */
static bool read_unit(const char *at, const char *end, unsigned *unit_out)
{
	unsigned unit = 0;

	if (end - at < 4)
		return false;
	for (int i = 0; i < 4; i++) {
		int digit = byte_hex(at[i]);

		if (digit < 0)
			return false;
		unit = unit << 4 | (unsigned)digit;
	}
	*unit_out = unit;
	return true;
}

static bool is_high(unsigned unit)
{
	return unit >= 0xd800 && unit <= 0xdbff;
}

static bool is_low(unsigned unit)
{
	return unit >= 0xdc00 && unit <= 0xdfff;
}

static size_t refuse(const char *why, const char **why_out)
{
	*why_out = why;
	return 0;
}

size_t json_escape_len(const char *at, size_t len, bool *nul_out, const char **why_out)
{
	const char *end = at + len;
	unsigned unit, low;

	if (len < 2)
		return refuse("the string does not end", why_out);
	if (at[1] != 'u')
		return memchr("\"\\/bfnrt", at[1], 8) ? 2 : refuse("no such escape", why_out);
	if (!read_unit(at + 2, end, &unit))
		return refuse("\\u wants four hexadecimal digits", why_out);
	*nul_out |= unit == 0;
	if (is_low(unit))
		return refuse("a low surrogate without its high one", why_out);
	if (!is_high(unit))
		return 6;
	if (len < 8 || at[6] != '\\' || at[7] != 'u' || !read_unit(at + 8, end, &low) ||
		!is_low(low))
		return refuse("a high surrogate without its low one", why_out);
	return 12;
}

static size_t put_utf8(char *out, unsigned code)
{
	if (code < 0x80) {
		out[0] = (char)code;
		return 1;
	}
	if (code < 0x800) {
		out[0] = (char)(0xc0 | code >> 6);
		out[1] = (char)(0x80 | (code & 0x3f));
		return 2;
	}
	if (code < 0x10000) {
		out[0] = (char)(0xe0 | code >> 12);
		out[1] = (char)(0x80 | (code >> 6 & 0x3f));
		out[2] = (char)(0x80 | (code & 0x3f));
		return 3;
	}
	out[0] = (char)(0xf0 | code >> 18);
	out[1] = (char)(0x80 | (code >> 12 & 0x3f));
	out[2] = (char)(0x80 | (code >> 6 & 0x3f));
	out[3] = (char)(0x80 | (code & 0x3f));
	return 4;
}

size_t json_unescape(char *at, size_t len)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	char *out = memchr(at, '\\', len), *end = at + len;
	unsigned unit = 0, low = 0;

	if (!out)
		return len;
	for (char *in = out; in < end;) {
		if (*in != '\\') {
			*out++ = *in++;
			continue;
		}
		if (in[1] != 'u') {
			*out++ = to[strchr(from, in[1]) - from];
			in += 2;
			continue;
		}
		(void)read_unit(in + 2, end, &unit);
		in += 6;
		if (is_high(unit)) {
			(void)read_unit(in + 2, end, &low);
			in += 6;
			unit = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
		}
		out += put_utf8(out, unit);
	}
	return (size_t)(out - at);
}
