#include "service/clock.h"
#include "service/oauth/oauth.h"
#include "service/oauth/oauth_crew.h"
#include "service/oauth/oauth_grant.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "unit.h"

/* ---- the request */

START_TEST(a_refresh_token_is_asked_with_in_the_body)
{
	struct oauth_grant grant = { TEXT("id"), TEXT("s&cr=t +/%"), TEXT("r~1.-_"),
		TEXT("https://mail.google.com/") };
	struct buf out = buf_born(1024);

	oauth_add_request(&grant, &out);
	buf_add_byte(&out, 0);
	ck_assert_str_eq(out.at, "grant_type=refresh_token&client_id=id"
				 "&client_secret=s%26cr%3Dt%20%2B%2F%25&refresh_token=r~1.-_"
				 "&scope=https%3A%2F%2Fmail.google.com%2F");
	buf_free(&out);
}
END_TEST

START_TEST(without_one_it_is_client_credentials)
{
	struct oauth_grant grant = { TEXT("id"), TEXT("\0\xc3\xa4"), { 0 }, { 0 } };
	struct buf out = buf_born(1024);

	oauth_add_request(&grant, &out);
	buf_add_byte(&out, 0);
	ck_assert_str_eq(
		out.at, "grant_type=client_credentials&client_id=id&client_secret=%00%C3%A4");
	buf_free(&out);
}
END_TEST

/* ---- the answer */

static const struct oauth_grant grant = { { "id", 2 }, { "hush-hush", 9 }, { "old-refresh", 11 },
	{ 0 } };

static void read_answer(long status, const char *body, struct oauth_answer *answer_out,
	struct region **region_out, struct buf *kept)
{
	*kept = buf_born(OAUTH_ANSWER_BYTES);
	buf_add_string(kept, body);
	ck_assert_int_eq(region_open(8 << 20, region_out), OK);
	oauth_read_answer(status, kept, &grant, *region_out, answer_out);
}

#define B "{\"access_token\":\"tok.en-1\",\"token_type\":\"Bearer\""
static const struct {
	const char *body, *token, *refresh;
	uint64_t expires_s;
} granted[] = {
	{ B ",\"expires_in\":3599}", "tok.en-1", "", 3599 },
	{ B ",\"expires_in\":\"1800\"}", "tok.en-1", "", 1800 },
	{ B "}", "tok.en-1", "", 3600 },
	{ B ",\"expires_in\":null}", "tok.en-1", "", 3600 },
	{ B ",\"expires_in\":\"soon\"}", "tok.en-1", "", 3600 },
	{ B ",\"expires_in\":0}", "tok.en-1", "", 2 },
	{ B ",\"expires_in\":-5}", "tok.en-1", "", 2 },
	{ B ",\"expires_in\":1e300}", "tok.en-1", "", 2592000 },
	{ B ",\"expires_in\":\"18446744073709551615\"}", "tok.en-1", "", 2592000 },
	{ B ",\"expires_in\":10.9,\"refresh_token\":\"new\",\"scope\":\"a b\"}", "tok.en-1", "new",
		10 },
	{ B ",\"refresh_token\":\"with blank\"}", "tok.en-1", "", 3600 },
	{ "{\"access_token\":\"x\",\"token_type\":\"bearer\"}", "x", "", 3600 },
	{ "{\"access_token\":\"x\",\"error\":\"\"}", "x", "", 3600 },
};

START_TEST(what_is_granted_is_read)
{
	struct oauth_answer answer;
	struct region *region;
	struct buf body;

	read_answer(200, granted[_i].body, &answer, &region, &body);
	ck_assert_int_eq(answer.result, OAUTH_GRANTED);
	ck_assert(text_equal(answer.token, text_of(granted[_i].token)));
	ck_assert(text_equal(answer.refresh_token, text_of(granted[_i].refresh)));
	ck_assert_uint_eq(answer.expires_s, granted[_i].expires_s);
	ck_assert_ptr_null(answer.why);
	region_close(region);
	buf_free(&body);
}
END_TEST

