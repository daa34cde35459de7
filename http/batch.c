/* batch - POST /send/batch: many messages, each taken by itself */
#include "http/posting.h"
#include "http/repeat.h"
#include "http/result.h"
#include "http/intake/way_in.h"
#include "http/send.h"

#include <cjson/cJSON.h>

enum { BATCH_MAX = 1000, MESSAGE_REGION = 64 << 20 };

static void add_whole(struct exchange *exchange, struct delivery *delivery)
{
	posting_set_pause(&delivery->result);
	repeat_tell(exchange, delivery, true);
}

static void add_brief(struct exchange *exchange, struct delivery *delivery)
{
	repeat_tell_brief(exchange, delivery, true);
}

/* There may not be room for a thousand refusals with all their complaints: then without them. */
static void add_refusal(struct buf *out, const struct posting *posting, size_t place)
{
	struct problem brief = { .code = posting->codes[place], .outcome = "not_sent" };

	if (posting->refusals[place].len)
		buf_add(out, posting->refusals[place]);
	else
		problem_add(out, &brief, posting->exchange->request_id);
}

static void add_results(struct exchange *exchange,
	void (*add)(struct exchange *exchange, struct delivery *delivery))
{
	struct posting *posting = exchange->waiting;
	struct buf *out = &exchange->answer;

	buf_clear(out);
	buf_add(out, TEXT("{\"results\":["));
	for (size_t i = 0; i < posting->count; i++) {
		json_add_comma(out);
		if (posting->deliveries[i])
			add(exchange, posting->deliveries[i]);
		else
			add_refusal(out, posting, i);
	}
	buf_add(out, TEXT("]}\n"));
}

static void keep_refusal(struct posting *posting, size_t place, const struct refusal *refusal)
{
	struct buf json = buf_born(65536);

	problem_add(&json, &refusal->problem, posting->exchange->request_id);
	posting->codes[place] = refusal->problem.code;
	if (!json.err)
		posting->refusals[place] = region_copy(posting->exchange->region, buf_text(&json));
	buf_free(&json);
}

static void forget(struct posting *posting, size_t place)
{
	struct delivery *delivery = posting->deliveries[place];

	posting_forget(delivery);
	region_close(delivery->region);
	posting->deliveries[place] = NULL;
}

/* Those that nobody took after all are refusals like any other. */
static void sort_out_refused(struct posting *posting)
{
	const struct json_at member = { NULL, TEXT("messages"), 0 };

	for (size_t i = 0; i < posting->count; i++) {
		struct json_at here = { posting->is_member ? &member : NULL, { 0 }, i };
		struct refusal refusal = { 0 };

		if (!posting->deliveries[i] || !posting_is_refused(posting->exchange,
						       posting->deliveries[i], &here, &refusal))
			continue;
		keep_refusal(posting, i, &refusal);
		forget(posting, i);
	}
}

static void answer_batch(struct exchange *exchange)
{
	struct posting *posting = exchange->waiting;

	sort_out_refused(posting);
	exchange->status = 200;
	add_results(exchange, add_whole);
	if (exchange->answer.err) /* over the limit: what became of each is told in any case */
		add_results(exchange, add_brief);
	for (size_t i = 0; i < posting->count; i++) {
		if (!posting->deliveries[i])
			continue;
		exchange->replayed += posting->deliveries[i]->repeat == REPEAT_AGAIN;
		forget(posting, i);
	}
	exchange->is_replayed = exchange->replayed == posting->count;
}

/* A batch is for sending; what is asked about messages is asked one by one. */
static bool is_sent(
	const struct delivery *delivery, const struct json_at *at, struct refusal *refusal)
{
	struct json_at here = { at, TEXT("dry_run"), 0 };

	if (!delivery->dry_run)
		return true;
	complain(&refusal->complaints, &here, "dry_run is taken by POST /send alone");
	return refusal_set(refusal, "invalid_request", TEXT("dry_run in a batch"));
}

static void submit_place(struct posting *posting, const struct json *json,
	const struct cJSON *object, const struct json_at *at, size_t place)
{
	struct refusal refusal = { 0 };
	struct delivery *delivery;
	struct region *region;

	if (region_open(MESSAGE_REGION, &region)) {
		refusal_set(&refusal, "overloaded", TEXT("out of memory"));
		keep_refusal(posting, place, &refusal);
		return;
	}
	if (posting_make(posting->exchange, json, object, at, NULL, region, &refusal, &delivery) &&
		is_sent(delivery, at, &refusal) &&
		posting_submit(posting, place, delivery, at, &refusal))
		return;
	keep_refusal(posting, place, &refusal);
	region_close(region);
}

/* The list, bare or as the member `messages`; `at` is where it stands. NULL: complained about. */
static const struct cJSON *messages_of(
	const struct json *json, struct complaints *complaints, struct json_at *at)
{
	const struct cJSON *member, *list = NULL;

	if (cJSON_IsArray(json->root))
		return json->root;
	if (!cJSON_IsObject(json->root)) {
		complain(complaints, NULL, "an object with messages, or a list, is wanted");
		return NULL;
	}
	cJSON_ArrayForEach(member, json->root)
	{
		struct json_at here = { NULL, json_name(json, member), 0 };

		if (text_equal(here.name, TEXT("messages"))) {
			*at = here;
			list = member;
		} else {
			complain(complaints, &here, "unknown field: did you mean messages?");
		}
	}
	if (!list && !complaints->count)
		complain(complaints, &(struct json_at){ NULL, TEXT("messages"), 0 },
			"a list of messages is wanted");
	return complaints->count ? NULL : list;
}

static bool is_list(const struct cJSON *list, struct complaints *complaints, struct json_at *at)
{
	const struct json_at *place = at->name.at ? at : NULL;
	int count = cJSON_IsArray(list) ? cJSON_GetArraySize(list) : 0;

	if (count == 0)
		complain(complaints, place, "a list of messages is wanted");
	else if (count > BATCH_MAX)
		complain(complaints, place, "batch: at most %d messages are taken, these are %d",
			BATCH_MAX, count);
	return complaints->count == 0;
}

static void submit_all(struct posting *posting, const struct json *json, const struct cJSON *list,
	const struct json_at *at)
{
	const struct cJSON *message;
	size_t place = 0;

	cJSON_ArrayForEach(message, list)
	{
		struct json_at here = { at->name.at ? at : NULL, { 0 }, place };

		submit_place(posting, json, message, &here, place++);
	}
	if (atomic_fetch_sub(&posting->open, 1) == 1)
		exchange_wake(posting->exchange);
}

enum handled send_batch(struct exchange *exchange)
{
	struct json json = { 0 };
	struct refusal refusal = { .complaints.region = exchange->region };
	struct json_at at = { 0 };
	const struct cJSON *list;
	struct posting *posting;

	if (!way_in_has_no_query(exchange) || !way_in_read_json(exchange, &json))
		return HANDLED_ANSWERED;
	list = messages_of(&json, &refusal.complaints, &at);
	if (!list || !is_list(list, &refusal.complaints, &at)) {
		refusal_set(&refusal, "invalid_request", TEXT("nothing was sent"));
		return exchange_refuse(exchange, &refusal.problem);
	}
	posting = posting_new(exchange, (size_t)cJSON_GetArraySize(list));
	if (!posting)
		return exchange_refuse_as(exchange, "overloaded", "out of memory");
	if (!posting_charge(exchange, posting->count))
		return HANDLED_ANSWERED;
	posting->is_member = at.name.at;
	exchange->waiting = posting;
	exchange_park(exchange, answer_batch);
	submit_all(posting, &json, list, &at);
	return HANDLED_PARKED;
}
