/* problem - errors as application/problem+json (RFC 9457), and the catalogue of their codes
 *
 * The codes of relays come from smtp/verdict/verdict.h; our own stand in a table here. */
#pragma once

#include "http/json/json.h"

/* What a 503 says that says nothing else; of the store: it is tried again twice a second, and a
 * database that is started again takes some seconds. */
enum { PROBLEM_PAUSE_S = 1, PROBLEM_STORE_PAUSE_S = 5 };

struct problem_words {
	const char *code, *title, *meaning;
	unsigned status;
	bool retryable;
};

struct problem {
	const char *code;
	unsigned status;        /* 0: the catalogue's */
	bool may_retry;         /* though the catalogue says that it is not retryable */
	uint32_t retry_after_s; /* 0: none */
	struct text detail, hint;
	const char *state;   /* that a message is in; NULL: it is not about that */
	const char *outcome; /* NULL: no message was concerned; "": nothing is certain of it */
	const struct complaints *complaints; /* NULL: none */
};

/* NULL: no such code. */
const struct problem_words *problem_words(struct text code);
/* All of our own codes, and all of the relays', one after the other; NULL behind the last. */
const struct problem_words *problem_at(size_t index);

unsigned problem_status(const struct problem *problem);
/* When to ask again; 0: nothing is said of it. */
uint32_t problem_pause_s(const struct problem *problem);
/* Appends the object. */
void problem_add(struct buf *out, const struct problem *problem, struct text request_id);
/* The first members of every problem, the object left open. */
void problem_open(struct buf *out, const struct problem_words *words, unsigned status);
void problem_add_complaints(struct buf *out, const struct complaints *complaints);