static const struct {
	long status;
	const char *body;
	enum oauth_result result;
	const char *error, *description, *why; /* why: a part of it; NULL: none */
} others[] = {
	{ 400, "{\"error\":\"invalid_grant\",\"error_description\":\"Revoked.\"}", OAUTH_REFUSED,
		"invalid_grant", "Revoked.", NULL },
	{ 401, "{\"error\":\"invalid_client\"}", OAUTH_REFUSED, "invalid_client", "", NULL },
	{ 403, "<html>", OAUTH_REFUSED, "", "", "no reason" },
	{ 404, "", OAUTH_REFUSED, "", "", "no reason" },
	{ 400, "{\"error\":{\"code\":400}}", OAUTH_REFUSED, "", "", "no reason" },
	{ 400, "[]", OAUTH_REFUSED, "", "", "no reason" },
	{ 400, "{\"error\":\"temporarily_unavailable\"}", OAUTH_FAILED, "temporarily_unavailable",
		"", NULL },
	{ 400, "{\"error\":\"server_error\"}", OAUTH_FAILED, "server_error", "", NULL },
	{ 408, "", OAUTH_FAILED, "", "", "no reason" },
	{ 429, "{\"error\":\"slow_down\"}", OAUTH_FAILED, "slow_down", "", NULL },
	{ 500, "{\"error\":\"invalid_grant\"}", OAUTH_FAILED, "invalid_grant", "", NULL },
	{ 503, "busy", OAUTH_FAILED, "", "", "no reason" },
	{ 302, "{}", OAUTH_FAILED, "", "", "redirects" },
	{ 0, "", OAUTH_FAILED, "", "", "no reason" },
	{ 200, "", OAUTH_FAILED, "", "", "not JSON" },
	{ 200, "access_token=x", OAUTH_FAILED, "", "", "not JSON" },
	{ 200, "\"x\"", OAUTH_FAILED, "", "", "not JSON" },
	{ 200, B ",\"access_token\":\"y\"}", OAUTH_FAILED, "", "", "not JSON" },
	{ 200, "{}", OAUTH_FAILED, "", "", "no access_token" },
	{ 200, "{\"error\":\"bad_refresh\"}", OAUTH_FAILED, "bad_refresh", "", "no access_token" },
	{ 200, "{\"access_token\":7}", OAUTH_FAILED, "", "", "no access_token" },
	{ 200, "{\"access_token\":\"a b\"}", OAUTH_FAILED, "", "", "may not" },
	{ 200, "{\"access_token\":\"a\\u0001b\"}", OAUTH_FAILED, "", "", "may not" },
	{ 200, "{\"access_token\":\"a\\u0000b\"}", OAUTH_FAILED, "", "", "may not" },
	{ 200, "{\"access_token\":\"\\u00e4\"}", OAUTH_FAILED, "", "", "may not" },
	{ 200, "{\"access_token\":\"x\",\"token_type\":\"mac\"}", OAUTH_FAILED, "", "",
		"token_type" },
	{ 201, B "}", OAUTH_FAILED, "", "", "JSON" },
	/* what may be shown of words */
	{ 400, "{\"error\":\"e\",\"error_description\":\"one\\r\\ntwo\\u0000\\u001b[31m\"}",
		OAUTH_REFUSED, "e", "one  two  [31m", NULL },
	{ 400, "{\"error\":\"e\",\"error_description\":\"\\u2028\\u00e4\"}", OAUTH_REFUSED, "e",
		"?????", NULL },
	{ 400, "{\"error\":\"e\",\"error_description\":\"gr\\u00fcn\"}", OAUTH_REFUSED, "e",
		"gr\xc3\xbcn", NULL },
	{ 400, "{\"error\":\"e\",\"error_description\":\"not old-refresh, please\"}", OAUTH_REFUSED,
		"e", "(left out: it repeats a secret)", NULL },
	{ 400, "{\"error\":\"hush-hush\",\"error_description\":\"hush\"}", OAUTH_REFUSED,
		"(left out: it repeats a secret)", "hush", NULL },
};

START_TEST(what_is_not_granted_is_judged)
{
	struct oauth_answer answer;
	struct region *region;
	struct buf body;

	read_answer(others[_i].status, others[_i].body, &answer, &region, &body);
	ck_assert_int_eq(answer.result, others[_i].result);
	ck_assert_uint_eq(answer.token.len, 0);
	ck_assert_msg(text_equal(answer.error, text_of(others[_i].error)), "%d: %.*s", _i,
		(int)answer.error.len, answer.error.at);
	ck_assert_msg(text_equal(answer.description, text_of(others[_i].description)), "%d: %.*s",
		_i, (int)answer.description.len, answer.description.at);
	ck_assert_int_eq(answer.why != NULL, others[_i].why != NULL);
	if (others[_i].why)
		ck_assert_msg(strstr(answer.why, others[_i].why) != NULL, "%s", answer.why);
	region_close(region);
	buf_free(&body);
}
END_TEST

