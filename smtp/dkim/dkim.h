/* dkim - signs messages (RFC 6376, 8301, 8463): relaxed/relaxed, rsa-sha256 and ed25519-sha256
 *
 * The body is hashed first, in pieces of any cut; then each key makes one header field over the
 * head and that hash. No clock, no file: the time is given. A key never changes once it is open:
 * any number of threads may sign with it at once. */
#pragma once

#include "smtp/buf.h"

struct region;
struct smtp_message;
struct dkim_key; /* a private key with the domain and selector that its public half stands under */

/* `pem`: an unencrypted private key, RSA of 1024 to 4096 bits or Ed25519. `domain` and `selector`:
 * ASCII names (A-labels), without a final dot. ERR_VALUE with a static phrase in *why_out ("the key
 * is encrypted: …"), ERR_MEMORY. */
MUST_USE enum err dkim_key_open(struct text pem, struct text domain, struct text selector,
	struct dkim_key **key_out, const char **why_out);
void dkim_key_close(struct dkim_key *key);               /* NULL is fine */
struct text dkim_key_domain(const struct dkim_key *key); /* lower case; lives as the key does */
struct text dkim_key_selector(const struct dkim_key *key);
/* What whoever set the key up should know, as a phrase; NULL: nothing. */
const char *dkim_key_warning(const struct dkim_key *key);
/* Appends what DNS must hold as TXT under SELECTOR._domainkey.DOMAIN: "v=DKIM1; k=…; p=…". */
void dkim_key_record(const struct dkim_key *key, struct buf *out);

/* Who signs: what the settings give. */
struct dkim_signer {
	struct dkim_key *const *keys; /* several of one domain: each signs */
	size_t key_count;
	const struct text *unsign; /* names that the relay writes anew, as Amazon SES does Date and
				      Message-ID: left unsigned. From never is */
	size_t unsign_count;
};

/* Whose keys sign what is from `from`, a domain: its own, else those of its longest parent that has
 * any (relaxed alignment, RFC 7489 3.1.1). Empty: nobody's. Lives as the keys do. */
struct text dkim_signer_domain(const struct dkim_signer *signer, struct text from);

enum { DKIM_HASH = 32, DKIM_HELD = 2048 };

/* The body, canonical and hashed. Every begin needs its end. */
struct dkim_body {
	struct evp_md_ctx_st *hash;
	uint64_t line_ends; /* passed and not hashed: they count only if something follows */
	bool blank;         /* the same for blanks within a line */
	bool after_cr, has_content;
	enum err err; /* sticky */
	size_t held_len;
	char held[DKIM_HELD]; /* canonical, on its way into the hash */
};

MUST_USE enum err dkim_body_begin(struct dkim_body *body);
/* The next bytes, from behind the blank line on, before dot-stuffing. Only CRLF ends a line; a last
 * line that lacks it, or its LF, counts as ended, as the end of DATA will end it
 * (smtp/session/dot.h). */
void dkim_body_add(struct dkim_body *body, struct text piece);
/* Frees what begin took, also on an error: ERR_MEMORY. */
MUST_USE enum err dkim_body_end(struct dkim_body *body, unsigned char hash_out[DKIM_HASH]);

struct dkim_order {
	struct text head; /* header fields up to the blank line, lines ending in CRLF */
	const unsigned char *body_hash; /* DKIM_HASH bytes */
	int64_t time_s;                 /* since 1970: t= */
	const struct text *unsign;      /* as in the signer */
	size_t unsign_count;
};

/* Appends one whole field, "DKIM-Signature: …" CRLF, to put in front of the head. Lines are of 76
 * columns at most, but for a domain or selector that is longer. ERR_SYNTAX: the head is no list of
 * fields (a bare CR or LF, a line without a name), ERR_MISSING: no From, ERR_VALUE: a time before
 * 1970, ERR_LIMIT: the same names too many times, ERR_TLS: OpenSSL failed, ERR_MEMORY. On an error
 * nothing is appended. */
MUST_USE enum err dkim_sign(
	const struct dkim_key *key, const struct dkim_order *order, struct buf *out);

/* Puts in front of a message one signature by each key that signs for `from`, the domain of its
 * From; without such a key nothing happens. The new segments are in `region`; content is read once
 * and stays where it is. Errors are dkim_sign's, ERR_LIMIT where the region is at its end, and
 * ERR_VALUE where the message is not as long as it says; then it is as it was. */
MUST_USE enum err dkim_sign_message(const struct dkim_signer *signer, struct text from,
	int64_t time_s, struct region *region, struct smtp_message *message);
