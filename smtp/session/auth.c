#include "smtp/session/auth.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "smtp/session/scram.h"

static const struct {
	enum smtp_mechanism mechanism;
	const char *name;
} mechanisms[] = {
	{ SMTP_PLAIN, "PLAIN" },
	{ SMTP_LOGIN, "LOGIN" },
	{ SMTP_CRAM_MD5, "CRAM-MD5" },
	{ SMTP_SCRAM_SHA_256, "SCRAM-SHA-256" },
	{ SMTP_XOAUTH2, "XOAUTH2" },
	{ SMTP_OAUTHBEARER, "OAUTHBEARER" },
};

enum { MECHANISMS = sizeof(mechanisms) / sizeof(mechanisms[0]) };

const char *smtp_mechanism_name(enum smtp_mechanism mechanism)
{
	for (size_t i = 0; i < MECHANISMS; i++)
		if (mechanisms[i].mechanism == mechanism)
			return mechanisms[i].name;
	return "";
}

enum smtp_mechanism smtp_mechanism_named(struct text name)
{
	for (size_t i = 0; i < MECHANISMS; i++)
		if (text_equal_nocase(name, text_of(mechanisms[i].name)))
			return mechanisms[i].mechanism;
	return SMTP_AUTH_NONE;
}

/* What SASLprep leaves as it is. */
static bool is_printable_ascii(struct text text)
{
	return text_is_ascii(text) && !text_has_control(text);
}

static bool can_be_said(struct text secret)
{
	return text_is_utf8(secret) && text_find(secret, 0) == secret.len;
}

const char *smtp_auth_why_not(
	enum smtp_mechanism mechanism, const struct smtp_credentials *credentials)
{
	if (!can_be_said(credentials->user) || !can_be_said(credentials->pass) ||
		!can_be_said(credentials->token))
		return "user, password or token are not UTF-8";
	if (mechanism == SMTP_SCRAM_SHA_256 &&
		!(is_printable_ascii(credentials->user) && is_printable_ascii(credentials->pass)))
		return "SCRAM-SHA-256 takes user and password in ASCII only: set SMTP_AUTH=plain";
	return NULL;
}

enum smtp_mechanism smtp_mechanism_best(
	unsigned offered, const struct smtp_credentials *credentials)
{
	static const enum smtp_mechanism with_token[] = { SMTP_XOAUTH2, SMTP_OAUTHBEARER,
		SMTP_AUTH_NONE };
	static const enum smtp_mechanism with_password[] = { SMTP_SCRAM_SHA_256, SMTP_PLAIN,
		SMTP_LOGIN, SMTP_AUTH_NONE };
	const enum smtp_mechanism *order = credentials->token.len ? with_token : with_password;

	if (smtp_auth_why_not(SMTP_SCRAM_SHA_256, credentials))
		offered &= ~(unsigned)SMTP_SCRAM_SHA_256;
	while (*order && !(offered & *order))
		order++;
	return *order;
}

static void add_base64(struct buf *out, struct text text)
{
	size_t len = (text.len + 2) / 3 * 4;
	char *room = buf_reserve(out, len + 1); /* EVP writes a NUL behind */

	if (!room)
		return;
	EVP_EncodeBlock((unsigned char *)room, (const unsigned char *)text.at, (int)text.len);
	buf_took(out, len);
}

/* Strict base64 of a challenge into `out`; false: rubbish. */
static bool decode(struct text base64, struct buf *out)
{
	size_t padding = 0;
	char *room;
	int len;

	if (base64.len == 0)
		return true;
	if (base64.len % 4 || base64.len > SMTP_AUTH_BYTES)
		return false;
	while (padding < 2 && base64.at[base64.len - 1 - padding] == '=')
		padding++;
	room = buf_reserve(out, base64.len);
	len = room ? EVP_DecodeBlock((unsigned char *)room, (const unsigned char *)base64.at,
			     (int)base64.len)
		   : -1;
	if (len < 0)
		return false;
	buf_took(out, (size_t)len - padding);
	return true;
}

static void add_plain(const struct smtp_credentials *credentials, struct buf *out)
{
	buf_add_byte(out, 0);
	buf_add(out, credentials->user);
	buf_add_byte(out, 0);
	buf_add(out, credentials->pass);
}

static void add_xoauth2(const struct smtp_credentials *credentials, struct buf *out)
{
	buf_add_string(out, "user=");
	buf_add(out, credentials->user);
	buf_add_string(out, "\001auth=Bearer ");
	buf_add(out, credentials->token);
	buf_add_string(out, "\001\001");
}

/* RFC 7628 section 3.1; without a user the token says who it is. */
static void add_oauthbearer(const struct smtp_credentials *credentials, struct buf *out)
{
	buf_add_string(out, credentials->user.len ? "n,a=" : "n,");
	scram_add_name(out, credentials->user);
	buf_addf(out, ",\001host=%.*s\001port=%u\001auth=Bearer ", (int)credentials->host.len,
		credentials->host.at ? credentials->host.at : "", credentials->port);
	buf_add(out, credentials->token);
	buf_add_string(out, "\001\001");
}