START_TEST(a_token_and_words_have_their_limits)
{
	char text[OAUTH_TOKEN_BYTES + 100], body[OAUTH_TOKEN_BYTES + 200];
	struct oauth_answer answer;
	struct region *region;
	struct buf kept;

	for (int more = 0; more < 2; more++) {
		memset(text, 'x', sizeof(text));
		text[OAUTH_TOKEN_BYTES + more] = '\0';
		snprintf(body, sizeof(body), "{\"access_token\":\"%s\"}", text);
		read_answer(200, body, &answer, &region, &kept);
		ck_assert_int_eq(answer.result, more ? OAUTH_FAILED : OAUTH_GRANTED);
		region_close(region);
		buf_free(&kept);
	}
	memset(text, 'x', OAUTH_WORDS - 1);
	snprintf(text + OAUTH_WORDS - 1, 10, "\xc3\xa4 more");
	snprintf(body, sizeof(body), "{\"error\":\"e\",\"error_description\":\"%s\"}", text);
	read_answer(400, body, &answer, &region, &kept);
	ck_assert_uint_eq(answer.description.len, OAUTH_WORDS - 1); /* not half of the letter */
	region_close(region);
	buf_free(&kept);
}
END_TEST

START_TEST(a_huge_answer_is_none)
{
	struct buf body = buf_born(8);
	struct oauth_answer answer;
	struct region *region;

	buf_add_string(&body, "{\"access_token\":\"x\"}");
	ck_assert_int_eq(region_open(8 << 20, &region), OK);
	oauth_read_answer(200, &body, &grant, region, &answer);
	ck_assert_int_eq(answer.result, OAUTH_FAILED);
	ck_assert_ptr_nonnull(strstr(answer.why, "64 KB"));
	region_close(region);
	buf_free(&body);
}
END_TEST

START_TEST(each_error_has_its_mend)
{
	ck_assert_ptr_nonnull(
		strstr(oauth_hint(TEXT("invalid_grant")), "SMTP_OAUTH_REFRESH_TOKEN"));
	ck_assert_ptr_nonnull(
		strstr(oauth_hint(TEXT("invalid_client")), "SMTP_OAUTH_CLIENT_SECRET"));
	ck_assert_ptr_nonnull(strstr(oauth_hint(TEXT("invalid_scope")), "SMTP_OAUTH_SCOPE"));
	ck_assert_ptr_nonnull(strstr(oauth_hint(TEXT("new")), "SMTP_OAUTH_TOKEN_URL"));
	ck_assert_ptr_nonnull(strstr(oauth_hint((struct text){ 0 }), "SMTP_OAUTH_TOKEN_URL"));
}
END_TEST

/* ---- the token's life */

static const uint64_t S = 1000000, T = 1000 * 1000000ull;

START_TEST(a_token_is_fetched_at_once_and_by_itself)
{
	struct oauth_life life = { 0 };

	ck_assert_uint_eq(oauth_life_due(&life), 0);
	ck_assert_int_eq(oauth_life_ask(&life, T), OAUTH_WAITS);
	oauth_life_begin(&life, T);
	ck_assert_uint_eq(oauth_life_due(&life), UINT64_MAX); /* one in flight */
	ck_assert_int_eq(oauth_life_ask(&life, T + 9 * S), OAUTH_WAITS);
	ck_assert_uint_eq(oauth_life_due(&life), UINT64_MAX);
	oauth_life_granted(&life, 3600);
	ck_assert_int_eq(oauth_life_ask(&life, T + 10 * S), OAUTH_TAKEN);
}
END_TEST

static const struct {
	uint64_t expires_s, early_us;
} lives[] = { { 3600, 300000000 }, { 86400, 300000000 }, { 3000, 300000000 }, { 600, 60000000 },
	{ 10, 1000000 }, { 2, 200000 } };

START_TEST(it_is_refreshed_before_it_expires)
{
	struct oauth_life life = { 0 };
	uint64_t end = T + lives[_i].expires_s * S;

	oauth_life_begin(&life, T);
	oauth_life_granted(&life, lives[_i].expires_s);
	ck_assert_uint_eq(oauth_life_due(&life), end - lives[_i].early_us);
	ck_assert_int_eq(oauth_life_ask(&life, end - 1), OAUTH_TAKEN);
	ck_assert_uint_eq(oauth_life_due(&life), end - lives[_i].early_us);
	ck_assert_int_eq(oauth_life_ask(&life, end), OAUTH_WAITS);
	ck_assert_uint_le(oauth_life_due(&life), end);
}
END_TEST

