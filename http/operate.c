#include "http/operate.h"

/* The file of the same name, made into C by the build. */
extern const unsigned char openapi_json[];
extern const size_t openapi_json_len;

enum handled operate_alive(struct exchange *exchange)
{
	exchange->status = 200;
	buf_add(&exchange->answer,
		TEXT("{\"alive\":true,\"version\":\"" LETTERGATE_VERSION "\"}\n"));
	return HANDLED_ANSWERED;
}

enum handled operate_ready(struct exchange *exchange)
{
	const struct gateway *gateway = exchange->gateway;

	exchange->status = gateway->ready(gateway->self, &exchange->answer) ? 200 : 503;
	if (exchange->status == 503)
		exchange->retry_after_s = 1;
	buf_add_byte(&exchange->answer, '\n');
	return HANDLED_ANSWERED;
}

static void tell_metrics(struct exchange *exchange, const void *counts)
{
	const struct gateway *gateway = exchange->gateway;
	bool open_metrics = text_contains_nocase(
		exchange_header(exchange, "Accept"), TEXT("application/openmetrics-text"));

	exchange->status = 200;
	exchange->content_type =
		open_metrics ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
			     : "text/plain; version=0.0.4; charset=utf-8";
	gateway->metrics(gateway->self, open_metrics, counts, &exchange->answer);
}

static void tell_counted(struct exchange *exchange)
{
	const struct asking *asking = exchange->waiting;

	tell_metrics(exchange, asking->counts);
}

static void counted(struct asking *asking)
{
	exchange_wake(asking->waiter);
}

enum handled operate_metrics(struct exchange *exchange)
{
	const struct gateway *gateway = exchange->gateway;
	struct asking *asking = NULL;

	if (gateway->has_store)
		asking = region_zalloc(exchange->region, 1, sizeof(*asking));
	if (!asking) {
		tell_metrics(exchange, NULL);
		return HANDLED_ANSWERED;
	}
	*asking = (struct asking){ .what = ASK_COUNTS,
		.caller = &exchange->caller,
		.region = exchange->region,
		.done = counted,
		.waiter = exchange };
	exchange->waiting = asking;
	exchange_park(exchange, tell_counted);
	gateway->ask(gateway->self, asking);
	return HANDLED_PARKED;
}

static void add_words(struct buf *out, const struct problem_words *words)
{
	problem_open(out, words, words->status);
	json_add_member(out, "meaning", text_of(words->meaning));
	json_add_member_bool(out, "retryable", words->retryable);
	buf_add_byte(out, '}');
}

enum handled operate_problems(struct exchange *exchange)
{
	const struct problem_words *words;

	exchange->status = 200;
	buf_add(&exchange->answer, TEXT("{\"problems\":["));
	for (size_t i = 0; (words = problem_at(i)); i++) {
		if (problem_words(text_of(words->code)) != words)
			continue; /* one of ours and a relay's: told once */
		json_add_comma(&exchange->answer);
		add_words(&exchange->answer, words);
	}
	buf_add(&exchange->answer, TEXT("]}\n"));
	return HANDLED_ANSWERED;
}

enum handled operate_problem(struct exchange *exchange)
{
	const struct problem_words *words = problem_words(exchange->id);

	if (!words)
		return exchange_refuse_as(exchange, "not_found", "no problem has this code");
	exchange->status = 200;
	add_words(&exchange->answer, words);
	buf_add_byte(&exchange->answer, '\n');
	return HANDLED_ANSWERED;
}

enum handled operate_openapi(struct exchange *exchange)
{
	exchange->status = 200;
	buf_add(&exchange->answer, (struct text){ (const char *)openapi_json, openapi_json_len });
	return HANDLED_ANSWERED;
}
