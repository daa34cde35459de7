/* intake_own - what intake.c and intake_json.c share */
#pragma once

#include "http/intake/form.h"
#include "http/intake/intake.h"
#include "http/mail/reading.h"
#include "http/intake/spool.h"

enum { FILES_MAX = ATTACHMENTS_MAX, FIELDS_MAX = FORM_PARTS };

/* A longer field keeps the memory that it came in, and is copied nowhere. */
enum { FIELD_COPIED = 16384 };

struct entry {
	struct text name, value;
	struct buf held; /* … a long one's memory */
	bool is_told;    /* it is in the JSON */
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
	size_t field_bytes; /* of their values, which lie in the region, or in memory of their own
			     */
	struct spool spool; /* of all files: one descriptor, little memory for many small ones */
	struct file files[FILES_MAX];
	size_t file_count;
	struct file *file;     /* whose part it is; NULL: a field's */
	struct buf value;      /* of the field whose part it is */
	bool attachments_told; /* they are in the JSON */
	struct buf json;
	struct text outside[FIELDS_MAX]; /* long texts that the JSON refers to */
	size_t outside_count;
	struct smtp_content contents[FILES_MAX];
};

static inline struct entry *entries_of(const struct intake *intake)
{
	return (struct entry *)(void *)intake->fields.at;
}

static inline size_t entry_count(const struct intake *intake)
{
	return intake->fields.len / sizeof(struct entry);
}

/* Writes the object that the parts make into `json`, and gives its files' contents. What is wrong
 * with a field is complained about; want of memory is json.err. (intake_json.c) */
void intake_write_json(struct intake *intake, struct complaints *complaints);
