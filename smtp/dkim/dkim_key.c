/* dkim_key - private keys out of PEM, and what DNS has to hold for them */
#include "smtp/dkim/dkim_own.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

enum {
	RSA_LEAST = 1024,       /* RFC 8301 3.2: less is taken for no signature */
	RSA_RECOMMENDED = 2048, /* the same */
	RSA_MOST = 4096,        /* the same: nobody has to verify more */
	LABEL_MAX = 63,
	PEM_MAX = 1 << 16,
	PUBLIC_MAX = 1024, /* SubjectPublicKeyInfo of 4096 bits: 550 bytes */
};

static enum err refuse(const char **why_out, const char *why)
{
	*why_out = why;
	return ERR_VALUE;
}

/* ---- names */

/* sub-domain = Let-dig [Ldh-str] (RFC 5321 4.1.2); a host name's label is no longer than 63. */
static bool is_label(struct text label)
{
	if (label.len == 0 || label.len > LABEL_MAX || label.at[0] == '-' ||
		label.at[label.len - 1] == '-')
		return false;
	for (size_t i = 0; i < label.len; i++)
		if (!byte_is_letter(label.at[i]) && !byte_is_digit(label.at[i]) &&
			label.at[i] != '-')
			return false;
	return true;
}

/* Labels with dots between them; 0 if it is no name. */
static size_t count_labels(struct text name)
{
	size_t count = 0, dot;

	do {
		dot = text_find(name, '.');
		if (!is_label(text_head(name, dot)) || dot + 1 == name.len)
			return 0;
		name = text_from(name, dot + 1);
		count++;
	} while (name.len);
	return count;
}

static enum err take_names(
	struct dkim_key *key, struct text domain, struct text selector, const char **why_out)
{
	if (!text_is_ascii(domain) || !text_is_ascii(selector))
		return refuse(why_out, "a name is not ASCII: write it in its form with xn--");
	if (domain.len > DKIM_NAME_MAX || count_labels(domain) < 2)
		return refuse(why_out, "the domain is no domain name, as example.com is");
	if (selector.len > DKIM_NAME_MAX || count_labels(selector) < 1)
		return refuse(why_out,
			"the selector is no name: letters, digits, hyphens, and dots between them");
	if (selector.len + strlen("._domainkey.") + domain.len > DKIM_NAME_MAX)
		return refuse(why_out, "selector and domain together are too long for DNS");
	for (size_t i = 0; i < domain.len; i++)
		key->domain[i] = byte_lower(domain.at[i]);
	memcpy(key->selector, selector.at, selector.len);
	return OK;
}

/* ---- keys */

/* In place of OpenSSL's own, which asks at the terminal and waits. */
static int give_no_passphrase(char *room, int size, int writes, void *asked)
{
	(void)room;
	(void)size;
	(void)writes;
	*(bool *)asked = true;
	return -1;
}

static const char *what_else(struct text pem)
{
	if (text_contains_nocase(pem, TEXT("-----BEGIN OPENSSH")))
		return "the key is in OpenSSH's form: give PEM, as `openssl genpkey` writes it";
	if (text_contains_nocase(pem, TEXT("PRIVATE KEY-----")))
		return "the private key is damaged";
	if (text_contains_nocase(pem, TEXT("PUBLIC KEY-----")))
		return "it is a public key: give the private one";
	if (text_contains_nocase(pem, TEXT("-----BEGIN CERTIFICATE")))
		return "it is a certificate: give a private key";
	return "there is no private key in it (-----BEGIN PRIVATE KEY-----)";
}

static enum err read_pem(struct dkim_key *key, struct text pem, const char **why_out)
{
	bool asked = false;
	BIO *bio;

	if (pem.len > PEM_MAX)
		return refuse(why_out, "it is too long for a key");
	bio = BIO_new_mem_buf(pem.len ? pem.at : "", (int)pem.len);
	if (!bio)
		return ERR_MEMORY;
	key->pkey = PEM_read_bio_PrivateKey(bio, NULL, give_no_passphrase, &asked);
	BIO_free(bio);
	if (asked)
		return refuse(why_out, "the key is encrypted: give it without a passphrase "
				       "(openssl pkey -in FILE)");
	return key->pkey ? OK : refuse(why_out, what_else(pem));
}

static enum err take_kind(struct dkim_key *key, const char **why_out)
{
	int bits = EVP_PKEY_get_bits(key->pkey);

	switch (EVP_PKEY_get_base_id(key->pkey)) {
	case EVP_PKEY_ED25519:
		key->is_ed25519 = true;
		key->algorithm = "ed25519-sha256";
		return OK;
	case EVP_PKEY_RSA:
		key->algorithm = "rsa-sha256";
		if (bits < RSA_LEAST)
			return refuse(why_out, "the RSA key is under 1024 bits, which receivers "
					       "take for no signature: make one of 2048");
		if (bits > RSA_MOST)
			return refuse(why_out, "the RSA key is over 4096 bits, which receivers "
					       "need not verify: make one of 2048");
		return OK;
	case EVP_PKEY_EC:
		return refuse(why_out, "it is an EC key: DKIM takes RSA and Ed25519");
	default:
		return refuse(why_out, "the key is of a kind that DKIM lacks: give RSA or Ed25519");
	}
}

