/* What a stranger could learn from how long a refusal takes (S-46): nothing about the secret, for
 * everybody goes through the same hash and the same comparisons in constant time. They are counted
 * here. By hand, the time itself: KEYS_TIMING=1000000 build/release/tests/test_service_keys_timing
 */
#include "service/keys/keys.h"

#include <dlfcn.h>
#include <math.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <time.h>

#include "load.h"
#include "service/keys/keys_file.h"
#include "unit.h"

#define SECRET "abcdefghijklmnopqrstuvwxyz_-ABCDEFGHIJKLMNO" /* 43 characters */
#define OTHER  "abcdefghijklmnopqrstuvwxyz_-ABCDEFGHIJKLMNP"

enum { MOST = 512 }; /* bytes of a key that is looked at */

static const int64_t now_ms = INT64_C(1767225600000); /* 2026-01-01T00:00:00Z */

/* ---- libcrypto's, counted: a program's own stand before a library's */

static unsigned compared, digested;
static size_t compared_bytes;

int CRYPTO_memcmp(const void *a, const void *b, size_t len)
{
	const volatile unsigned char *x = a, *y = b;
	unsigned char differs = 0;

	compared++;
	compared_bytes += len;
	for (size_t i = 0; i < len; i++)
		differs |= x[i] ^ y[i];
	return differs;
}

typedef int digest_function(const void *bytes, size_t len, unsigned char *out, unsigned *out_len,
	const EVP_MD *type, ENGINE *engine);

int EVP_Digest(const void *bytes, size_t len, unsigned char *out, unsigned *out_len,
	const EVP_MD *type, ENGINE *engine)
{
	static digest_function *usual;

	if (!usual)
		*(void **)&usual = dlsym(RTLD_NEXT, "EVP_Digest");
	digested++;
	return usual(bytes, len, out, out_len, type, engine);
}

/* ---- keys */

static void add_hash(struct buf *out, const char *key)
{
	unsigned char digest[KEY_HASH_BYTES];

	ck_assert(EVP_Digest(key, strlen(key), digest, NULL, EVP_sha256(), NULL));
	buf_add_string(out, "sha256:");
	for (size_t i = 0; i < sizeof(digest); i++)
		buf_addf(out, "%02x", digest[i]);
}

/* "web", "old" that is expired, and "turned", whose former secret is OTHER. */
static struct keys *some_keys(const char *single)
{
	struct buf file = buf_born(4096), why = buf_born(1000);
	struct keys *keys = NULL;
	char *path;

	buf_add_string(&file, "{\"keys\":[{\"id\":\"web\",\"hash\":\"");
	add_hash(&file, "lg_web_" SECRET);
	buf_add_string(
		&file, "\"},{\"id\":\"old\",\"expires\":\"2020-01-01T00:00:00Z\",\"hash\":\"");
	add_hash(&file, "lg_old_" SECRET);
	buf_add_string(&file,
		"\"},{\"id\":\"turned\",\"old_expires\":\"2020-01-01T00:00:00Z\",\"hash\":\"");
	add_hash(&file, "lg_turned_" SECRET);
	buf_add_string(&file, "\",\"old_hash\":\"");
	add_hash(&file, "lg_turned_" OTHER);
	buf_add(&file, (struct text){ "\"}]}", 5 }); /* with its NUL */
	path = file_of(file.at);
	ck_assert_int_eq(keys_load(path, single, &keys, &why), OK);
	remove_file(path);
	buf_free(&file);
	return keys;
}

static bool admits(const struct keys *keys, struct text secret, struct region *region)
{
	struct caller caller;

	return keys_admit(keys, secret, now_ms, region, &caller);
}

static const struct {
	const char *secret;
	bool admitted;
} rows[] = {
	{ "lg_web_" SECRET, true },
	{ "lg_web_" OTHER, false },
	{ "lg_webb_" SECRET, false }, /* an unknown id */
	{ "lg_nobody_" SECRET, false },
	{ "lg_old_" SECRET, false },
	{ "lg_old_" OTHER, false },
	{ "lg_turned_" SECRET, true },
	{ "lg_turned_" OTHER, false },
	{ "lg__" SECRET, false },
	{ SECRET, false }, /* no id at all */
	{ "x", false },
	{ "the only key there is", false },
};

START_TEST(everybody_goes_through_the_same_hash_and_comparisons)
{
	struct keys *keys = some_keys("");
	struct region *region;

	ck_assert_int_eq(region_open(1 << 20, &region), OK);
	compared = digested = 0;
	compared_bytes = 0;
	ck_assert_int_eq(admits(keys, text_of(rows[_i].secret), region), rows[_i].admitted);
	ck_assert_uint_eq(digested, 1);
	ck_assert_uint_eq(compared, 3); /* with API_KEY, the hash, the one that it replaced */
	ck_assert_uint_eq(compared_bytes, 3 * KEY_HASH_BYTES);
	region_close(region);
	keys_free(keys);
}
END_TEST

