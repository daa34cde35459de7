/* pack - small records as bytes: numbers and texts, one behind the other, and a checksum
 *
 *   record = *( number / text ) crc32 ; number = LEB128, text = number *OCTET
 *
 * Who reads must ask in the order in which was written. What is damaged is told as that, and never
 * read past its end. */
#pragma once

#include "smtp/buf.h"

struct unpack {
	struct text rest;
	bool is_bad; /* sticks; all reads give 0 and the empty text from then on */
};

void pack_number(struct buf *buf, uint64_t value);
void pack_text(struct buf *buf, struct text text);
/* Ends the record that began at `start`, an earlier buf->len. */
void pack_seal(struct buf *buf, size_t start);

/* False: the checksum is not that of these bytes. */
bool unpack_open(struct text record, struct unpack *unpack_out);
/* Over `most`: bad. */
uint64_t unpack_number(struct unpack *unpack, uint64_t most);
struct text unpack_text(struct unpack *unpack); /* borrowed from the record */
/* Was all read, and all of it good? */
bool unpack_is_done(const struct unpack *unpack);

/* CRC-32 (ISO 3309) of more bytes behind those that gave `crc`; 0: none yet. */
uint32_t pack_crc(uint32_t crc, struct text bytes);