enum err smtp_auth_start(struct smtp_auth *auth, enum smtp_mechanism mechanism,
	const struct smtp_credentials *credentials, const unsigned char nonce[18], struct buf *out)
{
	struct buf response = buf_born(SMTP_AUTH_BYTES);
	enum err err = OK;

	if (smtp_auth_why_not(mechanism, credentials))
		return ERR_VALUE;
	*auth = (struct smtp_auth){ .mechanism = mechanism };
	if (mechanism == SMTP_PLAIN)
		add_plain(credentials, &response);
	else if (mechanism == SMTP_XOAUTH2)
		add_xoauth2(credentials, &response);
	else if (mechanism == SMTP_OAUTHBEARER)
		add_oauthbearer(credentials, &response);
	else if (mechanism == SMTP_SCRAM_SHA_256)
		err = scram_start(auth, credentials, nonce, &response);
	buf_add_string(out, "AUTH ");
	buf_add_string(out, smtp_mechanism_name(mechanism));
	if (response.len) {
		buf_add_byte(out, ' ');
		add_base64(out, buf_text(&response));
	}
	if (!err)
		err = response.err ? response.err : out->err;
	buf_wipe(&response);
	return err;
}

/* RFC 2195: "user hex(HMAC-MD5(pass, challenge))". */
static void add_cram_md5(
	const struct smtp_credentials *credentials, struct text challenge, struct buf *out)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned int len = 0;

	HMAC(EVP_md5(), credentials->pass.at ? credentials->pass.at : "",
		(int)credentials->pass.len, (const unsigned char *)challenge.at, challenge.len,
		digest, &len);
	buf_add(out, credentials->user);
	buf_add_byte(out, ' ');
	for (unsigned int i = 0; i < len; i++)
		buf_addf(out, "%02x", digest[i]);
}

static enum err answer_scram(struct smtp_auth *auth, const struct smtp_credentials *credentials,
	struct text challenge, struct buf *response)
{
	if (auth->rounds == 1)
		return scram_answer(auth, credentials, challenge, response);
	auth->verified = scram_is_verified(auth, challenge);
	return auth->verified ? OK : ERR_VALUE; /* the answer to the final message is empty */
}

/* What to say to a challenge that was decoded; an error: cancel. */
static enum err answer(struct smtp_auth *auth, const struct smtp_credentials *credentials,
	struct text challenge, struct buf *response)
{
	switch (auth->mechanism) {
	case SMTP_LOGIN:
		if (auth->rounds > 2)
			return ERR_LIMIT;
		buf_add(response, auth->rounds == 1 ? credentials->user : credentials->pass);
		return response->err;
	case SMTP_CRAM_MD5:
		if (auth->rounds > 1)
			return ERR_LIMIT;
		add_cram_md5(credentials, challenge, response);
		return response->err;
	case SMTP_SCRAM_SHA_256:
		return answer_scram(auth, credentials, challenge, response);
	case SMTP_PLAIN: /* a relay that did not read the initial response */
		if (auth->rounds > 1)
			return ERR_LIMIT;
		add_plain(credentials, response);
		return response->err;
	case SMTP_OAUTHBEARER: /* the error challenge: let the relay come to its 535 */
		buf_add_byte(response, 1);
		__attribute__((fallthrough));
	case SMTP_XOAUTH2:
		return auth->rounds > 1 ? ERR_LIMIT : response->err;
	default:
		return ERR_VALUE;
	}
}

enum err smtp_auth_next(struct smtp_auth *auth, const struct smtp_credentials *credentials,
	struct text challenge, struct buf *out)
{
	struct buf decoded = buf_born(SMTP_AUTH_BYTES + 4), response = buf_born(SMTP_AUTH_BYTES);
	/* LOGIN's challenges are prompts, which some relays send unencoded */
	bool readable = auth->mechanism == SMTP_LOGIN || decode(challenge, &decoded);

	auth->cancelled = ++auth->rounds > SMTP_AUTH_ROUNDS || !readable ||
			  answer(auth, credentials, buf_text(&decoded), &response);
	if (auth->cancelled)
		buf_add_byte(out, '*');
	else
		add_base64(out, buf_text(&response));
	buf_wipe(&decoded);
	buf_wipe(&response);
	return out->err;
}

bool smtp_auth_is_proven(struct smtp_auth *auth, struct text success_text)
{
	struct buf decoded = buf_born(SMTP_AUTH_BYTES + 4);

	if (auth->cancelled)
		return false;
	if (auth->mechanism != SMTP_SCRAM_SHA_256)
		return true;
	if (!auth->verified && decode(text_cut(&success_text, ' '), &decoded))
		auth->verified = scram_is_verified(auth, buf_text(&decoded));
	buf_free(&decoded);
	return auth->verified;
}

void smtp_auth_wipe(struct smtp_auth *auth)
{
	buf_wipe(&auth->first);
	OPENSSL_cleanse(auth, sizeof(*auth));
}
