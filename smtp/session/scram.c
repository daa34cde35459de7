#include "smtp/session/scram.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>

enum { DIGEST = SCRAM_DIGEST, MESSAGE_MAX = 4096, ITERATIONS_MIN = 1 };

struct server_first {
	struct text nonce;
	unsigned char salt[SCRAM_SALT_MAX];
	int salt_len;
	int iterations;
};

void scram_add_name(struct buf *out, struct text name)
{
	for (size_t i = 0; i < name.len; i++)
		if (name.at[i] == ',')
			buf_add_string(out, "=2C");
		else if (name.at[i] == '=')
			buf_add_string(out, "=3D");
		else
			buf_add_byte(out, name.at[i]);
}

enum err scram_start(struct smtp_auth *auth, const struct smtp_credentials *credentials,
	const unsigned char nonce[18], struct buf *out)
{
	unsigned char encoded[25];

	if (auth->nonce[0] == 0) {
		EVP_EncodeBlock(encoded, nonce, 18);
		memcpy(auth->nonce, encoded, 24);
	}
	auth->first = buf_born(MESSAGE_MAX);
	buf_add_string(&auth->first, "n=");
	scram_add_name(&auth->first, credentials->user);
	buf_add_string(&auth->first, ",r=");
	buf_add_string(&auth->first, auth->nonce);
	buf_add_string(out, "n,,");
	buf_add(out, buf_text(&auth->first));
	return auth->first.err ? auth->first.err : out->err;
}

static bool take_attribute(struct text *message, char name, struct text *value_out)
{
	struct text field = text_cut(message, ',');

	if (field.len < 2 || field.at[0] != name || field.at[1] != '=')
		return false;
	*value_out = text_from(field, 2);
	return true;
}

static int decode(struct text base64, unsigned char *out, size_t room)
{
	int len, padding = 0;

	if (base64.len == 0 || base64.len % 4 || base64.len / 4 * 3 > room)
		return -1;
	while (padding < 2 && base64.at[base64.len - 1 - (size_t)padding] == '=')
		padding++;
	len = EVP_DecodeBlock(out, (const unsigned char *)base64.at, (int)base64.len);
	return len < 0 ? -1 : len - padding;
}

static enum err read_first(
	const struct smtp_auth *auth, struct text message, struct server_first *first_out)
{
	struct text nonce, salt, iterations;
	uint64_t count;

	if (!take_attribute(&message, 'r', &nonce) || !take_attribute(&message, 's', &salt) ||
		!take_attribute(&message, 'i', &iterations))
		return ERR_SYNTAX;
	if (!text_starts(nonce, text_of(auth->nonce)) || nonce.len == strlen(auth->nonce))
		return ERR_VALUE;
	if (!text_to_u64(iterations, &count) || count < ITERATIONS_MIN ||
		count > SMTP_SCRAM_ITERATIONS_MAX)
		return ERR_VALUE;
	first_out->nonce = nonce;
	first_out->iterations = (int)count;
	first_out->salt_len = decode(salt, first_out->salt, sizeof(first_out->salt));
	return first_out->salt_len < 0 ? ERR_SYNTAX : OK;
}

static void hmac(const unsigned char key[DIGEST], struct text text, unsigned char out[DIGEST])
{
	HMAC(EVP_sha256(), key, DIGEST, (const unsigned char *)text.at, text.len, out, NULL);
}

static bool are_for(const struct scram_keys *keys, const struct server_first *first)
{
	return keys->iterations == first->iterations && keys->salt_len == first->salt_len &&
	       memcmp(keys->salt, first->salt, (size_t)first->salt_len) == 0;
}

static enum err derive(
	struct text pass, const struct server_first *first, struct scram_keys *keys_out)
{
	unsigned char salted[DIGEST];

	if (pass.len > 1024 ||
		!PKCS5_PBKDF2_HMAC(pass.at ? pass.at : "", (int)pass.len, first->salt,
			first->salt_len, first->iterations, EVP_sha256(), DIGEST, salted))
		return ERR_VALUE;
	memcpy(keys_out->salt, first->salt, (size_t)first->salt_len);
	keys_out->salt_len = first->salt_len;
	keys_out->iterations = first->iterations;
	hmac(salted, TEXT("Client Key"), keys_out->client_key);
	hmac(salted, TEXT("Server Key"), keys_out->server_key);
	OPENSSL_cleanse(salted, sizeof(salted));
	return OK;
}

/* The proof, and the signature to expect into auth->server_signature. */
static void prove(struct smtp_auth *auth, const struct scram_keys *keys, struct text auth_message,
	unsigned char proof[DIGEST])
{
	unsigned char stored[DIGEST], signature[DIGEST];

	EVP_Digest(keys->client_key, DIGEST, stored, NULL, EVP_sha256(), NULL);
	hmac(stored, auth_message, signature);
	for (size_t i = 0; i < DIGEST; i++)
		proof[i] = keys->client_key[i] ^ signature[i];
	hmac(keys->server_key, auth_message, auth->server_signature);
}

void scram_keys_wipe(struct scram_keys *keys)
{
	OPENSSL_cleanse(keys, sizeof(*keys));
}

enum err scram_answer(struct smtp_auth *auth, const struct smtp_credentials *credentials,
	struct text server_first, struct buf *out)
{
	struct server_first first;
	struct buf final = buf_born(MESSAGE_MAX), message = buf_born(MESSAGE_MAX * 3);
	struct scram_keys own = { 0 };
	struct scram_keys *keys = credentials->scram_keys ? credentials->scram_keys : &own;
	unsigned char proof[DIGEST], encoded[45];
	enum err err = read_first(auth, server_first, &first);

	if (!err && !are_for(keys, &first))
		err = derive(credentials->pass, &first, keys);
	if (err)
		return err;
	buf_add_string(&final, "c=biws,r=");
	buf_add(&final, first.nonce);
	buf_add(&message, buf_text(&auth->first));
	buf_add_byte(&message, ',');
	buf_add(&message, server_first);
	buf_add_byte(&message, ',');
	buf_add(&message, buf_text(&final));
	err = final.err ? final.err : message.err;
	if (!err) {
		prove(auth, keys, buf_text(&message), proof);
		EVP_EncodeBlock(encoded, proof, DIGEST);
		buf_add(out, buf_text(&final));
		buf_add_string(out, ",p=");
		buf_add_string(out, (const char *)encoded);
		err = out->err;
		auth->is_answered = !err; /* server_signature is what we expect */
	}
	scram_keys_wipe(&own);
	buf_wipe(&final);
	buf_wipe(&message);
	return err;
}

bool scram_is_verified(const struct smtp_auth *auth, struct text server_final)
{
	unsigned char signature[DIGEST + 3];
	struct text value;

	return auth->is_answered && take_attribute(&server_final, 'v', &value) &&
	       decode(value, signature, sizeof(signature)) == DIGEST &&
	       CRYPTO_memcmp(signature, auth->server_signature, DIGEST) == 0;
}
