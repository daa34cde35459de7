#include "smtp/session/scram.h"
#include "unit.h"

#include <string.h>

/* RFC 7677 section 3, in base64 as SMTP carries it. */
static const char server_first[] = "cj1yT3ByTkdmd0ViZVJXZ2JORWtxTyVodllEcFdVYTJSYVRDQWZ1eEZJbGopaE5"
				   "sRiRrMCxzPVcyMlphSjBTTlk3c29F"
				   "c1VFamI2Z1E9PSxpPTQwOTY=";
static const char client_final[] = "Yz1iaXdzLHI9ck9wck5HZndFYmVSV2diTkVrcU8laHZZRHBXVWEyUmFUQ0FmdXh"
				   "GSWxqKWhObEYkazAscD1kSHpiWmFw"
				   "V0lrNGpVaE4rVXRlOXl0YWc5empmTUhnc3FtbWl6N0FuZFZRPQ==";
static const char server_final[] =
	"dj02cnJpVFJCaTIzV3BSUi93dHVwK21NaFVaVW4vZEI1bkxUSlJzamw5NUc0PQ==";

START_TEST(scram_gives_the_published_proof)
{
	struct smtp_credentials who = { .user = TEXT("user"), .pass = TEXT("pencil") };
	struct buf out = buf_born(4096);
	struct smtp_auth auth = { .mechanism = SMTP_SCRAM_SHA_256, .first = buf_born(256) };

	memcpy(auth.nonce, "rOprNGfwEbeRWgbNEkqO", 21);
	buf_add(&auth.first, TEXT("n=user,r=rOprNGfwEbeRWgbNEkqO"));
	ck_assert_int_eq(smtp_auth_next(&auth, &who, text_of(server_first), &out), OK);
	ck_assert(text_equal(buf_text(&out), text_of(client_final)));
	ck_assert(!smtp_auth_is_proven(&auth, TEXT("Authentication successful")));
	ck_assert(!smtp_auth_is_proven(&auth, TEXT("dj1hYWFh")));
	ck_assert(smtp_auth_is_proven(&auth, text_of(server_final)));
	smtp_auth_wipe(&auth);
	buf_free(&out);
}
END_TEST

/* Keys that were derived before are used as they are, for the same salt and iterations alone. */
START_TEST(scram_keys_serve_the_next_session)
{
	struct scram_keys keys = { 0 }, first;
	struct smtp_credentials who = {
		.user = TEXT("user"), .pass = TEXT("pencil"), .scram_keys = &keys
	};
	struct buf out = buf_born(4096);

	for (int session = 0; session < 3; session++) {
		struct smtp_auth auth = { .mechanism = SMTP_SCRAM_SHA_256, .first = buf_born(256) };

		memcpy(auth.nonce, "rOprNGfwEbeRWgbNEkqO", 21);
		buf_add(&auth.first, TEXT("n=user,r=rOprNGfwEbeRWgbNEkqO"));
		buf_clear(&out);
		ck_assert_int_eq(smtp_auth_next(&auth, &who, text_of(server_first), &out), OK);
		if (session == 0)
			first = keys;
		if (session == 1) { /* it is these that were used */
			ck_assert(!text_equal(buf_text(&out), text_of(client_final)));
			keys.iterations--;
		} else {
			ck_assert(text_equal(buf_text(&out), text_of(client_final)));
			ck_assert(smtp_auth_is_proven(&auth, text_of(server_final)));
			ck_assert_mem_eq(&keys, &first, sizeof(keys));
			keys.client_key[0] ^= 1;
		}
		smtp_auth_wipe(&auth);
	}
	scram_keys_wipe(&keys);
	ck_assert_int_eq(keys.iterations, 0);
	ck_assert_int_eq(keys.client_key[5], 0);
	buf_free(&out);
}
END_TEST

START_TEST(cram_md5_gives_the_published_digest)
{
	static const unsigned char nonce[18];
	struct smtp_credentials who = { .user = TEXT("tim"), .pass = TEXT("tanstaaftanstaaf") };
	struct buf out = buf_born(4096);
	struct smtp_auth auth;

	ck_assert_int_eq(smtp_auth_start(&auth, SMTP_CRAM_MD5, &who, nonce, &out), OK);
	ck_assert(text_equal(buf_text(&out), TEXT("AUTH CRAM-MD5")));
	buf_clear(&out);
	ck_assert_int_eq(
		smtp_auth_next(&auth, &who,
			TEXT("PDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2UucmVzdG9uLm1jaS5uZXQ+"), &out),
		OK);
	ck_assert(text_equal(
		buf_text(&out), TEXT("dGltIGI5MTNhNjAyYzdlZGE3YTQ5NWI0ZTZlNzMzNGQzODkw")));
	smtp_auth_wipe(&auth);
	buf_free(&out);
}
END_TEST

