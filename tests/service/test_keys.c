#include "service/keys/keys.h"

#include <openssl/evp.h>
#include <pthread.h>

#include "load.h"
#include "unit.h"

#define SECRET "abcdefghijklmnopqrstuvwxyz_-ABCDEFGHIJKLMNO" /* 43 characters */
#define HASH   "sha256:0000000000000000000000000000000000000000000000000000000000000000"

enum { DAY_S = 86400 };
static const int64_t now_ms = INT64_C(1767225600000); /* 2026-01-01T00:00:00Z */

static void hash_of(const char *key, char out[80])
{
	unsigned char digest[32];
	size_t len;

	ck_assert(EVP_Digest(key, strlen(key), digest, NULL, EVP_sha256(), NULL));
	len = (size_t)snprintf(out, 80, "sha256:");
	for (size_t i = 0; i < sizeof(digest); i++)
		len += (size_t)snprintf(out + len, 80 - len, "%02x", digest[i]);
}

/* A set of one key, "lg_<id>_SECRET", with `members` besides id and hash. */
static struct keys *keys_with(const char *id, const char *members)
{
	char key[200], hash[80], content[2000], *path;
	struct buf why = buf_born(1000);
	struct keys *keys = NULL;

	snprintf(key, sizeof(key), "lg_%s_" SECRET, id);
	hash_of(key, hash);
	snprintf(content, sizeof(content), "{\"keys\":[{\"id\":\"%s\",\"hash\":\"%s\"%s}]}", id,
		hash, members);
	path = file_of(content);
	ck_assert_msg(keys_load(path, "", &keys, &why) == OK, "%.*s", (int)why.len, why.at);
	remove_file(path);
	buf_free(&why);
	return keys;
}

static bool admits(const struct keys *keys, const char *secret, int64_t when_ms)
{
	struct region *region;
	struct caller caller;
	bool admitted;

	ck_assert_int_eq(region_open(1 << 20, &region), OK);
	admitted = keys_admit(keys, text_of(secret), when_ms, region, &caller);
	region_close(region);
	return admitted;
}

/* ---- the file */

