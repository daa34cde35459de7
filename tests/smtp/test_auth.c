#include "smtp/auth.h"
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

UNIT_MAIN(auth, tcase_add_test(cases, scram_gives_the_published_proof);
	  tcase_add_test(cases, cram_md5_gives_the_published_digest);
	  tcase_add_test(cases, an_endless_or_rubbish_challenge_is_cancelled);)
