#include "http/intake/way_in.h"

#include "http/intake/intake.h"
#include "http/repeat.h"

#include <stdio.h>
#include <string.h>

enum { IDEMPOTENCY_KEY = 255, QUERY_BYTES = 65536 };

/* ---- what a request must be, before its body is looked at */

static bool is_type(struct text given, struct text wanted)
{
	return text_equal_nocase(text_trim(text_cut(&given, ';')), wanted);
}

/* Without its quotes (draft-ietf-httpapi-idempotency-key-header): 1 to 255 printable ASCII. */
static bool is_idempotency_key(struct text key)
{
	for (size_t i = 0; i < key.len; i++)
		if (key.at[i] < 0x20 || key.at[i] > 0x7e)
			return false;
	return key.len > 0 && key.len <= IDEMPOTENCY_KEY;
}

static bool check_headers(struct exchange *exchange)
{
	struct text key = repeat_key(exchange);

	if (exchange_header(exchange, "Content-Encoding").len)
		exchange_refuse_as(exchange, "unsupported_media_type",
			"compressed bodies are not taken: leave Content-Encoding out");
	else if (key.at && !is_idempotency_key(key))
		exchange_refuse_as(exchange, "invalid_request",
			"Idempotency-Key: 1 to 255 printable ASCII characters are wanted");
	else
		return true;
	return false;
}

/* ---- JSON */

static void refuse_json(struct exchange *exchange, enum err err, const struct json *json)
{
	struct complaints complaints = { .region = exchange->region, .count = 1 };
	const char *why = json->why ? json->why : err_text(err);
	char detail[200];

	if (err == ERR_MEMORY) {
		exchange_refuse_as(exchange, "overloaded", "out of memory");
		return;
	}
	snprintf(detail, sizeof(detail), "%s, at byte %zu", why, json->at);
	complaints.at[0] = (struct complaint){ json->pointer, text_of(why) };
	exchange_refuse(exchange, &(struct problem){ .code = "invalid_json",
					  .detail = text_of(detail),
					  .complaints = &complaints });
}

static bool parse(struct exchange *exchange, char *body, size_t len, struct json *json)
{
	enum err err = json_parse(body, len, exchange->region, json);

	if (err)
		refuse_json(exchange, err, json);
	return !err;
}

/* ---- a form */

static void refuse_form(
	struct exchange *exchange, enum err err, const struct complaints *complaints)
{
	switch (err) {
	case ERR_MEMORY:
		exchange_refuse_as(exchange, "overloaded", "out of memory");
		break;
	case ERR_IO:
		exchange_refuse_as(exchange, "storage_unavailable",
			"a file of the form cannot be kept until it is sent (TMPDIR)");
		break;
	case ERR_LIMIT:
		if (!complaints->count) {
			exchange_refuse_as(exchange, "body_too_large",
				"the form's fields are larger than is taken");
			break;
		}
		__attribute__((fallthrough));
	default:
		exchange_refuse(exchange,
			&(struct problem){ .code = "invalid_request",
				.detail = TEXT("errors names each place; nothing was sent"),
				.complaints = complaints });
	}
}

static bool read_form(struct exchange *exchange, struct json *json, struct mail_besides *besides)
{
	struct complaints complaints = { .region = exchange->region };
	struct intake_whole whole;
	enum err err;

	if (!exchange_reserve(exchange, intake_to_come(exchange->intake))) {
		exchange_refuse_overload(exchange);
		return false;
	}
	err = intake_end(exchange->intake, &whole, &complaints);
	if (err) {
		refuse_form(exchange, err, &complaints);
		return false;
	}
	*besides = whole.besides;
	err = json_parse_with(
		whole.json, whole.len, whole.outside, whole.outside_count, exchange->region, json);
	if (err)
		refuse_json(exchange, err, json);
	return !err;
}

/* ---- the message itself, with an envelope in the query */