static const struct {
	const char *content, *says_a, *says_b;
} wrong[] = {
	{ "", "is empty", "" },
	{ "[]", "\"keys\"", "" },
	{ "{}", "\"keys\"", "" },
	{ "{\"keys\":[],\"more\":1}", "one member", "" },
	{ "{\"keys\":\n\n{}}", "\"keys\"", "" },
	{ "{\"keys\":[\n\n}", "line 3", "" },
	{ "{\"keys\":[1]}", "/keys/0", "object" },
	{ "{\"keys\":[{}]}", "/keys/0/id", "missing" },
	{ "{\"keys\":[{\"id\":\"a\"}]}", "/keys/0/hash", "missing" },
	{ "{\"keys\":[{\"id\":\"a b\",\"hash\":\"" HASH "\"}]}", "/keys/0/id", "letters" },
	{ "{\"keys\":[{\"id\":\"_a\",\"hash\":\"" HASH "\"}]}", "/keys/0/id", "letters" },
	{ "{\"keys\":[{\"id\":\"\",\"hash\":\"" HASH "\"}]}", "/keys/0/id", "letters" },
	{ "{\"keys\":[{\"id\":\"default\",\"hash\":\"" HASH "\"}]}", "/keys/0/id", "API_KEY" },
	{ "{\"keys\":[{\"id\":\"a\",\"hash\":\"sha256:00\"}]}", "/keys/0/hash", "64" },
	{ "{\"keys\":[{\"id\":\"a\",\"hash\":\"md5" HASH "\"}]}", "/keys/0/hash", "64" },
	{ "{\"keys\":[{\"id\":\"a\",\"hash\":\"" HASH "\"},{\"id\":\"a\",\"hash\":\"" HASH "\"}]}",
		"/keys/1/id", "twice" },
	{ "{\"keys\":[{\"id\":\"a\",\"hash\":\"" HASH "\",\"form\":[\"*\"]}]}", "/keys/0/form",
		"no such member" },
	{ "{\"keys\":[{\"id\":\"a\",\"hash\":\"" HASH "\",\"from\":\"*\"}]}", "/keys/0/from",
		"list" },
	{ "{\"keys\":[{\"id\":\"a\",\"hash\":\"" HASH "\",\"from\":[]}]}", "/keys/0/from",
		"leave it out" },
	{ "{\"keys\":[{\"id\":\"a\",\"hash\":\"" HASH "\",\"from\":[\"example.com\"]}]}",
		"/keys/0/from", "\"example.com\"" },
	{ "{\"keys\":[{\"id\":\"a\",\"hash\":\"" HASH "\",\"to\":[\"@example.com\"]}]}",
		"/keys/0/to", "before or behind" },
	{ "{\"keys\":[{\"id\":\"a\",\"hash\":\"" HASH "\",\"to\":[\"*@b\xc3\xbc.example\"]}]}",
		"/keys/0/to", "xn--" },
	{ "{\"keys\":[{\"id\":\"a\",\"hash\":\"" HASH "\",\"relays\":[1]}]}", "/keys/0/relays",
		"no name" },
	{ "{\"keys\":[{\"id\":\"a\",\"hash\":\"" HASH "\",\"scopes\":[\"root\"]}]}",
		"/keys/0/scopes", "admin" },
	{ "{\"keys\":[{\"id\":\"a\",\"hash\":\"" HASH "\",\"scopes\":[]}]}", "/keys/0/scopes",
		"list" },
	{ "{\"keys\":[{\"id\":\"a\",\"hash\":\"" HASH "\",\"rate\":\"50\"}]}", "/keys/0/rate",
		"50/s" },
	{ "{\"keys\":[{\"id\":\"a\",\"hash\":\"" HASH "\",\"rate\":\"0/s\"}]}", "/keys/0/rate",
		"50/s" },
	{ "{\"keys\":[{\"id\":\"a\",\"hash\":\"" HASH "\",\"rate\":50}]}", "/keys/0/rate", "50/s" },
	{ "{\"keys\":[{\"id\":\"a\",\"hash\":\"" HASH "\",\"daily\":0}]}", "/keys/0/daily",
		"whole" },
	{ "{\"keys\":[{\"id\":\"a\",\"hash\":\"" HASH "\",\"daily\":1.5}]}", "/keys/0/daily",
		"whole" },
	{ "{\"keys\":[{\"id\":\"a\",\"hash\":\"" HASH "\",\"expires\":\"soon\"}]}",
		"/keys/0/expires", "2027-01-01T00:00:00Z" },
	{ "{\"keys\":[{\"id\":\"a\",\"hash\":\"" HASH "\",\"expires\":\"2027-02-30T00:00:00Z\"}]}",
		"/keys/0/expires", "2027" },
	{ "{\"keys\":[{\"id\":\"a\",\"hash\":\"" HASH "\",\"expires\":\"2027-01-01T00:00:00\"}]}",
		"/keys/0/expires", "2027" },
	{ "{\"keys\":[{\"id\":\"a\",\"hash\":\"" HASH "\",\"old_hash\":\"" HASH "\"}]}",
		"/keys/0/old_expires", "belongs" },
};

START_TEST(a_wrong_file_is_shown_where)
{
	char *path = file_of(wrong[_i].content);
	struct buf why = buf_born(1000);
	struct keys *keys = NULL;

	ck_assert_int_ne(keys_load(path, "", &keys, &why), OK);
	ck_assert_ptr_null(keys);
	buf_add_byte(&why, 0);
	ck_assert_msg(strstr(why.at, "API_KEYS_FILE: ") == why.at && strstr(why.at, path) &&
			      strstr(why.at, wrong[_i].says_a) && strstr(why.at, wrong[_i].says_b),
		"%s: %s", wrong[_i].content, why.at);
	buf_free(&why);
	remove_file(path);
}
END_TEST

START_TEST(a_missing_file_says_how_to_make_it)
{
	struct buf why = buf_born(1000);
	struct keys *keys = NULL;

	ck_assert_int_eq(keys_load("/does/not/exist", "", &keys, &why), ERR_MISSING);
	buf_add_byte(&why, 0);
	ck_assert_ptr_nonnull(strstr(why.at, "lettergate keys create"));
	buf_free(&why);
}
END_TEST

/* ---- admitting */

static const struct {
	const char *secret;
	bool admitted;
} secrets[] = {
	{ "lg_web_1_" SECRET, true },
	{ "", false },
	{ "lg_", false },
	{ "lg_web_1_", false },
	{ SECRET, false },
	{ "lg__" SECRET, false },
	{ "lg_web_1" SECRET, false },
	{ "lg_web_2_" SECRET, false },
	{ "LG_web_1_" SECRET, false },
	{ "lg_web_1_" SECRET "A", false },
	{ "lg_web_1_bbcdefghijklmnopqrstuvwxyz_-ABCDEFGHIJKLMNO", false },
	{ "lg_web_1_abcdefghijklmnopqrstuvwxyz_-ABCDEFGHIJKLMN", false },
	{ " lg_web_1_" SECRET, false },
};