START_TEST(what_fails_is_tried_again_with_growing_pauses)
{
	static const unsigned pauses[] = { 1, 2, 4, 8, 16, 32, 60, 60, 60 };
	struct oauth_life life = { 0 };
	uint64_t now = T;

	for (size_t i = 0; i < sizeof(pauses) / sizeof(pauses[0]); i++) {
		oauth_life_begin(&life, now);
		oauth_life_failed(&life, false, now);
		ck_assert_uint_eq(oauth_life_due(&life), now + pauses[i] * S);
		ck_assert_int_eq(oauth_life_ask(&life, now), OAUTH_PAUSES);
		ck_assert_int_eq(oauth_life_ask(&life, now + pauses[i] * S - 1), OAUTH_PAUSES);
		ck_assert_uint_eq(oauth_life_due(&life), now + pauses[i] * S); /* not sooner */
		now += pauses[i] * S;
		ck_assert_int_eq(oauth_life_state(&life, now), OAUTH_WAITS);
	}
	oauth_life_begin(&life, now);
	oauth_life_granted(&life, 3600);
	oauth_life_begin(&life, now + 3300 * S);
	oauth_life_failed(&life, false, now + 3300 * S);
	ck_assert_uint_eq(oauth_life_due(&life), now + 3301 * S); /* from the start */
}
END_TEST

START_TEST(a_no_is_asked_for_again_only_if_somebody_needs_it)
{
	static const unsigned pauses[] = { 60, 120, 240, 300, 300 };
	struct oauth_life life = { 0 };
	uint64_t now = T;

	for (size_t i = 0; i < sizeof(pauses) / sizeof(pauses[0]); i++) {
		oauth_life_begin(&life, now);
		oauth_life_failed(&life, true, now);
		ck_assert_uint_eq(oauth_life_due(&life), UINT64_MAX);
		ck_assert_int_eq(oauth_life_ask(&life, now + 1), OAUTH_PAUSES);
		ck_assert_uint_eq(oauth_life_due(&life), UINT64_MAX);
		now += pauses[i] * S;
		ck_assert_int_eq(oauth_life_ask(&life, now - 1), OAUTH_PAUSES);
		ck_assert_int_eq(oauth_life_ask(&life, now), OAUTH_WAITS);
		ck_assert_uint_le(oauth_life_due(&life), now);
	}
	oauth_life_begin(&life, now);
	oauth_life_failed(&life, true, now);
	oauth_life_hurry(&life);
	ck_assert_uint_eq(oauth_life_due(&life), 0);
}
END_TEST

START_TEST(a_token_is_used_on_while_the_next_cannot_be_had)
{
	struct oauth_life life = { 0 };

	oauth_life_begin(&life, T);
	oauth_life_granted(&life, 100);
	oauth_life_begin(&life, T + 90 * S);
	ck_assert_int_eq(oauth_life_ask(&life, T + 91 * S), OAUTH_TAKEN);
	oauth_life_failed(&life, false, T + 91 * S);
	ck_assert_int_eq(oauth_life_ask(&life, T + 99 * S), OAUTH_TAKEN);
	oauth_life_begin(&life, T + 99 * S);
	oauth_life_failed(&life, true, T + 99 * S);
	ck_assert_int_eq(oauth_life_ask(&life, T + 100 * S - 1), OAUTH_TAKEN);
	ck_assert_int_eq(oauth_life_ask(&life, T + 100 * S), OAUTH_PAUSES);
}
END_TEST

START_TEST(a_refused_token_is_fetched_once_more)
{
	struct oauth_life life = { 0 };

	oauth_life_begin(&life, T);
	oauth_life_granted(&life, 3600);
	ck_assert(oauth_life_drop(&life, T + 5));
	ck_assert_int_eq(oauth_life_ask(&life, T + 6), OAUTH_WAITS);
	ck_assert_uint_eq(oauth_life_due(&life), 0); /* at once */
	oauth_life_begin(&life, T + 6);
	oauth_life_granted(&life, 3600);
	ck_assert(!oauth_life_drop(&life, T + 10 * S)); /* that one, too */
	ck_assert_int_eq(oauth_life_ask(&life, T + 11 * S), OAUTH_PAUSES);
	ck_assert_uint_eq(oauth_life_due(&life), UINT64_MAX);
	ck_assert_int_eq(oauth_life_ask(&life, T + 70 * S), OAUTH_WAITS);
	oauth_life_begin(&life, T + 70 * S);
	oauth_life_granted(&life, 3600);
	ck_assert(!oauth_life_drop(&life, T + 71 * S));                     /* one try, not two */
	ck_assert_int_eq(oauth_life_ask(&life, T + 190 * S), OAUTH_PAUSES); /* two minutes */
	ck_assert_int_eq(oauth_life_ask(&life, T + 191 * S), OAUTH_WAITS);
	oauth_life_begin(&life, T + 191 * S);
	oauth_life_granted(&life, 3600);
	oauth_life_prove(&life);
	ck_assert(oauth_life_drop(&life, T + 200 * S)); /* it had been good */
}
END_TEST

