#include "service/webhook/webhook_sign.h"

#include "smtp/message/encode.h"

#include <inttypes.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

enum { DIGEST = 32, DIGEST_BASE64 = 44, HEAD_BYTES = 256 };

static const char *read_key(struct text secret, struct webhook_keys *keys)
{
	uint64_t len;

	if (keys->count == WEBHOOK_KEYS)
		return "at most two secrets at a time";
	if (!text_starts(secret, TEXT("whsec_")))
		return "a secret begins with whsec_";
	secret = text_from(secret, sizeof("whsec_") - 1);
	if (!smtp_base64_check(secret, &len))
		return "behind whsec_ comes base64";
	if (len < WEBHOOK_KEY_LEAST || len > WEBHOOK_KEY_MOST)
		return "a secret has 24 to 64 bytes (as 32 to 88 letters of base64)";
	keys->at[keys->count].len = smtp_base64_decode(secret, (char *)keys->at[keys->count].bytes);
	keys->count++;
	return NULL;
}

const char *webhook_keys_read(struct text secrets, struct webhook_keys *keys_out)
{
	const char *wrong = NULL;

	*keys_out = (struct webhook_keys){ 0 };
	secrets = text_trim(secrets);
	if (!secrets.len)
		return "there is no secret";
	while (!wrong && secrets.len) {
		wrong = read_key(text_cut(&secrets, ' '), keys_out);
		secrets = text_trim(secrets);
	}
	return wrong;
}

/* One pass over the body, wherever it lies. */
static bool digest(const unsigned char *key, size_t key_len, struct text head, struct text body,
	unsigned char out[DIGEST])
{
	EVP_PKEY *hmac_key = EVP_PKEY_new_raw_private_key(EVP_PKEY_HMAC, NULL, key, key_len);
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	size_t len = DIGEST;
	bool is_done = hmac_key && context &&
		       EVP_DigestSignInit(context, NULL, EVP_sha256(), NULL, hmac_key) == 1 &&
		       EVP_DigestSignUpdate(context, head.at, head.len) == 1 &&
		       EVP_DigestSignUpdate(context, body.at, body.len) == 1 &&
		       EVP_DigestSignFinal(context, out, &len) == 1;

	EVP_MD_CTX_free(context);
	EVP_PKEY_free(hmac_key);
	return is_done;
}

void webhook_sign(const struct webhook_keys *keys, struct text id, int64_t time_s, struct text body,
	struct buf *out)
{
	char room[HEAD_BYTES];
	struct buf head = buf_over(room, sizeof(room));

	buf_add(&head, id);
	buf_addf(&head, ".%" PRId64 ".", time_s);
	for (size_t i = 0; !head.err && i < keys->count; i++) {
		unsigned char sum[DIGEST];
		char base64[DIGEST_BASE64 + 1];

		if (!digest(keys->at[i].bytes, keys->at[i].len, buf_text(&head), body, sum)) {
			head.err = ERR_MEMORY;
			break;
		}
		EVP_EncodeBlock((unsigned char *)base64, sum, DIGEST);
		buf_addf(out, "%sv1,%s", i ? " " : "", base64);
	}
	if (head.err && !out->err)
		out->err = head.err;
}