START_TEST(only_the_whole_key_is_admitted)
{
	struct keys *keys = keys_with("web_1", "");

	ck_assert(!keys_is_open(keys));
	ck_assert_int_eq(admits(keys, secrets[_i].secret, now_ms), secrets[_i].admitted);
	keys_free(keys);
}
END_TEST

START_TEST(what_a_key_allows_is_told)
{
	struct keys *keys = keys_with("web",
		",\"scopes\":[\"send\",\"trace\"],\"from\":[\"*@example.com\",\"a@b.c\"],"
		"\"to\":[\"*\"],\"relays\":[\"primary\"]");
	struct region *region;
	struct caller caller;

	ck_assert_int_eq(region_open(1 << 20, &region), OK);
	ck_assert(keys_admit(keys, TEXT("lg_web_" SECRET), now_ms, region, &caller));
	keys_free(keys); /* what was told does not hang on it */
	ck_assert(text_equal(caller.key_id, TEXT("web")));
	ck_assert_uint_eq(caller.scopes, SCOPE_SEND | SCOPE_TRACE);
	ck_assert_uint_eq(caller.from_count, 2);
	ck_assert(text_equal(caller.from[1], TEXT("a@b.c")));
	ck_assert_uint_eq(caller.to_count, 1);
	ck_assert(text_equal(caller.relays[0], TEXT("primary")));
	region_close(region);
}
END_TEST

START_TEST(without_room_for_its_limits_a_key_is_refused)
{
	struct keys *keys = keys_with("web", ",\"from\":[\"*@example.com\"]");
	struct region *region;
	struct caller caller;

	ck_assert_int_eq(region_open(16, &region), OK);
	ck_assert(!keys_admit(keys, TEXT("lg_web_" SECRET), now_ms, region, &caller));
	region_close(region);
	keys_free(keys);
}
END_TEST

START_TEST(a_key_expires)
{
	struct keys *keys = keys_with("web", ",\"expires\":\"2026-01-01T01:00:00+01:00\"");

	ck_assert(admits(keys, "lg_web_" SECRET, now_ms - 1));
	ck_assert(!admits(keys, "lg_web_" SECRET, now_ms));
	keys_free(keys);
}
END_TEST

START_TEST(a_rotated_key_works_until_its_overlap_ends)
{
	char old[80], members[300];
	struct keys *keys;

	hash_of("lg_web_OLD" SECRET, old); /* another length than the new one: never admitted */
	snprintf(members, sizeof(members),
		",\"old_hash\":\"%s\",\"old_expires\":\"2026-01-01T00:00:00Z\"", old);
	keys = keys_with("web", members);
	ck_assert(!admits(keys, "lg_web_OLD" SECRET, now_ms - 1));
	keys_free(keys);
	hash_of("lg_web_-"
		"bcdefghijklmnopqrstuvwxyz_-ABCDEFGHIJKLMNO",
		old);
	snprintf(members, sizeof(members),
		",\"old_hash\":\"%s\",\"old_expires\":\"2026-01-01T00:00:00Z\"", old);
	keys = keys_with("web", members);
	ck_assert(admits(keys, "lg_web_" SECRET, now_ms));
	ck_assert(admits(keys,
		"lg_web_-"
		"bcdefghijklmnopqrstuvwxyz_-ABCDEFGHIJKLMNO",
		now_ms - 1));
	ck_assert(!admits(keys,
		"lg_web_-"
		"bcdefghijklmnopqrstuvwxyz_-ABCDEFGHIJKLMNO",
		now_ms));
	keys_free(keys);
}
END_TEST

START_TEST(a_single_key_may_do_everything)
{
	struct buf why = buf_born(1000);
	struct keys *keys = NULL;
	struct region *region;
	struct caller caller;

	ck_assert_int_eq(keys_load("", "a key of one's own", &keys, &why), OK);
	ck_assert_int_eq(region_open(1 << 20, &region), OK);
	ck_assert(keys_admit(keys, TEXT("a key of one's own"), now_ms, region, &caller));
	ck_assert(text_equal(caller.key_id, TEXT("default")));
	ck_assert_uint_eq(caller.scopes, SCOPE_ALL);
	ck_assert(!admits(keys, "a key of one's owm", now_ms));
	ck_assert(!admits(keys, "", now_ms));
	ck_assert(!keys_is_open(keys));
	region_close(region);
	keys_free(keys);
}
END_TEST

