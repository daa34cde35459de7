#include "fuzz.h"

#include "service/oauth/oauth_grant.h"

#include <string.h>

static void must_be_shown(struct text words)
{
	must(words.len <= OAUTH_WORDS && !text_has_control(words) && text_is_utf8(words));
	must(!words.len || !memmem(words.at, words.len, "hush", 4));
}

/* The first byte chooses the status. What is granted can be said, and what is not can be shown. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	static const long statuses[] = { 200, 400, 401, 429, 500, 302, 0 };
	struct oauth_grant grant = { .client_id = TEXT("id"), .client_secret = TEXT("hush") };
	long status = len ? statuses[bytes[0] % (sizeof(statuses) / sizeof(statuses[0]))] : 200;
	struct buf body = buf_born(OAUTH_ANSWER_BYTES);
	struct region *region = NULL;
	struct oauth_answer answer;

	must(region_open(8 << 20, &region) == OK);
	buf_add(&body, text_from(input(bytes, len), 1));
	oauth_read_answer(status, &body, &grant, region, &answer);
	if (answer.result == OAUTH_GRANTED) {
		must(status == 200 && answer.token.len > 0 && answer.expires_s > 0);
		must(answer.token.len <= OAUTH_TOKEN_BYTES && text_is_ascii(answer.token));
		must(!text_has_control(answer.token) && !text_has_control(answer.refresh_token));
		must(text_find(answer.token, ' ') == answer.token.len);
	} else {
		must(answer.token.len == 0 && answer.refresh_token.len == 0);
		must(answer.why || answer.error.len);
		must_be_shown(answer.error);
		must_be_shown(answer.description);
	}
	must(answer.result != OAUTH_REFUSED || status / 100 == 4);
	region_close(region);
	buf_free(&body);
	return 0;
}
