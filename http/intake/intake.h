/* intake - a body of multipart/form-data, taken in as it arrives
 *
 * Its fields become one JSON object, as it might have been posted: what stands several times is a
 * list, and the field `message` holds members of its own. Files are spooled, never held; they
 * are the last of the object's attachments, without content, which is in mail_besides. */
#pragma once

#include "http/mail/mail.h"

struct intake;

/* Is it the type of such a body? */
bool intake_fits(struct text content_type);
/* In the region, but for its files and fields: intake_close frees these. NULL: out of memory.
 * `most`: bytes that the fields may take. */
struct intake *intake_open(struct text content_type, size_t most, struct region *region);
void intake_close(struct intake *intake); /* NULL is fine */
/* The next piece. What is wrong with it is told at the end. */
void intake_feed(struct intake *intake, struct text piece);
/* Bytes of memory that its fields take, and its files while they are in no file. */
size_t intake_held(const struct intake *intake);

/* Bytes that intake_end will take beside these, more or less. */
size_t intake_to_come(const struct intake *intake);

struct intake_whole {
	char *json; /* to be parsed in place, with what it refers to; the intake's */
	size_t len;
	struct text *outside;
	size_t outside_count;
	struct mail_besides besides;
};

/* The body is at its end. ERR_IO: a file could not be spooled; ERR_MEMORY; else what is wrong is
 * complained about. */
MUST_USE enum err intake_end(
	struct intake *intake, struct intake_whole *whole_out, struct complaints *complaints);