START_TEST(an_open_set_admits_anybody_and_an_empty_file_nobody)
{
	char *path = file_of("{\"keys\":[]}");
	struct buf why = buf_born(1000);
	struct keys *keys = NULL;

	ck_assert_int_eq(keys_load("", "", &keys, &why), OK);
	ck_assert(keys_is_open(keys));
	ck_assert(admits(keys, "", now_ms));
	ck_assert(admits(keys, "whatever", now_ms));
	keys_free(keys);
	ck_assert_int_eq(keys_load(path, "", &keys, &why), OK);
	ck_assert(!keys_is_open(keys));
	ck_assert(!admits(keys, "", now_ms));
	ck_assert(!admits(keys, "lg_web_" SECRET, now_ms));
	keys_free(keys);
	remove_file(path);
}
END_TEST

/* ---- charging */

static bool charge(struct keys *keys, size_t messages, uint64_t at_us, struct rate_state *state)
{
	return keys_charge(
		keys, TEXT("web"), messages, at_us, now_ms + (int64_t)(at_us / 1000), state);
}

static const struct {
	const char *members;
	unsigned rate, window_s;
} rates[] = {
	{ ",\"rate\":\"50/s\"", 50, 1 },
	{ ",\"rate\":\"1/s\"", 1, 1 },
	{ ",\"rate\":\"3/s\"", 3, 1 },
	{ ",\"rate\":\"600/m\"", 600, 60 },
	{ ",\"rate\":\"7/h\"", 7, 3600 },
};

/* A full bucket at first, then never more than the rate, over a hundred windows. */
START_TEST(a_rate_is_kept_exactly)
{
	struct keys *keys = keys_with("web", rates[_i].members);
	uint64_t start_us = 12345678, step_us = rates[_i].window_s * 1000000U / rates[_i].rate / 64;
	uint64_t windows_us = rates[_i].window_s * UINT64_C(100000000), taken = 0;
	struct rate_state state;

	for (unsigned i = 0; i < rates[_i].rate; i++) {
		ck_assert(charge(keys, 1, start_us, &state));
		ck_assert_uint_eq(state.limit, rates[_i].rate);
		ck_assert_uint_eq(state.remaining, rates[_i].rate - 1 - i);
		ck_assert_uint_eq(state.window_s, rates[_i].window_s);
	}
	ck_assert(!charge(keys, 1, start_us, &state));
	ck_assert_uint_eq(state.remaining, 0);
	ck_assert_uint_ge(state.retry_after_s, 1);
	ck_assert_uint_le(state.retry_after_s, rates[_i].window_s);
	for (uint64_t at = step_us; at <= windows_us; at += step_us)
		taken += charge(keys, 1, start_us + at, &state);
	ck_assert_uint_ge(taken, rates[_i].rate * 98); /* asked for at most a 64th too late */
	ck_assert_uint_le(taken, rates[_i].rate * 100);
	keys_free(keys);
}
END_TEST

START_TEST(after_the_pause_that_was_told_there_is_room)
{
	struct keys *keys = keys_with("web", ",\"rate\":\"10/m\"");
	struct rate_state state;
	uint64_t later_us;

	ck_assert(charge(keys, 10, 0, &state));
	ck_assert(!charge(keys, 5, 1000, &state));
	later_us = 1000 + state.retry_after_s * UINT64_C(1000000);
	ck_assert(!charge(keys, 5, later_us - 2000000, &state));
	ck_assert(charge(keys, 5, later_us, &state));
	keys_free(keys);
}
END_TEST

START_TEST(a_batch_over_the_rate_is_taken_once_and_paid_off)
{
	struct keys *keys = keys_with("web", ",\"rate\":\"50/s\"");
	struct rate_state state;

	ck_assert(charge(keys, 1000, 0, &state));
	ck_assert_uint_eq(state.remaining, 0);
	ck_assert(!charge(keys, 1, 1000000, &state));
	ck_assert(!charge(keys, 1000, 1000000, &state));
	ck_assert(!charge(keys, 1, 19000000, &state));
	ck_assert(charge(keys, 1, 19020000, &state));
	keys_free(keys);
}
END_TEST

