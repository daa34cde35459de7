#include "http/relays.h"

#include "http/json/json.h"
#include "http/intake/way_in.h"
#include "smtp/address/address.h"

#include <cjson/cJSON.h>

enum { REPORT_BYTES = 1 << 18 };

enum handled relays_list(struct exchange *exchange)
{
	const struct gateway *gateway = exchange->gateway;

	exchange->status = 200;
	buf_add(&exchange->answer, TEXT("{\"relays\":["));
	gateway->relays(gateway->self, &exchange->answer);
	buf_add(&exchange->answer, TEXT("]}\n"));
	return HANDLED_ANSWERED;
}

/* ---- POST …/check */

static void read_to(struct exchange *exchange, const struct json *json, const struct cJSON *member,
	struct complaints *complaints, struct text *to_out)
{
	struct json_at at = { NULL, TEXT("to"), 0 };
	struct smtp_mailbox mailbox;
	const char *why = "it is too long";

	if (cJSON_IsNull(member))
		return;
	if (!cJSON_IsString(member))
		complain(complaints, &at, "an address is wanted, as a string");
	else if (smtp_mailbox_parse(json_string(json, member), exchange->region, &mailbox, &why) !=
		 OK)
		complain(complaints, &at, "%s", why);
	else
		*to_out = mailbox.address;
}

/* The body may be left out. False: it was answered. */
static bool read_wish(struct exchange *exchange, struct text *to_out)
{
	struct complaints complaints = { .region = exchange->region };
	struct json json = { 0 };
	const struct cJSON *member;

	if (!way_in_has_no_query(exchange))
		return false;
	if (!exchange->body_len)
		return true;
	if (!way_in_read_json(exchange, &json))
		return false;
	if (!cJSON_IsObject(json.root))
		complain(&complaints, NULL, "an object is wanted");
	else
		cJSON_ArrayForEach(member, json.root)
		{
			struct json_at at = { NULL, json_name(&json, member), 0 };

			if (text_equal(at.name, TEXT("to")))
				read_to(exchange, &json, member, &complaints, to_out);
			else
				complain(&complaints, &at, "unknown field: there is only to");
		}
	if (complaints.count)
		exchange_refuse(exchange, &(struct problem){ .code = "invalid_request",
						  .detail = TEXT("errors names each place"),
						  .complaints = &complaints });
	return complaints.count == 0;
}

static void answer_check(struct exchange *exchange)
{
	struct checking *checking = exchange->waiting;

	exchange->status = 200;
	buf_add(&exchange->answer, buf_text(&checking->report));
	buf_add_byte(&exchange->answer, '\n');
	if (!checking->report.len || checking->report.err)
		exchange_refuse_as(exchange, "overloaded", "out of memory");
	buf_free(&checking->report);
}

static void check_done(struct checking *checking)
{
	exchange_wake(checking->waiter);
}

/* It was parked already: the answer goes out when it is woken. */
static void refuse_start(struct exchange *exchange, enum checking_start start)
{
	switch (start) {
	case CHECKING_NO_RELAY:
		exchange_refuse_as(exchange, "not_found", "no relay has this name");
		break;
	case CHECKING_DRAINING:
		exchange_refuse(exchange, &(struct problem){ .code = "draining",
						  .detail = TEXT("the gateway is stopping"),
						  .retry_after_s = 1 });
		break;
	default:
		exchange_refuse_as(
			exchange, "overloaded", "as many checks as may be are under way");
		break;
	}
}

static void answer_refused(struct exchange *exchange)
{
	(void)exchange; /* the refusal is there */
}

enum handled relays_check(struct exchange *exchange)
{
	const struct gateway *gateway = exchange->gateway;
	struct checking *checking = region_zalloc(exchange->region, 1, sizeof(*checking));
	enum checking_start start;

	if (!checking)
		return exchange_refuse_as(exchange, "overloaded", "out of memory");
	if (!read_wish(exchange, &checking->to))
		return HANDLED_ANSWERED;
	checking->report = buf_born(REPORT_BYTES);
	checking->done = check_done;
	checking->waiter = exchange;
	exchange->waiting = checking;
	exchange_park(exchange, answer_check);
	start = gateway->check(gateway->self, exchange->id, checking);
	if (start != CHECKING) {
		exchange->when_woken = answer_refused;
		refuse_start(exchange, start);
		exchange_wake(exchange);
	}
	return HANDLED_PARKED;
}