START_TEST(an_endless_or_rubbish_challenge_is_cancelled)
{
	static const unsigned char nonce[18];
	struct smtp_credentials who = { .user = TEXT("u"), .pass = TEXT("p") };
	struct buf out = buf_born(4096);
	struct smtp_auth auth;

	ck_assert_int_eq(smtp_auth_start(&auth, SMTP_LOGIN, &who, nonce, &out), OK);
	for (int i = 0; i < 3; i++) {
		buf_clear(&out);
		ck_assert_int_eq(smtp_auth_next(&auth, &who, TEXT("eA=="), &out), OK);
	}
	ck_assert(text_equal(buf_text(&out), TEXT("*")));
	smtp_auth_wipe(&auth);
	buf_clear(&out);
	ck_assert_int_eq(smtp_auth_start(&auth, SMTP_SCRAM_SHA_256, &who, nonce, &out), OK);
	buf_clear(&out);
	ck_assert_int_eq(smtp_auth_next(&auth, &who, TEXT("!"), &out), OK);
	ck_assert(text_equal(buf_text(&out), TEXT("*")));
	smtp_auth_wipe(&auth);
	buf_free(&out);
}
END_TEST

START_TEST(a_name_with_a_comma_is_escaped_for_scram)
{
	static const unsigned char nonce[18];
	struct smtp_credentials who = { .user = TEXT("a,b=c"), .pass = TEXT("p") };
	struct buf out = buf_born(4096);
	struct smtp_auth auth;

	ck_assert_int_eq(smtp_auth_start(&auth, SMTP_SCRAM_SHA_256, &who, nonce, &out), OK);
	ck_assert(
		text_equal(buf_text(&auth.first), TEXT("n=a=2Cb=3Dc,r=AAAAAAAAAAAAAAAAAAAAAAAA")));
	smtp_auth_wipe(&auth);
	buf_free(&out);
}
END_TEST

/* r=…, s=…, i=… of the relay, in base64; all but the first are not to be trusted. */
static const struct {
	const char *first;
	bool taken;
} firsts[] = {
	{ "cj1yT3ByTkdmd0ViZVJXZ2JORWtxT3gscz1XMjJaYUowU05ZN3NvRXNVRWpiNmdRPT0saT00MDk2", true },
	/* the nonce is only ours */
	{ "cj1yT3ByTkdmd0ViZVJXZ2JORWtxTyxzPVcyMlphSjBTTlk3c29Fc1VFamI2Z1E9PSxpPTQwOTY=", false },
	/* 0 and 700000 iterations */
	{ "cj1yT3ByTkdmd0ViZVJXZ2JORWtxT3gscz1XMjJaYUowU05ZN3NvRXNVRWpiNmdRPT0saT0w", false },
	{ "cj1yT3ByTkdmd0ViZVJXZ2JORWtxT3gscz1XMjJaYUowU05ZN3NvRXNVRWpiNmdRPT0saT03MDAwMDA=",
		false },
	/* no salt, no nonce, nothing */
	{ "cj1yT3ByTkdmd0ViZVJXZ2JORWtxT3gscz0saT00MDk2", false },
	{ "cz1XMjJaYUowU05ZN3NvRXNVRWpiNmdRPT0saT00MDk2", false },
	{ "", false },
	/* m=…: an extension that must be understood */
	{ "bT14LHI9ck9wck5HZndFYmVSV2diTkVrcU94LHM9VzIyWmFKMFNOWTdzb0VzVUVqYjZnUT09LGk9NDA5Ng==",
		false },
};

START_TEST(a_first_message_is_trusted_or_not)
{
	struct smtp_credentials who = { .user = TEXT("user"), .pass = TEXT("pencil") };
	struct smtp_auth auth = { .mechanism = SMTP_SCRAM_SHA_256, .first = buf_born(256) };
	struct buf out = buf_born(4096);

	memcpy(auth.nonce, "rOprNGfwEbeRWgbNEkqO", 21);
	buf_add(&auth.first, TEXT("n=user,r=rOprNGfwEbeRWgbNEkqO"));
	ck_assert_int_eq(smtp_auth_next(&auth, &who, text_of(firsts[_i].first), &out), OK);
	ck_assert_int_eq(!text_equal(buf_text(&out), TEXT("*")), firsts[_i].taken);
	ck_assert_int_eq(auth.cancelled, !firsts[_i].taken);
	smtp_auth_wipe(&auth);
	buf_free(&out);
}
END_TEST

static const struct {
	enum smtp_mechanism mechanism;
	struct text user, pass;
	bool can_be_said;
} sayings[] = {
	{ SMTP_PLAIN, TEXT("u"), TEXT("p"), true },
	{ SMTP_PLAIN, TEXT("\xc3\xbc"), TEXT("p\xc3\xa4ss"), true },
	{ SMTP_PLAIN, TEXT("u"), TEXT("p\0p"), false },
	{ SMTP_PLAIN, TEXT("u\0"), TEXT("p"), false },
	{ SMTP_PLAIN, TEXT("u"), TEXT("p\xff"), false },
	{ SMTP_LOGIN, TEXT("u"), TEXT("p\xc3\xa4ss"), true },
	{ SMTP_SCRAM_SHA_256, TEXT("u"), TEXT("p p~!"), true },
	{ SMTP_SCRAM_SHA_256, TEXT("u"), TEXT("p\xc3\xa4ss"), false },
	{ SMTP_SCRAM_SHA_256, TEXT("\xc3\xbc"), TEXT("p"), false },
	{ SMTP_SCRAM_SHA_256, TEXT("u"), TEXT("p\tp"), false },
};