static bool is_wish(struct text name)
{
	static const char *const names[] = { "relay", "deadline", "partial", "delivery", "send_at",
		"on_unknown", "dry_run" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (text_equal(name, text_of(names[i])))
			return true;
	return false;
}

static void add_list(const struct exchange *exchange, struct text wanted, struct buf *out)
{
	struct text rest = exchange->query, name, value;

	buf_add_byte(out, '[');
	while (exchange_query_next(exchange, &rest, &name, &value)) {
		if (!text_equal(name, wanted))
			continue;
		json_add_comma(out);
		json_add_string(out, value);
	}
	buf_add_byte(out, ']');
}

static void add_envelope(const struct exchange *exchange, struct buf *out)
{
	struct text from = exchange_query(exchange, TEXT("from"));
	bool has_to = exchange_query(exchange, TEXT("to")).at;

	if (!from.at && !has_to)
		return;
	json_add_name(out, "envelope");
	buf_add_byte(out, '{');
	if (from.at)
		json_add_member(out, "from", from);
	if (has_to) {
		json_add_name(out, "to");
		add_list(exchange, TEXT("to"), out);
	}
	buf_add_byte(out, '}');
}

static bool add_wishes(const struct exchange *exchange, struct buf *out)
{
	struct text rest = exchange->query, name, value;

	while (exchange_query_next(exchange, &rest, &name, &value)) {
		if (text_equal(name, TEXT("trace")) && text_equal(value, TEXT("true"))) {
			json_add_member_bool(out, "trace", true);
		} else if (is_wish(name)) {
			json_add_comma(out);
			json_add_string(out, name);
			buf_add_byte(out, ':');
			json_add_string(out, value);
		} else if (name.len && !text_equal(name, TEXT("from")) &&
			   !text_equal(name, TEXT("to")) && !text_equal(name, TEXT("tags"))) {
			return false;
		}
	}
	if (exchange_query(exchange, TEXT("tags")).at) {
		json_add_name(out, "tags");
		add_list(exchange, TEXT("tags"), out);
	}
	return true;
}

/* What is not UTF-8 would become another address. */
static bool query_is_utf8(const struct exchange *exchange)
{
	struct text rest = exchange->query, name, value;

	while (exchange_query_next(exchange, &rest, &name, &value))
		if (!text_is_utf8(value))
			return false;
	return true;
}

static bool read_message(struct exchange *exchange, struct json *json, struct mail_besides *besides)
{
	struct buf object = buf_born(QUERY_BYTES);
	struct text copy = { 0 };
	bool is_known;

	if (!query_is_utf8(exchange)) {
		exchange_refuse_as(exchange, "invalid_request", "the query is not UTF-8");
		return false;
	}
	buf_add_byte(&object, '{');
	add_envelope(exchange, &object);
	is_known = add_wishes(exchange, &object);
	buf_add_byte(&object, '}');
	if (!object.err)
		copy = region_copy(exchange->region, buf_text(&object));
	buf_free(&object);
	if (!is_known) {
		exchange_refuse_as(exchange, "invalid_request",
			"the query takes from, to, relay, tags, deadline, partial, delivery, "
			"send_at, on_unknown, dry_run and trace=true");
		return false;
	}
	if (!copy.at) {
		exchange_refuse_as(exchange, "body_too_large", "the query is too long");
		return false;
	}
	besides->raw = (struct text){ exchange->body ? exchange->body : "", exchange->body_len };
	return parse(exchange, (char *)copy.at, copy.len, json);
}

/* ---- any of them */

bool way_in_read_json(struct exchange *exchange, struct json *json)
{
	if (!is_type(exchange_header(exchange, "Content-Type"), TEXT("application/json"))) {
		exchange_refuse_as(exchange, "unsupported_media_type",
			"Content-Type: application/json is wanted");
		return false;
	}
	return check_headers(exchange) && parse(exchange, exchange->body, exchange->body_len, json);
}

bool way_in_has_no_query(struct exchange *exchange)
{
	if (!exchange->query.len)
		return true;
	exchange_refuse_as(exchange, "invalid_request",
		"a query goes with message/rfc822 alone: here all fields stand in the body");
	return false;
}

bool way_in_read(struct exchange *exchange, struct json *json, struct mail_besides *besides)
{
	struct text type = exchange_header(exchange, "Content-Type");

	if (exchange->intake)
		return check_headers(exchange) && way_in_has_no_query(exchange) &&
		       read_form(exchange, json, besides);
	if (is_type(type, TEXT("message/rfc822")) || is_type(type, TEXT("message/global")))
		return check_headers(exchange) && read_message(exchange, json, besides);
	if (is_type(type, TEXT("application/json")))
		return way_in_has_no_query(exchange) && way_in_read_json(exchange, json);
	exchange_refuse_as(exchange, "unsupported_media_type",
		"Content-Type: application/json, multipart/form-data or message/rfc822 is wanted");
	return false;
}
