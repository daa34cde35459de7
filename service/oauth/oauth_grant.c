#include "service/oauth/oauth_grant.h"

#include "http/json/json.h"

#include <cjson/cJSON.h>
#include <string.h>

enum { EXPIRES_GUESS_S = 3600, EXPIRES_MIN_S = 2, EXPIRES_MAX_S = 30 * 86400, SECRET_MIN = 4 };

/* ---- the request */

/* RFC 6749 appendix B: all but the unreserved (RFC 3986 section 2.3) is escaped. */
static void add_escaped(struct buf *out, struct text text)
{
	for (size_t i = 0; i < text.len; i++) {
		char byte = text.at[i];

		if (byte_is_letter(byte) || byte_is_digit(byte) ||
			(byte && memchr("-._~", byte, 4)))
			buf_add_byte(out, byte);
		else
			buf_addf(out, "%%%02X", (unsigned char)byte);
	}
}

static void add_field(struct buf *out, const char *name, struct text value)
{
	if (!value.len)
		return;
	buf_addf(out, "&%s=", name);
	add_escaped(out, value);
}

void oauth_add_request(const struct oauth_grant *grant, struct buf *out)
{
	buf_add_string(out, grant->refresh_token.len ? "grant_type=refresh_token"
						     : "grant_type=client_credentials");
	add_field(out, "client_id", grant->client_id);
	add_field(out, "client_secret", grant->client_secret);
	add_field(out, "refresh_token", grant->refresh_token);
	add_field(out, "scope", grant->scope);
}

/* ---- the answer */

static struct text member(const struct json *json, const char *name)
{
	return json_string(json, cJSON_GetObjectItemCaseSensitive(json->root, name));
}

/* What may stand in a header or an AUTH command without being mistaken for its end (RFC 6749
 * appendix A: VSCHAR, here without the space). */
static bool is_token(struct text token)
{
	for (size_t i = 0; i < token.len; i++)
		if (token.at[i] <= ' ' || token.at[i] > '~')
			return false;
	return token.len > 0 && token.len <= OAUTH_TOKEN_BYTES;
}

static bool holds(struct text words, struct text secret)
{
	return secret.len >= SECRET_MIN &&
	       memmem(words.at, words.len, secret.at, secret.len) != NULL;
}

/* Words of the endpoint's that may be shown, in one line and cut between characters. JSON's strings
 * are UTF-8. */
static struct text show(struct text words, const struct oauth_grant *grant, struct region *region)
{
	struct buf shown = buf_born(OAUTH_WORDS);
	struct text kept;
	bool is_plain;

	if (!words.len)
		return (struct text){ 0 };
	if (holds(words, grant->client_secret) || holds(words, grant->refresh_token))
		return TEXT("(left out: it repeats a secret)");
	words = text_head(words, OAUTH_WORDS);
	while (words.len && !text_is_utf8(words))
		words.len--;
	is_plain = !text_has_control(words);
	for (size_t i = 0; i < words.len; i++) {
		unsigned char byte = (unsigned char)words.at[i];

		if (byte < ' ' || byte == 0x7f)
			buf_add_byte(&shown, ' ');
		else
			buf_add_byte(&shown, byte < 0x80 || is_plain ? words.at[i] : '?');
	}
	kept = region_copy(region, text_trim(buf_text(&shown)));
	buf_free(&shown);
	return kept;
}

/* A number, or, as some write it, digits in a string. */
static uint64_t read_life(const struct json *json)
{
	const struct cJSON *value = cJSON_GetObjectItemCaseSensitive(json->root, "expires_in");
	uint64_t seconds = EXPIRES_GUESS_S;

	if (cJSON_IsNumber(value))
		seconds = value->valuedouble >= EXPIRES_MAX_S ? EXPIRES_MAX_S
			  : value->valuedouble > 0            ? (uint64_t)value->valuedouble
							      : 0;
	else if (cJSON_IsString(value) && !text_to_u64(json_string(json, value), &seconds))
		seconds = EXPIRES_GUESS_S;
	if (seconds > EXPIRES_MAX_S)
		return EXPIRES_MAX_S;
	return seconds < EXPIRES_MIN_S ? EXPIRES_MIN_S : seconds;
}