START_TEST(fetches_are_a_second_apart)
{
	struct oauth_life life = { 0 };

	oauth_life_begin(&life, T);
	oauth_life_granted(&life, 1);
	ck_assert_uint_ge(oauth_life_due(&life), T + S);
}
END_TEST

/* ---- the thread, and an endpoint where nobody listens */

static struct oauth *open_oauth(struct relay_settings *settings)
{
	struct oauth *oauth;

	*settings = (struct relay_settings){ .name = "default",
		.oauth_token_url = "http://127.0.0.1:1/token?key=hush",
		.oauth_client_id = "id",
		.oauth_client_secret = "hush-hush",
		.oauth_refresh_token = "",
		.oauth_scope = "" };
	ck_assert_int_eq(oauth_open(settings, &oauth), OK);
	return oauth;
}

static enum oauth_state wait_for_token(
	struct oauth *oauth, struct buf *token, struct oauth_failure *failure)
{
	enum oauth_state state;

	while ((state = oauth_take(oauth, now_us(), token, failure)) == OAUTH_WAITS)
		usleep(1000);
	return state;
}

START_TEST(an_endpoint_that_is_gone_is_a_temporary_failure)
{
	struct relay_settings settings;
	struct oauth *oauth = open_oauth(&settings);
	struct buf token = buf_born(100);
	struct oauth_failure failure;

	ck_assert_int_eq(oauth_start(oauth, NULL, NULL), OK);
	ck_assert_int_eq(wait_for_token(oauth, &token, &failure), OAUTH_PAUSES);
	ck_assert_int_eq(failure.verdict.category, SMTP_RELAY_AUTH_TEMPORARY);
	ck_assert_int_eq(failure.verdict.outcome, SMTP_NOT_SENT);
	ck_assert_int_eq(failure.verdict.phase, SMTP_IN_AUTH);
	ck_assert_int_eq(failure.verdict.status, 503);
	ck_assert(failure.verdict.retryable);
	ck_assert_uint_ge(failure.verdict.retry_after_s, 1);
	ck_assert_ptr_nonnull(strstr(failure.words, "http://127.0.0.1:1/token: "));
	ck_assert_ptr_null(strstr(failure.words, "hush"));
	ck_assert_uint_eq(token.len, 0);
	oauth_release(oauth);
}
END_TEST

START_TEST(it_serves_relays_of_the_same_settings)
{
	struct relay_settings settings, other;
	struct oauth *oauth = open_oauth(&settings);

	ck_assert(oauth_fits(oauth, &settings));
	other = settings;
	other.oauth_scope = "more";
	ck_assert(!oauth_fits(oauth, &other));
	other = settings;
	other.oauth_refresh_token = "new";
	ck_assert(!oauth_fits(oauth, &other));
	oauth_release(oauth_hold(oauth));
	oauth_release(oauth); /* never started */
	oauth_release(NULL);
}
END_TEST

static void *use(void *self)
{
	struct buf token = buf_born(100);
	struct oauth_failure failure;
	struct oauth *oauth = oauth_hold(self);

	for (int i = 0; i < 200; i++) {
		(void)oauth_take(oauth, (uint64_t)i * S * 1000, &token, &failure);
		(void)oauth_refuse(oauth, TEXT("none"), (uint64_t)i);
		oauth_prove(oauth, TEXT("none"));
		(void)oauth_facts(oauth);
		ck_assert_int_eq(oauth_start(oauth, NULL, NULL), OK);
	}
	oauth_release(oauth);
	return NULL;
}

START_TEST(threads_may_do_as_they_like)
{
	struct relay_settings settings;
	struct oauth *oauth = open_oauth(&settings);
	pthread_t threads[4];

	for (size_t i = 0; i < 4; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, use, oauth), 0);
	oauth_release(oauth_hold(oauth));
	for (size_t i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	oauth_release(oauth);
}
END_TEST