START_TEST(what_a_mechanism_cannot_say_is_refused)
{
	static const unsigned char nonce[18];
	struct smtp_credentials who = { .user = sayings[_i].user, .pass = sayings[_i].pass };
	struct buf out = buf_born(4096);
	struct smtp_auth auth = { 0 };

	ck_assert_int_eq(smtp_auth_start(&auth, sayings[_i].mechanism, &who, nonce, &out),
		sayings[_i].can_be_said ? OK : ERR_VALUE);
	ck_assert_int_eq(!smtp_auth_why_not(sayings[_i].mechanism, &who), sayings[_i].can_be_said);
	ck_assert_int_eq(out.len > 0, sayings[_i].can_be_said);
	smtp_auth_wipe(&auth);
	buf_free(&out);
}
END_TEST

START_TEST(the_best_mechanism_is_chosen)
{
	struct smtp_credentials pass = { .user = TEXT("u"), .pass = TEXT("p") };
	struct smtp_credentials token = { .user = TEXT("u"), .token = TEXT("t") };
	struct smtp_credentials foreign = { .user = TEXT("u"), .pass = TEXT("p\xc3\xa4ss") };
	unsigned all = SMTP_PLAIN | SMTP_LOGIN | SMTP_CRAM_MD5 | SMTP_SCRAM_SHA_256 | SMTP_XOAUTH2 |
		       SMTP_OAUTHBEARER;

	ck_assert_int_eq(smtp_mechanism_best(all, &pass), SMTP_SCRAM_SHA_256);
	ck_assert_int_eq(smtp_mechanism_best(all, &foreign), SMTP_PLAIN);
	ck_assert_int_eq(smtp_mechanism_best(SMTP_PLAIN | SMTP_LOGIN, &pass), SMTP_PLAIN);
	ck_assert_int_eq(smtp_mechanism_best(SMTP_LOGIN | SMTP_CRAM_MD5, &pass), SMTP_LOGIN);
	ck_assert_int_eq(smtp_mechanism_best(SMTP_CRAM_MD5, &pass), SMTP_AUTH_NONE);
	ck_assert_int_eq(smtp_mechanism_best(SMTP_XOAUTH2, &pass), SMTP_AUTH_NONE);
	ck_assert_int_eq(smtp_mechanism_best(all, &token), SMTP_XOAUTH2);
	ck_assert_int_eq(smtp_mechanism_best(SMTP_OAUTHBEARER, &token), SMTP_OAUTHBEARER);
	ck_assert_int_eq(smtp_mechanism_best(SMTP_PLAIN | SMTP_LOGIN, &token), SMTP_AUTH_NONE);
	ck_assert_int_eq(smtp_mechanism_best(0, &pass), SMTP_AUTH_NONE);
}
END_TEST

/* RFC 7628 section 3.1, RFC 5801 section 4 */
static const struct {
	const char *user, *says;
} bearers[] = {
	{ "me,=x", "AUTH OAUTHBEARER "
		   "bixhPW1lPTJDPTNEeCwBaG9zdD1oAXBvcnQ9NTg3AWF1dGg9QmVhcmVyIHQBAQ==" },
	{ "", "AUTH OAUTHBEARER biwsAWhvc3Q9aAFwb3J0PTU4NwFhdXRoPUJlYXJlciB0AQE=" },
};

START_TEST(oauthbearer_escapes_its_user_or_names_none)
{
	struct smtp_credentials credentials = { .user = text_of(bearers[_i].user),
		.token = TEXT("t"),
		.host = TEXT("h"),
		.port = 587 };
	struct buf out = buf_born(1024);
	struct smtp_auth auth = { 0 };

	ck_assert_int_eq(smtp_auth_start(&auth, SMTP_OAUTHBEARER, &credentials,
				 (unsigned char[18]){ 0 }, &out),
		OK);
	buf_add_byte(&out, 0);
	ck_assert_str_eq(out.at, bearers[_i].says);
	buf_free(&out);
	smtp_auth_wipe(&auth);
}
END_TEST

#define COUNT(table) ((int)(sizeof(table) / sizeof((table)[0])))

UNIT_MAIN(auth, tcase_add_test(cases, scram_gives_the_published_proof);
	  tcase_add_test(cases, scram_keys_serve_the_next_session);
	  tcase_add_test(cases, cram_md5_gives_the_published_digest);
	  tcase_add_test(cases, an_endless_or_rubbish_challenge_is_cancelled);
	  tcase_add_test(cases, a_name_with_a_comma_is_escaped_for_scram);
	  tcase_add_loop_test(cases, a_first_message_is_trusted_or_not, 0, COUNT(firsts));
	  tcase_add_loop_test(cases, what_a_mechanism_cannot_say_is_refused, 0, COUNT(sayings));
	  tcase_add_loop_test(cases, oauthbearer_escapes_its_user_or_names_none, 0, COUNT(bearers));
	  tcase_add_test(cases, the_best_mechanism_is_chosen);)