/* RFC 6749 section 5.1 */
static void read_granted(const struct json *json, struct oauth_answer *answer)
{
	struct text type = member(json, "token_type"), next = member(json, "refresh_token");

	answer->token = member(json, "access_token");
	if (!answer->token.len)
		answer->why = "it holds no access_token";
	else if (!is_token(answer->token))
		answer->why = "its access_token is too long, or holds what a token may not";
	else if (type.len && !text_equal_nocase(type, TEXT("bearer")))
		answer->why = "its token_type is not \"Bearer\"";
	if (answer->why)
		return;
	answer->result = OAUTH_GRANTED;
	answer->expires_s = read_life(json);
	if (is_token(next))
		answer->refresh_token = next;
}

/* May it be otherwise in a while? RFC 6749 section 5.2, and what HTTP has for "not now". */
static bool may_pass(long status, struct text error)
{
	return status / 100 != 4 || status == 408 || status == 425 || status == 429 ||
	       text_equal(error, TEXT("temporarily_unavailable")) ||
	       text_equal(error, TEXT("server_error"));
}

static const char *why_not(long status)
{
	if (status / 100 == 3)
		return "it redirects elsewhere, which is not followed";
	return status / 100 == 2 ? "its answer is not JSON" : "it gives no reason";
}

void oauth_read_answer(long status, struct buf *body, const struct oauth_grant *grant,
	struct region *region, struct oauth_answer *answer_out)
{
	struct oauth_answer answer = { .result = OAUTH_FAILED };
	struct json json = { 0 };

	if (body->err || !body->len || json_parse(body->at, body->len, region, &json) ||
		!cJSON_IsObject(json.root)) {
		answer.why = body->err ? "its answer is over 64 KB" : why_not(status);
	} else {
		if (status == 200)
			read_granted(&json, &answer);
		if (answer.result != OAUTH_GRANTED) {
			answer.error = show(member(&json, "error"), grant, region);
			answer.description =
				show(member(&json, "error_description"), grant, region);
		}
		if (status != 200 && !answer.error.len)
			answer.why = why_not(status);
	}
	if (answer.result != OAUTH_GRANTED) {
		answer.result = may_pass(status, answer.error) ? OAUTH_FAILED : OAUTH_REFUSED;
		answer.token = (struct text){ 0 };
	}
	*answer_out = answer;
}

const char *oauth_result_name(enum oauth_result result)
{
	static const char *const names[OAUTH_RESULTS] = {
		[OAUTH_GRANTED] = "granted", [OAUTH_REFUSED] = "refused", [OAUTH_FAILED] = "failed"
	};

	return names[result];
}

const char *oauth_hint(struct text error)
{
	static const struct {
		const char *error, *hint;
	} hints[] = {
		{ "invalid_grant", "The refresh token has expired, was revoked or is not this "
				   "client's: sign in anew and set SMTP_OAUTH_REFRESH_TOKEN." },
		{ "invalid_client", "Check SMTP_OAUTH_CLIENT_ID and SMTP_OAUTH_CLIENT_SECRET; the "
				    "secrets of app registrations expire." },
		{ "unauthorized_client",
			"The provider does not allow this client this grant: check the "
			"app registration, and SMTP_OAUTH_CLIENT_ID." },
		{ "invalid_scope", "Check SMTP_OAUTH_SCOPE: the provider does not know it, or does "
				   "not grant it." },
		{ "unsupported_grant_type",
			"The provider does not know this grant: with SMTP_OAUTH_REFRESH_TOKEN a "
			"token is refreshed, without it the client's own credentials are used." },
	};

	for (size_t i = 0; i < sizeof(hints) / sizeof(hints[0]); i++)
		if (text_equal(error, text_of(hints[i].error)))
			return hints[i].hint;
	return "Check SMTP_OAUTH_TOKEN_URL and the other SMTP_OAUTH_… settings.";
}
