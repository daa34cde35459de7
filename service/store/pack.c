#include "service/store/pack.h"

#include <zlib.h>

enum { CRC_BYTES = 4 };

static uint32_t four(const unsigned char *at)
{
	return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 |
	       (uint32_t)at[3] << 24;
}

uint32_t pack_crc(uint32_t crc, struct text bytes)
{
	return bytes.len ? (uint32_t)crc32_z(crc, (const unsigned char *)bytes.at, bytes.len) : crc;
}

void pack_number(struct buf *buf, uint64_t value)
{
	while (value >= 0x80) {
		buf_add_byte(buf, (char)(value | 0x80));
		value >>= 7;
	}
	buf_add_byte(buf, (char)value);
}

void pack_text(struct buf *buf, struct text text)
{
	pack_number(buf, text.len);
	buf_add(buf, text);
}

void pack_seal(struct buf *buf, size_t start)
{
	uint32_t crc;

	if (buf->err)
		return;
	crc = pack_crc(0, text_from(buf_text(buf), start));
	for (int i = 0; i < CRC_BYTES; i++)
		buf_add_byte(buf, (char)(crc >> 8 * i));
}

bool unpack_open(struct text record, struct unpack *unpack_out)
{
	size_t len = record.len - CRC_BYTES;

	if (record.len < CRC_BYTES ||
		four((const unsigned char *)record.at + len) != pack_crc(0, text_head(record, len)))
		return false;
	*unpack_out = (struct unpack){ .rest = text_head(record, len) };
	return true;
}

static uint64_t bad(struct unpack *unpack)
{
	unpack->is_bad = true;
	unpack->rest = (struct text){ 0 };
	return 0;
}

uint64_t unpack_number(struct unpack *unpack, uint64_t most)
{
	uint64_t value = 0;

	for (unsigned shift = 0; unpack->rest.len > 0 && shift < 64; shift += 7) {
		uint64_t byte = (unsigned char)*unpack->rest.at;

		if (shift == 63 && byte > 1)
			break;
		value |= (byte & 0x7f) << shift;
		unpack->rest = text_from(unpack->rest, 1);
		if (byte < 0x80)
			return value <= most ? value : bad(unpack);
	}
	return bad(unpack);
}

struct text unpack_text(struct unpack *unpack)
{
	size_t len = unpack_number(unpack, unpack->rest.len);
	struct text text = text_head(unpack->rest, len);

	if (len > unpack->rest.len) { /* the length itself took some */
		bad(unpack);
		return (struct text){ 0 };
	}
	unpack->rest = text_from(unpack->rest, len);
	return text;
}

bool unpack_is_done(const struct unpack *unpack)
{
	return !unpack->is_bad && unpack->rest.len == 0;
}