static bool verifies(const struct dkim_key *key, const unsigned char digest[DKIM_HASH],
	const unsigned char *signature, size_t len)
{
	bool ok;

	if (key->is_ed25519) {
		EVP_MD_CTX *context = EVP_MD_CTX_new();

		ok = context && EVP_DigestVerifyInit(context, NULL, NULL, NULL, key->pkey) == 1 &&
		     EVP_DigestVerify(context, signature, len, digest, DKIM_HASH) == 1;
		EVP_MD_CTX_free(context);
	} else {
		EVP_PKEY_CTX *context = EVP_PKEY_CTX_new(key->pkey, NULL);

		ok = context && EVP_PKEY_verify_init(context) == 1 &&
		     EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PADDING) == 1 &&
		     EVP_PKEY_CTX_set_signature_md(context, EVP_sha256()) == 1 &&
		     EVP_PKEY_verify(context, signature, len, digest, DKIM_HASH) == 1;
		EVP_PKEY_CTX_free(context);
	}
	return ok;
}

/* A key whose halves do not belong together signs, and nobody finds the signature good. */
static enum err try_out(const struct dkim_key *key, const char **why_out)
{
	static const char trial[] = "DKIM";
	unsigned char signature[DKIM_SIGNATURE_MAX], digest[DKIM_HASH];
	size_t len;
	enum err err = dkim_key_sign(key, TEXT(trial), signature, &len);

	if (err == ERR_MEMORY)
		return err;
	if (err || !EVP_Digest(trial, strlen(trial), digest, NULL, EVP_sha256(), NULL) ||
		!verifies(key, digest, signature, len))
		return refuse(why_out, "the private key is damaged: what it signs is not good");
	return OK;
}

enum err dkim_key_open(struct text pem, struct text domain, struct text selector,
	struct dkim_key **key_out, const char **why_out)
{
	struct dkim_key *key = calloc(1, sizeof(*key));
	enum err err;

	if (!key)
		return ERR_MEMORY;
	ERR_set_mark(); /* what others find in the thread's queue is theirs */
	err = take_names(key, domain, selector, why_out);
	if (!err)
		err = read_pem(key, pem, why_out);
	if (!err)
		err = take_kind(key, why_out);
	if (!err)
		err = try_out(key, why_out);
	ERR_pop_to_mark();
	if (err) {
		dkim_key_close(key);
		return err;
	}
	*key_out = key;
	return OK;
}

void dkim_key_close(struct dkim_key *key)
{
	if (!key)
		return;
	EVP_PKEY_free(key->pkey);
	free(key);
}

struct text dkim_key_domain(const struct dkim_key *key)
{
	return text_of(key->domain);
}

struct text dkim_key_selector(const struct dkim_key *key)
{
	return text_of(key->selector);
}

const char *dkim_key_warning(const struct dkim_key *key)
{
	if (!key->is_ed25519 && EVP_PKEY_get_bits(key->pkey) < RSA_RECOMMENDED)
		return "the RSA key is under 2048 bits, which some receivers find weak";
	return NULL;
}

/* ---- the record in DNS */

static int public_half(const struct dkim_key *key, unsigned char out[PUBLIC_MAX])
{
	size_t len = PUBLIC_MAX;
	unsigned char *at = out;
	int der;

	if (key->is_ed25519) /* RFC 8463 4.2: the key itself */
		return EVP_PKEY_get_raw_public_key(key->pkey, out, &len) == 1 ? (int)len : -1;
	der = i2d_PUBKEY(key->pkey, NULL);
	return der > 0 && der <= PUBLIC_MAX ? i2d_PUBKEY(key->pkey, &at) : -1;
}

void dkim_key_record(const struct dkim_key *key, struct buf *out)
{
	unsigned char bytes[PUBLIC_MAX], base64[PUBLIC_MAX * 4 / 3 + 4];
	int len = public_half(key, bytes);

	if (len < 0) {
		out->err = out->err ? out->err : ERR_MEMORY;
		return;
	}
	EVP_EncodeBlock(base64, bytes, len);
	buf_add_string(out, key->is_ed25519 ? "v=DKIM1; k=ed25519; p=" : "v=DKIM1; k=rsa; p=");
	buf_add_string(out, (const char *)base64);
}

/* ---- signing */

static bool sign_rsa(EVP_PKEY *pkey, const unsigned char digest[DKIM_HASH],
	unsigned char *signature_out, size_t *len_out)
{
	EVP_PKEY_CTX *context = EVP_PKEY_CTX_new(pkey, NULL);
	bool ok = context && EVP_PKEY_sign_init(context) == 1 &&
		  EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PADDING) == 1 &&
		  EVP_PKEY_CTX_set_signature_md(context, EVP_sha256()) == 1 &&
		  EVP_PKEY_sign(context, signature_out, len_out, digest, DKIM_HASH) == 1;

	EVP_PKEY_CTX_free(context);
	return ok;
}

/* RFC 8463 3: what Ed25519 signs is the SHA-256, as a message of 32 bytes. */
static bool sign_ed25519(EVP_PKEY *pkey, const unsigned char digest[DKIM_HASH],
	unsigned char *signature_out, size_t *len_out)
{
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	bool ok = context && EVP_DigestSignInit(context, NULL, NULL, NULL, pkey) == 1 &&
		  EVP_DigestSign(context, signature_out, len_out, digest, DKIM_HASH) == 1;

	EVP_MD_CTX_free(context);
	return ok;
}

enum err dkim_key_sign(const struct dkim_key *key, struct text text,
	unsigned char signature_out[DKIM_SIGNATURE_MAX], size_t *len_out)
{
	unsigned char digest[DKIM_HASH];
	size_t len = DKIM_SIGNATURE_MAX;
	bool ok;

	ERR_set_mark();
	ok = EVP_Digest(text.at, text.len, digest, NULL, EVP_sha256(), NULL) == 1 &&
	     (key->is_ed25519 ? sign_ed25519 : sign_rsa)(key->pkey, digest, signature_out, &len);
	ERR_pop_to_mark();
	if (!ok)
		return ERR_TLS;
	*len_out = len;
	return OK;
}
