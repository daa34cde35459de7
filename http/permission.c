#include "http/permission.h"

static const int64_t DAY_MS = 86400000;
enum { SEND_AT_DAYS = 30 };

static bool allows(const struct text *patterns, size_t count, struct text address)
{
	for (size_t i = 0; i < count; i++)
		if (smtp_address_matches(address, patterns[i]))
			return true;
	return count == 0;
}

static bool forbid(struct refusal *refusal, const char *code, struct text address,
	const struct json_at *at, struct text field)
{
	struct json_at place = { at, field, 0 };

	complain(&refusal->complaints, &place, "the key does not allow %.*s", (int)address.len,
		address.at);
	return refusal_set(refusal, code, address);
}

static bool holds(struct smtp_mailboxes list, struct text address)
{
	for (size_t i = 0; i < list.count; i++)
		if (text_equal(list.at[i].address, address))
			return true;
	return false;
}

static bool forbid_recipient(struct refusal *refusal, const struct posted *posted,
	struct text address, const struct json_at *at)
{
	struct json_at envelope = { at, TEXT("envelope"), 0 };

	if (posted->has_envelope_to)
		return forbid(refusal, "recipient_not_allowed", address, &envelope, TEXT("to"));
	if (posted->raw)
		return forbid(refusal, "recipient_not_allowed", address, at, TEXT("raw"));
	return forbid(refusal, "recipient_not_allowed", address, at,
		holds(posted->mail.to, address)   ? TEXT("to")
		: holds(posted->mail.cc, address) ? TEXT("cc")
						  : TEXT("bcc"));
}

/* Everybody whom the header names as sender. */
static bool check_authors(const struct caller *caller, const struct posted *posted,
	const struct json_at *at, struct refusal *refusal)
{
	const struct smtp_raw *raw = posted->raw;

	if (!raw && !allows(caller->from, caller->from_count, posted->mail.from.address))
		return forbid(
			refusal, "sender_not_allowed", posted->mail.from.address, at, TEXT("from"));
	for (size_t i = 0; raw && i < raw->sender_count; i++)
		if (!allows(caller->from, caller->from_count, raw->senders[i].address))
			return forbid(refusal, "sender_not_allowed", raw->senders[i].address, at,
				TEXT("raw"));
	return true;
}

/* The null sender names nobody: it is allowed to every key that may send. */
static bool check_addresses(const struct caller *caller, const struct posted *posted,
	const struct json_at *at, struct refusal *refusal)
{
	const struct smtp_envelope *envelope = &posted->envelope;
	struct json_at in_envelope = { at, TEXT("envelope"), 0 };

	if (!check_authors(caller, posted, at, refusal))
		return false;
	if (envelope->from.len && !allows(caller->from, caller->from_count, envelope->from))
		return forbid(
			refusal, "sender_not_allowed", envelope->from, &in_envelope, TEXT("from"));
	for (size_t i = 0; caller->to_count && i < envelope->count; i++)
		if (!allows(caller->to, caller->to_count, envelope->to[i]))
			return forbid_recipient(refusal, posted, envelope->to[i], at);
	return true;
}

/* Whoever asks for the queue needs one, and none keeps a message for ever. */
static bool check_queueing(const struct exchange *exchange, const struct wishes *wishes,
	const struct json_at *at, struct refusal *refusal)
{
	struct json_at send_at = { at, TEXT("send_at"), 0 };

	if (!exchange->gateway->has_store)
		return refusal_set(refusal, "store_required",
			TEXT("delivery other than now, and send_at, need STORE"));
	if (wishes->send_at_ms <= exchange->began.unix_ms + SEND_AT_DAYS * DAY_MS)
		return true;
	complain(&refusal->complaints, &send_at, "at most %d days from now", SEND_AT_DAYS);
	return refusal_set(refusal, "invalid_request", TEXT("nothing was accepted"));
}

static bool check_wishes(const struct exchange *exchange, const struct wishes *wishes,
	const struct json_at *at, struct refusal *refusal)
{
	const struct caller *caller = &exchange->caller;
	bool relay_ok = caller->relay_count == 0 || wishes->relay.len == 0;

	for (size_t i = 0; !relay_ok && i < caller->relay_count; i++)
		relay_ok = text_equal(caller->relays[i], wishes->relay);
	if (!relay_ok)
		return forbid(refusal, "relay_not_allowed", wishes->relay, at, TEXT("relay"));
	if (wishes->trace && !(caller->scopes & (SCOPE_TRACE | SCOPE_ADMIN))) {
		forbid(refusal, "forbidden", TEXT("trace"), at, TEXT("trace"));
		return refusal_set(
			refusal, "forbidden", TEXT("trace takes a key with the scope trace"));
	}
	if (wishes->way != DELIVER_NOW || wishes->send_at_ms)
		return check_queueing(exchange, wishes, at, refusal);
	return true;
}

bool permission_check(const struct exchange *exchange, const struct posted *posted,
	const struct json_at *at, struct refusal *refusal)
{
	return check_addresses(&exchange->caller, posted, at, refusal) &&
	       check_wishes(exchange, &posted->wishes, at, refusal);
}