START_TEST(a_day_has_its_number)
{
	struct keys *keys = keys_with("web", ",\"daily\":100,\"rate\":\"1000/s\"");
	struct rate_state state;
	uint64_t day_us = DAY_S * UINT64_C(1000000);

	ck_assert(charge(keys, 99, 0, &state));
	ck_assert(!charge(keys, 2, 5000000, &state)); /* not even one of them is counted */
	ck_assert_uint_eq(state.limit, 100);
	ck_assert_uint_eq(state.remaining, 1);
	ck_assert_uint_le(state.retry_after_s, DAY_S - 4);
	ck_assert_uint_ge(state.retry_after_s, DAY_S - 6);
	ck_assert(charge(keys, 1, 5000000, &state));
	ck_assert(!charge(keys, 1, day_us - 1000, &state));
	ck_assert(charge(keys, 100, day_us, &state));
	ck_assert(!charge(keys, 1, day_us, &state));
	keys_free(keys);
}
END_TEST

START_TEST(without_limits_nothing_is_counted)
{
	struct keys *keys = keys_with("web", "");
	struct rate_state state = { 1, 1, 1, 1 };

	ck_assert(charge(keys, 1000000, 0, &state));
	ck_assert_uint_eq(state.limit, 0);
	ck_assert_uint_eq(state.retry_after_s, 0);
	ck_assert(keys_charge(keys, TEXT("somebody else"), 1, 0, now_ms, &state));
	keys_free(keys);
}
END_TEST

START_TEST(a_reload_does_not_fill_the_bucket)
{
	struct keys *old = keys_with("web", ",\"rate\":\"10/s\",\"daily\":100");
	struct keys *fresh = keys_with("web", ",\"rate\":\"10/s\",\"daily\":5");
	struct rate_state state;

	ck_assert(charge(old, 10, 0, &state));
	keys_inherit(fresh, old);
	keys_free(old);
	ck_assert(!charge(fresh, 1, 0, &state));
	ck_assert_msg(!charge(fresh, 1, 10000000, &state), "the day's number was lowered");
	ck_assert_uint_eq(state.limit, 5);
	ck_assert_uint_eq(state.remaining, 0);
	keys_free(fresh);
}
END_TEST

struct charger {
	struct keys *keys;
	unsigned taken;
};

static void *charge_many(void *self)
{
	struct charger *charger = self;
	struct rate_state state;

	for (int i = 0; i < 2000; i++)
		charger->taken += charge(charger->keys, 1, 0, &state);
	return NULL;
}

START_TEST(threads_share_one_rate)
{
	struct keys *keys = keys_with("web", ",\"rate\":\"3000/s\"");
	struct charger chargers[4] = { { keys, 0 }, { keys, 0 }, { keys, 0 }, { keys, 0 } };
	pthread_t threads[4];
	unsigned taken = 0;

	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, charge_many, &chargers[i]), 0);
	for (int i = 0; i < 4; i++) {
		pthread_join(threads[i], NULL);
		taken += chargers[i].taken;
	}
	ck_assert_uint_eq(taken, 3000);
	keys_free(keys);
}
END_TEST

UNIT_MAIN(keys, tcase_add_loop_test(
			cases, a_wrong_file_is_shown_where, 0, sizeof(wrong) / sizeof(wrong[0]));
	  tcase_add_test(cases, a_missing_file_says_how_to_make_it); tcase_add_loop_test(
		  cases, only_the_whole_key_is_admitted, 0, sizeof(secrets) / sizeof(secrets[0]));
	  tcase_add_test(cases, what_a_key_allows_is_told);
	  tcase_add_test(cases, without_room_for_its_limits_a_key_is_refused);
	  tcase_add_test(cases, a_key_expires);
	  tcase_add_test(cases, a_rotated_key_works_until_its_overlap_ends);
	  tcase_add_test(cases, a_single_key_may_do_everything);
	  tcase_add_test(cases, an_open_set_admits_anybody_and_an_empty_file_nobody);
	  tcase_add_loop_test(cases, a_rate_is_kept_exactly, 0, sizeof(rates) / sizeof(rates[0]));
	  tcase_add_test(cases, after_the_pause_that_was_told_there_is_room);
	  tcase_add_test(cases, a_batch_over_the_rate_is_taken_once_and_paid_off);
	  tcase_add_test(cases, a_day_has_its_number);
	  tcase_add_test(cases, without_limits_nothing_is_counted);
	  tcase_add_test(cases, a_reload_does_not_fill_the_bucket);
	  tcase_add_test(cases, threads_share_one_rate);)
