#include "service/webhook/webhook_post.h"

#include "service/clock.h"
#include "service/webhook/webhook_reach.h"

#include <inttypes.h>

enum {
	CONNECT_MS = 5000,
	ALL_MS = 20000,       /* the specification: 15 to 30 seconds */
	BODY_BYTES = 1 << 21, /* a thousand recipients, and all around them */
	ANSWER_BYTES = 1 << 16,
	HEADER_BYTES = 200,
	HEADERS = 7,
};

const char *webhook_result_name(enum webhook_result result)
{
	static const char *const names[WEBHOOK_RESULTS] = { "delivered", "failed", "throttled",
		"gone", "forbidden", "given_up" };

	return names[result];
}

enum webhook_result webhook_judge(long status)
{
	if (status >= 200 && status < 300)
		return WEBHOOK_DELIVERED;
	switch (status) {
	case 410:
		return WEBHOOK_GONE;
	case 429:
	case 502:
	case 503:
	case 504:
		return WEBHOOK_THROTTLED;
	default:
		return WEBHOOK_FAILED;
	}
}

static bool may_connect(void *self, const struct sockaddr *socket_address)
{
	const struct webhook_try *attempt = self;
	struct network_address address = network_address_of(socket_address);

	return webhook_may_reach(&address, attempt->settings->webhook_networks,
		attempt->settings->webhook_network_count);
}

struct headers {
	char room[HEADERS][HEADER_BYTES];
	const char *at[HEADERS + 1];
	size_t count;
	enum err err;
};

static void add_header(struct headers *headers, const char *name, struct text value)
{
	char *room = headers->room[headers->count];
	struct buf line = buf_over(room, HEADER_BYTES);

	buf_addf(&line, "%s: ", name);
	buf_add(&line, value);
	buf_add_byte(&line, '\0');
	headers->err = headers->err ? headers->err : line.err;
	headers->at[headers->count++] = room;
}

/* A signature is of this try: its time is in it. */
static enum err sign(const struct webhook_try *attempt, struct text body, struct headers *headers)
{
	static const char *const names[2][3] = { { "webhook-id", "webhook-timestamp",
							 "webhook-signature" },
		{ "svix-id", "svix-timestamp", "svix-signature" } };
	char signature[HEADER_BYTES], moment[24];
	struct buf signed_as = buf_over(signature, sizeof(signature));
	struct buf time = buf_over(moment, sizeof(moment));
	int64_t now_s = now_unix_ms() / 1000;

	webhook_sign(&attempt->webhook->keys, text_of(attempt->id), now_s, body, &signed_as);
	buf_addf(&time, "%" PRId64, now_s);
	add_header(headers, "Content-Type", TEXT("application/json"));
	for (int i = 0; i < 2; i++) { /* some libraries know only the names that came first */
		add_header(headers, names[i][0], text_of(attempt->id));
		add_header(headers, names[i][1], buf_text(&time));
		add_header(headers, names[i][2], buf_text(&signed_as));
	}
	return signed_as.err ? signed_as.err : headers->err;
}

enum webhook_result webhook_post(
	const struct webhook_try *attempt, struct webhook_answer *answer_out, struct buf *why)
{
	struct buf body = buf_born(BODY_BYTES), answered = buf_born(ANSWER_BYTES);
	struct headers headers = { .count = 0 };
	struct web_answer answer = { 0 };
	struct web_post post = { .web = attempt->web,
		.url = attempt->webhook->url,
		.headers = headers.at,
		.connect_ms = CONNECT_MS,
		.all_ms = ALL_MS,
		.must_stop = attempt->must_stop,
		.may_connect = may_connect,
		.self = (void *)attempt };
	enum err err;

	event_add(&body, attempt->event, NULL);
	post.body = buf_text(&body);
	err = body.err ? body.err : sign(attempt, post.body, &headers);
	if (err)
		buf_add_string(why, err_text(err));
	else
		err = web_post(&post, &answer, &answered, why);
	buf_free(&body);
	buf_free(&answered);
	*answer_out = (struct webhook_answer){ answer.status, answer.retry_after_s };
	if (err)
		return answer.was_forbidden ? WEBHOOK_FORBIDDEN : WEBHOOK_FAILED;
	if (webhook_judge(answer.status) != WEBHOOK_DELIVERED)
		buf_addf(why, "answered %ld", answer.status);
	return webhook_judge(answer.status);
}
