#include "http/problem.h"

#include "smtp/verdict/verdict.h"

static const struct problem_words own[] = {
	{ "invalid_json", "The body is not JSON",
		"The request's body does not follow RFC 8259: see detail for what and where. "
		"Strings "
		"must be UTF-8, names in an object must be unique, 32 levels and 200,000 values "
		"are "
		"the most.",
		400, false },
	{ "invalid_request", "The request cannot be taken as it is",
		"Some field is unknown, missing, of the wrong type or holds what it must not: each "
		"entry of errors names the place with a JSON pointer. Nothing was sent.",
		422, false },
	{ "bad_framing", "The HTTP request is malformed",
		"The request's own framing is ambiguous or malformed, as used to smuggle requests "
		"past a balancer. The connection is closed.",
		400, false },
	{ "unsupported_media_type", "The body is of a kind that is not read here",
		"Send application/json, without Content-Encoding.", 415, false },
	{ "body_too_large", "The body is too large",
		"The body is larger than HTTP_MAX_BODY allows, or the message is.", 413, false },
	{ "unauthorized", "An API key is needed",
		"No key was sent, or it is not valid. Send Authorization: Bearer KEY or X-API-Key: "
		"KEY.",
		401, false },
	{ "forbidden", "The key may not do that",
		"The key is valid and lacks the scope that this takes.", 403, false },
	{ "sender_not_allowed", "The key may not send as this sender",
		"The key's from patterns do not allow the sender in the header or in the envelope.",
		403, false },
	{ "recipient_not_allowed", "The key may not send to this recipient",
		"The key's to patterns do not allow a recipient.", 403, false },
	{ "relay_not_allowed", "The key may not use this relay",
		"The key's relays do not hold the one asked for.", 403, false },
	{ "not_found", "There is nothing of that name",
		"No such path, or no such message, or it belongs to another key.", 404, false },
	{ "method_not_allowed", "The path does not take this method",
		"The Allow header names the methods that it takes.", 405, false },
	{ "rate_limited", "The key's rate is used up",
		"The key sends faster than its rate or its daily number allows. Wait for "
		"Retry-After.",
		429, true },
	{ "overloaded", "Too much is in flight",
		"MAX_IN_FLIGHT, MAX_IN_FLIGHT_BYTES or memory is used up, or one relay has its "
		"part "
		"of them: detail says which. Nothing was sent; try again after Retry-After, which "
		"comes from the measured rate.",
		503, true },
	{ "store_required", "This needs a store",
		"Queueing, scheduling and retries need STORE to be set.", 422, false },
	{ "idempotency_mismatch", "The idempotency key was used for another message",
		"The same Idempotency-Key came with a different message, and nothing was sent for "
		"it. Use a new key for each message, and the old one only to repeat it as it was.",
		422, false },
	{ "idempotency_running", "The first request with this key is still running",
		"Nothing was done for this one. Ask again after Retry-After, with the same key: "
		"when the first is done, its answer is told.",
		409, true },
	{ "already_settled", "The message is in a state in which that cannot be done",
		"state is the one that it is in. What waits or is held can be cancelled; of what "
		"is being sent ask again after Retry-After, for it may be put off. What is "
		"deferred, held, failed, partial or unknown can be tried again, while its text is "
		"kept.",
		409, false },
	{ "template_not_found", "No such template", "No template has this name.", 404, false },
	{ "template_error", "The template is wrong, or a value does not fit it",
		"See errors for the part, line and column: the template does not parse, a value is "
		"a list or an object where a text is wanted, the subject would be more than one "
		"line, or the result too large. Nothing was sent.",
		422, false },
	{ "not_kept", "The message's text is not kept",
		"It went when the message was settled; KEEP_BODY says how long it stays.", 410,
		false },
	{ "version_not_supported", "Only HTTP/1.0 and HTTP/1.1 are spoken here", "", 505, false },
	{ "method_unknown", "The method is not known here", "", 501, false },
};

enum { OWN = sizeof(own) / sizeof(own[0]) };

/* The relays' categories in the same form. */
static struct problem_words relays[SMTP_CATEGORIES];

__attribute__((constructor)) static void fill_relays(void)
{
	for (int i = 0; i < SMTP_CATEGORIES; i++) {
		const struct smtp_category_words *words =
			smtp_category_words((enum smtp_category)i);

		relays[i] = (struct problem_words){ words->code, words->title, words->meaning,
			words->status, words->status >= 503 }; /* 502: an operator */
	}
}

const struct problem_words *problem_at(size_t index)
{
	if (index < OWN)
		return &own[index];
	index -= OWN - 1; /* the first category is no error */
	return index < SMTP_CATEGORIES ? &relays[index] : NULL;
}

const struct problem_words *problem_words(struct text code)
{
	const struct problem_words *words;

	for (size_t i = 0; (words = problem_at(i)); i++)
		if (text_equal(text_of(words->code), code))
			return words;
	return NULL;
}

unsigned problem_status(const struct problem *problem)
{
	return problem->status ? problem->status : problem_words(text_of(problem->code))->status;
}

void problem_open(struct buf *out, const struct problem_words *words, unsigned status)
{
	buf_add(out, TEXT("{\"type\":\"/problems/"));
	buf_add_string(out, words->code);
	buf_add_byte(out, '"');
	json_add_member(out, "title", text_of(words->title));
	json_add_member_u64(out, "status", status);
	json_add_member(out, "code", text_of(words->code));
}

void problem_add_complaints(struct buf *out, const struct complaints *complaints)
{
	if (!complaints || !complaints->count)
		return;
	json_add_name(out, "errors");
	buf_add_byte(out, '[');
	for (size_t i = 0; i < complaints->count; i++) {
		json_add_comma(out);
		buf_add_byte(out, '{');
		json_add_member(out, "pointer", complaints->at[i].pointer);
		json_add_member(out, "detail", complaints->at[i].detail);
		buf_add_byte(out, '}');
	}
	buf_add_byte(out, ']');
}

uint32_t problem_pause_s(const struct problem *problem)
{
	if (problem->retry_after_s || problem_status(problem) != 503)
		return problem->retry_after_s;
	return text_equal(text_of(problem->code), TEXT("storage_unavailable"))
		       ? PROBLEM_STORE_PAUSE_S
		       : PROBLEM_PAUSE_S;
}

void problem_add(struct buf *out, const struct problem *problem, struct text request_id)
{
	const struct problem_words *words = problem_words(text_of(problem->code));
	unsigned status = problem_status(problem);
	bool has_outcome = problem->outcome && problem->outcome[0];

	problem_open(out, words, status);
	if (problem->detail.len)
		json_add_member(out, "detail", problem->detail);
	if (problem->state)
		json_add_member(out, "state", text_of(problem->state));
	if (has_outcome)
		json_add_member(out, "outcome", text_of(problem->outcome));
	json_add_member_bool(out, "retryable", words->retryable || problem->may_retry);
	json_add_member_some(out, "retry_after", problem_pause_s(problem));
	if (has_outcome) /* our own refusals: nothing was sent */
		json_add_member_bool(out, "duplicate_risk", false);
	if (problem->hint.len)
		json_add_member(out, "hint", problem->hint);
	problem_add_complaints(out, problem->complaints);
	json_add_member(out, "request_id", request_id);
	buf_add_byte(out, '}');
}