/* ---- whoever lets go does not wait */

/* Takes connections, of which nobody says a word. */
static int open_silent(char url[64])
{
	struct sockaddr_in address = { .sin_family = AF_INET,
		.sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t len = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, len), 0);
	ck_assert_int_eq(listen(fd, 8), 0);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&address, &len), 0);
	snprintf(url, 64, "http://127.0.0.1:%u/token", ntohs(address.sin_port));
	return fd;
}

/* Lets go while the request is under way. True: its thread was still there. */
static bool lets_go_at_once(struct oauth_crew *crew, int silent, const char *url)
{
	struct relay_settings settings;
	struct oauth *first = open_oauth(&settings), *oauth;
	unsigned count;
	int peer;

	oauth_release(first);
	settings.oauth_token_url = url;
	ck_assert_int_eq(oauth_open(&settings, &oauth), OK);
	ck_assert_int_eq(oauth_start(oauth, crew, NULL), OK);
	peer = accept(silent, NULL, NULL);
	ck_assert_int_ge(peer, 0);
	count = oauth_crew_count(crew);
	ck_assert_uint_ge(count, 1);
	oauth_release(oauth);
	count = oauth_crew_count(crew);
	close(peer);
	return count > 0;
}

/* The thread looks up once a second: that it should do so right then, ten times, is not to be. */
START_TEST(who_lets_go_waits_for_no_request)
{
	struct oauth_crew *crew;
	bool has_seen_it = false;
	char url[64];
	int silent = open_silent(url);

	ck_assert_int_eq(oauth_crew_open(NULL, &crew), OK);
	for (int i = 0; i < 10; i++)
		has_seen_it |= lets_go_at_once(crew, silent, url);
	ck_assert(has_seen_it);
	oauth_crew_close(crew); /* waits for them all */
	close(silent);
	oauth_crew_close(NULL);
}
END_TEST

static void *start_and_let_go(void *self)
{
	struct relay_settings settings;

	for (int i = 0; i < 20; i++) {
		struct oauth *oauth = open_oauth(&settings);

		ck_assert_int_eq(oauth_start(oauth, self, NULL), OK);
		if (i % 3 == 0)
			usleep(500);
		oauth_release(oauth);
	}
	return NULL;
}

START_TEST(a_crew_is_for_many)
{
	struct oauth_crew *crew;
	pthread_t threads[4];

	ck_assert_int_eq(oauth_crew_open(NULL, &crew), OK);
	for (size_t i = 0; i < 4; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, start_and_let_go, crew), 0);
	for (size_t i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	oauth_crew_close(crew);
	ck_assert_int_eq(oauth_crew_open(NULL, &crew), OK);
	oauth_crew_close(crew); /* nobody was ever in it */
}
END_TEST

UNIT_MAIN(oauth, tcase_add_test(cases, a_refresh_token_is_asked_with_in_the_body);
	  tcase_add_test(cases, without_one_it_is_client_credentials); tcase_add_loop_test(
		  cases, what_is_granted_is_read, 0, sizeof(granted) / sizeof(granted[0]));
	  tcase_add_loop_test(
		  cases, what_is_not_granted_is_judged, 0, sizeof(others) / sizeof(others[0]));
	  tcase_add_test(cases, a_token_and_words_have_their_limits);
	  tcase_add_test(cases, a_huge_answer_is_none);
	  tcase_add_test(cases, each_error_has_its_mend);
	  tcase_add_test(cases, a_token_is_fetched_at_once_and_by_itself); tcase_add_loop_test(
		  cases, it_is_refreshed_before_it_expires, 0, sizeof(lives) / sizeof(lives[0]));
	  tcase_add_test(cases, what_fails_is_tried_again_with_growing_pauses);
	  tcase_add_test(cases, a_no_is_asked_for_again_only_if_somebody_needs_it);
	  tcase_add_test(cases, a_token_is_used_on_while_the_next_cannot_be_had);
	  tcase_add_test(cases, a_refused_token_is_fetched_once_more);
	  tcase_add_test(cases, fetches_are_a_second_apart);
	  tcase_add_test(cases, an_endpoint_that_is_gone_is_a_temporary_failure);
	  tcase_add_test(cases, it_serves_relays_of_the_same_settings);
	  tcase_add_test(cases, threads_may_do_as_they_like);
	  tcase_add_test(cases, who_lets_go_waits_for_no_request);
	  tcase_add_test(cases, a_crew_is_for_many);)
