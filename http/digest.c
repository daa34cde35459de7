#include "http/digest.h"

#include <gnutls/crypto.h>

struct digest digest_begin(void)
{
	struct digest digest = { 0 };

	digest.is_wrong = gnutls_hash_init(&digest.hash, GNUTLS_DIG_SHA256) < 0;
	if (digest.is_wrong)
		digest.hash = NULL;
	return digest;
}

void digest_add_bytes(struct digest *digest, struct text bytes)
{
	if (bytes.len && !digest->is_wrong)
		digest->is_wrong = gnutls_hash(digest->hash, bytes.at, bytes.len) < 0;
}

void digest_add_number(struct digest *digest, uint64_t number)
{
	char bytes[8];

	for (int i = 0; i < 8; i++)
		bytes[i] = (char)(number >> (56 - 8 * i));
	digest_add_bytes(digest, (struct text){ bytes, sizeof(bytes) });
}

void digest_add_text(struct digest *digest, struct text text)
{
	digest_add_number(digest, text.len);
	digest_add_bytes(digest, text);
}

bool digest_end(struct digest *digest, unsigned char digest_out[DIGEST_LEN])
{
	if (digest->hash)
		gnutls_hash_deinit(digest->hash, digest_out);
	digest->hash = NULL;
	return !digest->is_wrong;
}