START_TEST(a_single_key_is_compared_in_the_same_way)
{
	static const char only[] = "the only key there is";
	static const char *const others[] = { "the only key there iz", "another", OTHER };
	struct keys *keys = some_keys(only);
	struct region *region;

	ck_assert_int_eq(region_open(1 << 20, &region), OK);
	compared = digested = 0;
	ck_assert(admits(keys, text_of(only), region));
	for (unsigned i = 0; i < 3; i++)
		ck_assert(!admits(keys, text_of(others[i]), region));
	ck_assert_uint_eq(digested, 4);
	ck_assert_uint_eq(compared, 4 * 3);
	region_close(region);
	keys_free(keys);
}
END_TEST

/* Nobody's key is empty or longer: no time is spent on these. */
START_TEST(what_can_be_no_key_is_not_hashed)
{
	struct keys *keys = some_keys("");
	char huge[MOST + 1];
	struct region *region;

	memset(huge, 'a', sizeof(huge));
	ck_assert_int_eq(region_open(1 << 20, &region), OK);
	digested = 0;
	ck_assert(!admits(keys, TEXT(""), region));
	ck_assert(!admits(keys, (struct text){ huge, sizeof(huge) }, region));
	ck_assert_uint_eq(digested, 0);
	ck_assert(!admits(keys, (struct text){ huge, sizeof(huge) - 1 }, region));
	ck_assert_uint_eq(digested, 1);
	region_close(region);
	keys_free(keys);
}
END_TEST

/* ---- by hand: Welch's t between two kinds of refusals, as dudect does it
 *
 * The first pair must not differ. The second differs by the look-up, some nanoseconds: an id is no
 * secret, it is in the log. */

struct sample {
	double count, mean, squares;
};

static void add_to(struct sample *sample, double value)
{
	double off = value - sample->mean;

	sample->mean += off / ++sample->count;
	sample->squares += off * (value - sample->mean);
}

static double t_of(const struct sample *a, const struct sample *b)
{
	double spread =
		a->squares / (a->count - 1) / a->count + b->squares / (b->count - 1) / b->count;

	return (a->mean - b->mean) / sqrt(spread);
}

static double ns_of(const struct keys *keys, const char *secret, struct region *region)
{
	static char key[MOST]; /* the same place for all: where a string lies takes its time, too */
	struct timespec from, to;

	snprintf(key, sizeof(key), "%s", secret);
	clock_gettime(CLOCK_MONOTONIC, &from);
	(void)admits(keys, text_of(key), region);
	clock_gettime(CLOCK_MONOTONIC, &to);
	return (double)(to.tv_sec - from.tv_sec) * 1e9 + (double)(to.tv_nsec - from.tv_nsec);
}

/* Interleaved by chance; what took twice the usual time was interrupted, and is left out. */
static void compare(const char *what, const char *one, const char *two, long times)
{
	struct keys *keys = some_keys("");
	struct sample kinds[2] = { 0 }, usual = { 0 };
	struct region *region;

	ck_assert_int_eq(region_open(1 << 20, &region), OK);
	for (int i = 0; i < 10000; i++)
		add_to(&usual, ns_of(keys, one, region));
	for (long i = 0; i < times; i++) {
		int kind = (int)(random() >> 8 & 1);
		double ns = ns_of(keys, kind ? two : one, region);

		if (ns < 2 * usual.mean)
			add_to(&kinds[kind], ns);
	}
	printf("%s: %.1f and %.1f ns, |t| = %.2f (4.5 is where dudect begins to doubt)\n", what,
		kinds[0].mean, kinds[1].mean, fabs(t_of(&kinds[0], &kinds[1])));
	region_close(region);
	keys_free(keys);
}

START_TEST(by_hand_how_long_refusals_take)
{
	long times = strtol(getenv("KEYS_TIMING"), NULL, 10);

	compare("a secret wrong at its end, and at its beginning", "lg_web_" OTHER,
		"lg_web_Xbcdefghijklmnopqrstuvwxyz_-ABCDEFGHIJKLMNO", times);
	compare("a known id, and an unknown one", "lg_web_" OTHER, "lg_wex_" OTHER, times);
}
END_TEST

UNIT_MAIN(keys_timing,
	  tcase_add_loop_test(cases, everybody_goes_through_the_same_hash_and_comparisons, 0,
		  sizeof(rows) / sizeof(rows[0]));
	  tcase_add_test(cases, a_single_key_is_compared_in_the_same_way);
	  tcase_add_test(cases, what_can_be_no_key_is_not_hashed);
	  if (getenv("KEYS_TIMING")) tcase_add_test(cases, by_hand_how_long_refusals_take);)
